"""Bringing an older database up to date: a copy first, then one transaction per step.

The caller holds the process lock and the one connection that writes.
"""

import os
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreOpenError
from .migrations import MIGRATIONS, SCHEMA_VERSION


def migrate(db: Database, place: Path) -> None:
    """Take every step that is still to be taken; the copy made before stays as ``PLACE.before-N``.

    Raises:
        StoreOpenError: The copy or a step failed; the steps before it stand, of that one nothing does.
    """
    try:
        _copy(db.conn, place)
        MIGRATIONS.apply(db)
        db.conn.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchall()  # so that the header shows the new number
    except sqlite3.Error as error:
        raise StoreOpenError(f"cannot bring {place} to schema {SCHEMA_VERSION}: {error}") from error
    except OSError as error:
        raise StoreOpenError(f"cannot copy {place} before changing it: {error.strerror}") from error


def _copy(connection: sqlite3.Connection, place: Path) -> None:
    copy = Path(f"{place}.before-{SCHEMA_VERSION}")
    draft = Path(f"{copy}.creating")
    for leftover in (draft, Path(f"{draft}-journal"), Path(f"{draft}-wal"), Path(f"{draft}-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    target = sqlite3.connect(draft)
    try:
        connection.backup(target)
    finally:
        target.close()
    flush(draft)
    draft.rename(copy)
    flush(place.parent)


def flush(place: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
