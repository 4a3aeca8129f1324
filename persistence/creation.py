"""Making a database that was not there: whole or not at all, whenever the process or the machine dies.

It is built beside its place under another name and moved there only when every byte is on the disk. Switching
a new file to write-ahead logging in its place would leave a moment in which a power cut damages it.
"""

import os
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreFormatError, StoreOpenError
from .migrating import flush
from .migrations import MIGRATIONS
from .opening import BUSY_SECONDS


def create(place: Path) -> None:
    """Put an empty database at ``place``, readable by its owner only.

    The caller holds the process lock.

    Raises:
        StoreFormatError: A write-ahead log without its database lies there: somebody's messages may be in it.
        StoreOpenError: The file could not be written.
    """
    log = Path(f"{place}-wal")
    if log.exists() and log.stat().st_size > 0:
        raise StoreFormatError(
            f"{place} is missing but its log {log.name} is there: expected both or neither"
        )
    draft = Path(f"{place}.creating")
    try:
        for leftover in (draft, *(Path(f"{draft}{end}") for end in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _build(draft)
        flush(draft)
        draft.rename(place)
        flush(place.parent)
    except sqlite3.Error as error:
        raise StoreOpenError(f"cannot create {place}: {error}") from error
    except OSError as error:
        raise StoreOpenError(f"cannot create {place}: {error.strerror}") from error


def _build(draft: Path) -> None:
    connection = sqlite3.connect(draft, check_same_thread=False, timeout=BUSY_SECONDS)
    db = Database(connection, execute_plugins=False)
    try:
        db.enable_wal()
        MIGRATIONS.apply(db)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
