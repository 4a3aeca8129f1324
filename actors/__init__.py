"""What lives: actors that own their state and have a mailbox; imports `persistence` only.

The names found here are imported when first asked for, so that whoever needs one module loads no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Supervisor"]

_HOMES = {"Supervisor": "supervisor"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
