"""Opening a database that exists: look first, touch after, and say in one sentence why not."""

from functools import cache
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreError, StoreFormatError, StoreOpenError, StorePermissionError, StoreUnavailableError
from .migrating import migrate
from .migrations import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION, STEPS

BUSY_SECONDS = 5.0
"""How long a statement waits for another connection's lock."""

_SYNCHRONOUS_FULL = 2  # as PRAGMA synchronous answers
_LOG_BYTES = 64 * 1024 * 1024  # what the write-ahead log is cut back to after a checkpoint
_CHECKPOINT_PAGES = (
    4000  # 16 MiB: appends dirty the same pages again, so a longer log writes fewer of them twice
)
_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables

# The tables FTS5 keeps under `search` are its own affair: another version of SQLite may make others.
_SCHEMA = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'search!_%' ESCAPE '!'"


def refusal(error: sqlite3.Error, what: str) -> StoreError:
    """Say in our words what SQLite said: damage is `StoreFormatError`, all else `StoreUnavailableError`."""
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreFormatError(f"{what}: damaged: {error}")
    return StoreUnavailableError(f"{what}: {error}")


def connect(place: Path, options: str) -> sqlite3.Connection:
    """Open a connection that any one thread at a time may use; ``options`` are those of SQLite's URIs."""
    return sqlite3.connect(
        f"{place.as_uri()}?{options}", uri=True, check_same_thread=False, timeout=BUSY_SECONDS
    )


def require_ours(place: Path, *, older: bool = False) -> None:
    """Look at the header and leave no trace: no lock is taken and no side file appears.

    SQLite does the reading, because closing a descriptor of our own would drop the locks that SQLite holds on
    the file in this process.

    Args:
        place: The file.
        older: An older schema will do: it is going to be brought up to date.

    Raises:
        StoreOpenError: The SQLite library is too old, or cannot open the file.
        StoreFormatError: The file is no database, another program's, damaged or of another schema.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreOpenError(f"expected SQLite 3.37 or newer, met {sqlite3.sqlite_version}")
    try:
        connection = connect(place, "mode=ro&immutable=1")
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _open_refusal(error, place) from error
    if application != APPLICATION_ID:
        raise StoreFormatError(f"{place} belongs to another program (0x{application & 0xFFFFFFFF:08x})")
    require_version(version, place, oldest=1 if older else SCHEMA_VERSION)


def require_version(version: int, place: Path, oldest: int) -> None:
    """Refuse a schema this program cannot work with.

    Raises:
        StoreFormatError: It is newer than this program, or older than ``oldest``.
    """
    if version > SCHEMA_VERSION:
        raise StoreFormatError(f"{place}: schema {version} is newer than this program ({SCHEMA_VERSION})")
    if version < oldest:
        way = "; opening it for writing brings it up to date" if version > 0 else ""
        raise StoreFormatError(
            f"{place}: schema {version} is older than this program ({SCHEMA_VERSION}){way}"
        )


def open_writer(place: Path) -> Database:
    """Open the one connection that writes and checkpoints, and bring an older schema up to date.

    Raises:
        StoreOpenError: The file cannot serve, or a setting that durability rests on does not hold.
    """
    try:
        connection = connect(place, "mode=rw")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            require_version(version, place, oldest=1)
            require_schema(connection, place, version)
            require_setting(connection, place, "journal_mode", "WAL", "wal")
            require_setting(connection, place, "synchronous", "FULL", _SYNCHRONOUS_FULL)
            require_setting(connection, place, "foreign_keys", "ON", 1)
            require_setting(
                connection, place, "wal_autocheckpoint", str(_CHECKPOINT_PAGES), _CHECKPOINT_PAGES
            )
            require_setting(connection, place, "journal_size_limit", str(_LOG_BYTES), _LOG_BYTES)
            db = Database(connection, execute_plugins=False)
            if version < SCHEMA_VERSION:
                migrate(db, place)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _open_refusal(error, place) from error
    return db


def open_reader(place: Path) -> sqlite3.Connection:
    """Open a connection that cannot write.

    Raises:
        StoreOpenError: The file cannot serve.
    """
    try:
        connection = connect(place, "mode=ro")
        try:
            require_setting(connection, place, "query_only", "ON", 1)
            require_schema(connection, place, SCHEMA_VERSION)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _open_refusal(error, place) from error
    return connection


def require_schema(connection: sqlite3.Connection, place: Path, version: int) -> None:
    """Refuse a database whose tables and indexes are not the ones the migrations make up to ``version``.

    Raises:
        StoreFormatError: One is missing or differs; more than ours is no harm.
    """
    found: dict[str, str] = dict(connection.execute(_SCHEMA).fetchall())
    for name, sql in _expected_schema(version).items():
        if found.get(name) != sql:
            met = "none" if name not in found else "another"
            raise StoreFormatError(f"{place}: damaged: expected our {name!r} in the schema, met {met}")


@cache
def _expected_schema(version: int) -> dict[str, str]:
    scratch = Database(memory=True, execute_plugins=False)
    MIGRATIONS.apply(scratch, stop_before=STEPS[version:])
    expected: dict[str, str] = dict(scratch.conn.execute(_SCHEMA).fetchall())
    scratch.close()
    return expected


def require_setting(
    connection: sqlite3.Connection, place: Path, name: str, value: str, expected: object
) -> None:
    """Make a setting and read it back, because SQLite ignores what it does not know or cannot do.

    Raises:
        StoreOpenError: The setting does not hold.
    """
    connection.execute(f"PRAGMA {name} = {value}")
    (met,) = connection.execute(f"PRAGMA {name}").fetchone()
    if met != expected:
        raise StoreOpenError(f"{place}: expected {name} {expected}, met {met}")


def _open_refusal(error: sqlite3.Error, place: Path) -> StoreOpenError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return StoreFormatError(f"not a greenroom database: {place}")
    if name.startswith("SQLITE_CORRUPT"):
        return StoreFormatError(f"{place} is damaged: {error}")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return StorePermissionError(f"cannot open {place}: {error}")
    return StoreOpenError(f"cannot open {place}: {error}")
