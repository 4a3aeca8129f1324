"""What is true on disk: synchronous, knows no event loop, imports nothing from the other rooms."""

from .memory import InMemorySessionStore
from .sqlite import SQLiteSessionStore
from .store import SessionStore

__all__ = ["InMemorySessionStore", "SQLiteSessionStore", "SessionStore"]
