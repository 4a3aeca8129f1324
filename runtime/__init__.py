"""What touches the world, and the wiring: sockets, HTTP, tokens, configuration, the command line.

The names a host needs are found here. They are imported when first asked for, so that a command line that
only prints its help does not load the runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..actors.turn import Agent, Turn
    from ..persistence.ids import SessionID
    from ..persistence.records import Message, SessionFilter, SessionState, ToolCall
    from .client import open_client
    from .config import Config
    from .info import SessionInfo, SessionManagerStats
    from .manager import Session, SessionManager, open_manager

__all__ = [
    "Agent",
    "Config",
    "Message",
    "Session",
    "SessionFilter",
    "SessionID",
    "SessionInfo",
    "SessionManager",
    "SessionManagerStats",
    "SessionState",
    "ToolCall",
    "Turn",
    "open_client",
    "open_manager",
]

_HOMES = {
    "Agent": "actors.turn",
    "Config": "runtime.config",
    "Message": "persistence.records",
    "Session": "runtime.manager",
    "SessionFilter": "persistence.records",
    "SessionID": "persistence.ids",
    "SessionInfo": "runtime.info",
    "SessionManager": "runtime.manager",
    "SessionManagerStats": "runtime.info",
    "SessionState": "persistence.records",
    "ToolCall": "persistence.records",
    "Turn": "actors.turn",
    "open_client": "runtime.client",
    "open_manager": "runtime.manager",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"greenroom.{_HOMES[name]}"), name)
