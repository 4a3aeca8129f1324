"""What touches the world, and the wiring: sockets, HTTP, tokens, configuration, the command line.

The names a host needs are found here. They are imported when first asked for, so that a command line that
only prints its help does not load the runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..actors.budget import (
        DEFAULT_CONTEXT_TOKEN_BUDGET,
        LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET,
        normalize_token_budget,
    )
    from ..actors.commands import Ack, Expected
    from ..actors.compaction import CompactionResult, CompactionSettings
    from ..actors.compactor import ContextView, SessionCompactor
    from ..actors.hooks import HookManager, SessionHook
    from ..actors.memory import normalize_extracted_memory_for_storage, normalize_memory_fingerprint
    from ..actors.memory_integration import CompactorMemoryIntegration
    from ..actors.refresh import MemoryRefreshConfig, MemoryRefresher, default_memory_refresh_config
    from ..actors.turn import Agent, Turn
    from ..persistence.ids import SessionID
    from ..persistence.records import Ending, EndReason, Message, SessionFilter, SessionState, ToolCall
    from .attachment import Attachment, SlowHostError
    from .client import open_client
    from .collector import short_collections
    from .config import Config
    from .embedding import open_manager
    from .info import SessionInfo, SessionManagerStats, SessionMetadata
    from .manager import SessionManager
    from .session_handle import Session
    from .tokens import TokenCounter

__all__ = [
    "DEFAULT_CONTEXT_TOKEN_BUDGET",
    "LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET",
    "Ack",
    "Agent",
    "Attachment",
    "CompactionResult",
    "CompactionSettings",
    "CompactorMemoryIntegration",
    "Config",
    "ContextView",
    "EndReason",
    "Ending",
    "Expected",
    "HookManager",
    "MemoryRefreshConfig",
    "MemoryRefresher",
    "Message",
    "Session",
    "SessionCompactor",
    "SessionFilter",
    "SessionHook",
    "SessionID",
    "SessionInfo",
    "SessionManager",
    "SessionManagerStats",
    "SessionMetadata",
    "SessionState",
    "SlowHostError",
    "TokenCounter",
    "ToolCall",
    "Turn",
    "default_memory_refresh_config",
    "normalize_extracted_memory_for_storage",
    "normalize_memory_fingerprint",
    "normalize_token_budget",
    "open_client",
    "open_manager",
    "short_collections",
]

_HOMES = {
    "Ack": "actors.commands",
    "Agent": "actors.turn",
    "Attachment": "runtime.attachment",
    "CompactionResult": "actors.compaction",
    "CompactionSettings": "actors.compaction",
    "CompactorMemoryIntegration": "actors.memory_integration",
    "Config": "runtime.config",
    "ContextView": "actors.compactor",
    "DEFAULT_CONTEXT_TOKEN_BUDGET": "actors.budget",
    "EndReason": "persistence.records",
    "Ending": "persistence.records",
    "Expected": "actors.commands",
    "HookManager": "actors.hooks",
    "LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET": "actors.budget",
    "MemoryRefreshConfig": "actors.refresh",
    "MemoryRefresher": "actors.refresh",
    "Message": "persistence.records",
    "Session": "runtime.session_handle",
    "SessionCompactor": "actors.compactor",
    "SessionFilter": "persistence.records",
    "SessionHook": "actors.hooks",
    "SessionID": "persistence.ids",
    "SessionInfo": "runtime.info",
    "SessionManager": "runtime.manager",
    "SessionManagerStats": "runtime.info",
    "SessionMetadata": "runtime.info",
    "SessionState": "persistence.records",
    "SlowHostError": "runtime.attachment",
    "TokenCounter": "runtime.tokens",
    "ToolCall": "persistence.records",
    "Turn": "actors.turn",
    "default_memory_refresh_config": "actors.refresh",
    "normalize_extracted_memory_for_storage": "actors.memory",
    "normalize_memory_fingerprint": "actors.memory",
    "normalize_token_budget": "actors.budget",
    "open_client": "runtime.client",
    "open_manager": "runtime.embedding",
    "short_collections": "runtime.collector",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"greenroom.{_HOMES[name]}"), name)
