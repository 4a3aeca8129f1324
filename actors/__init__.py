"""What lives: actors that own their state and have a mailbox; imports `persistence` only.

The names found here are imported when first asked for, so that whoever needs one module loads no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actor import Actor
    from .asking import Finished, Question
    from .opening import open_supervisor
    from .ref import ActorRef
    from .supervision import Supervisor

__all__ = ["Actor", "ActorRef", "Finished", "Question", "Supervisor", "open_supervisor"]

_HOMES = {
    "Actor": "actor",
    "ActorRef": "ref",
    "Finished": "asking",
    "Question": "asking",
    "Supervisor": "supervision",
    "open_supervisor": "opening",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
