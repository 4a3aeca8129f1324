"""Writing a session's row, inside a transaction that holds the write lock from its first statement."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import UnstorableError
from .ids import SessionID
from .queries import read_facts
from .records import SessionFacts, SessionState
from .rows import IDENTITY_COLUMNS, MUTABLE_COLUMNS, Row, identity_values, mutable_values, require_pending

_ASSIGNMENTS = ", ".join(f"{column} = ?" for column in MUTABLE_COLUMNS)
_COLUMNS = (*IDENTITY_COLUMNS, *MUTABLE_COLUMNS)
INSERT_SESSION = f"INSERT INTO session ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - constants
_GUARD = "key = ? AND head_seq = ? AND chain = ? AND created_at = ? AND (head_seq > 0 OR id = ?)"
_GUARDED = f"SELECT 1 FROM session WHERE {_GUARD}"  # noqa: S608 - constants
UPDATE_SESSION = f"UPDATE session SET {_ASSIGNMENTS} WHERE {_GUARD}"  # noqa: S608 - constants

UNBINDABLE = (UnicodeEncodeError, OverflowError)  # what sqlite3 raises for a value SQLite cannot hold


def guard_values(facts: SessionFacts, head_seq: int) -> Row:
    """What the stored row must have for `UPDATE_SESSION` to find it."""
    name = "" if head_seq else str(facts.id)  # a chain that is not empty names its session already
    return (facts.key, head_seq, facts.chain, facts.created_at, name)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Hold the write lock from the first statement to COMMIT; any error rolls everything back.

    Raises:
        sqlite3.Error: SQLite could not begin, write or commit; nothing is stored.
    """
    if connection.in_transaction:
        connection.rollback()  # a rollback that failed before is tried again
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def save(connection: sqlite3.Connection, facts: SessionFacts) -> None:
    """Insert or replace facts inside a transaction; key, created_at, head and chain stay as stored.

    Raises:
        UnstorableError: A value cannot be stored.
        sqlite3.Error: SQLite could not write.
    """
    stored = read_facts(connection, facts.id)
    head_seq, chain = (0, b"") if stored is None else (stored.head_seq, stored.chain)
    require_pending(facts, head_seq)
    try:
        values = mutable_values(facts, head_seq, chain)
        if stored is None:
            connection.execute(INSERT_SESSION, (*identity_values(facts), *values))
        else:
            connection.execute(UPDATE_SESSION, (*values, *guard_values(stored, head_seq)))
    except (sqlite3.IntegrityError, *UNBINDABLE) as error:
        raise UnstorableError(f"{facts.id}: expected storable values, met {error}") from error


def archive(connection: sqlite3.Connection, session: SessionID) -> bool:
    """Set a session's state inside a transaction; False if there is none."""
    values = (int(SessionState.ARCHIVED), str(session))
    return connection.execute("UPDATE session SET state = ? WHERE id = ?", values).rowcount == 1


def delete(connection: sqlite3.Connection, session: SessionID) -> bool:
    """Remove a session and its journal inside a transaction; False if there was none."""
    row = connection.execute("SELECT key FROM session WHERE id = ?", (str(session),)).fetchone()
    if row is not None:
        _delete(connection, row[0])
    return row is not None


def delete_guarded(connection: sqlite3.Connection, facts: SessionFacts, base_seq: int) -> bool:
    """Remove what an append was built on inside a transaction; False if the stored row is another."""
    if connection.execute(_GUARDED, guard_values(facts, base_seq)).fetchone() is None:
        return False
    _delete(connection, facts.key)
    return True


def _delete(connection: sqlite3.Connection, key: int) -> None:
    words = "DELETE FROM search WHERE rowid IN (SELECT rowid FROM journal WHERE session = ?)"
    for statement in (words, "DELETE FROM journal WHERE session = ?", "DELETE FROM session WHERE key = ?"):
        connection.execute(statement, (key,))
