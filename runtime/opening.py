"""What a configuration stands for: the store it names, and the clocks it sets."""

from pathlib import Path
from typing import Final

from ..actors.clocks import ClockSettings
from ..persistence.memory import InMemorySessionStore
from ..persistence.sqlite import SQLiteSessionStore
from ..persistence.store import SessionStore
from .config import Cleanup, Config

MEMORY: Final = ":memory:"
"""SQLite's own name for a database without a file."""


def open_store(config: Config) -> SessionStore:
    """Open the configured database for writing; `MEMORY` is one that is gone when it is closed.

    Raises:
        StoreOpenError: It cannot be used.
    """
    if config.db == MEMORY:
        return InMemorySessionStore(max_tokens=config.limits.max_tokens)
    return SQLiteSessionStore(Path(config.db), max_tokens=config.limits.max_tokens)


def clock_settings(cleanup: Cleanup) -> ClockSettings:
    """What silence leads to, and when; nothing if cleaning up is turned off."""
    effective = cleanup.enabled
    return ClockSettings(
        idle_after=cleanup.idle_after * effective,
        suspend_after=cleanup.suspend_after * effective,
        archive_after=cleanup.archive_after * effective,
        delete_after=cleanup.delete_after * effective,
        interval=cleanup.interval,
    )
