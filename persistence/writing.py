"""Writing a session's row, inside a transaction that holds the write lock from its first statement."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import UnstorableError
from .ids import SessionID
from .queries import read_facts
from .records import SessionFacts, SessionState
from .rows import MUTABLE_COLUMNS, identity_values, mutable_values, require_pending

_ASSIGNMENTS = ", ".join(f"{column} = ?" for column in MUTABLE_COLUMNS)
_PLACES = ", ".join("?" * len(MUTABLE_COLUMNS))
INSERT_SESSION = (
    f"INSERT INTO session (id, agent_id, channel_id, peer_id, thread_id, {', '.join(MUTABLE_COLUMNS)}) "  # noqa: S608 - constants
    f"VALUES (?, ?, ?, ?, ?, {_PLACES})"
)
_GUARD = "key = ? AND head_seq = ? AND chain = ? AND (head_seq > 0 OR id = ?)"
UPDATE_SESSION = f"UPDATE session SET {_ASSIGNMENTS} WHERE {_GUARD}"  # noqa: S608 - constants

UNBINDABLE = (UnicodeEncodeError, OverflowError)  # what sqlite3 raises for a value SQLite cannot hold


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
    """Insert or replace a session's facts inside a transaction; key, head and chain stay the journal's own.

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
            connection.execute(INSERT_SESSION, (*identity_values(facts.id), *values))
        else:
            connection.execute(UPDATE_SESSION, (*values, stored.key, head_seq, chain, str(facts.id)))
    except (sqlite3.IntegrityError, *UNBINDABLE) as error:
        raise UnstorableError(f"{facts.id}: expected storable values, met {error}") from error


def archive(connection: sqlite3.Connection, session: SessionID) -> bool:
    """Set a session's state inside a transaction; False if there is none."""
    values = (int(SessionState.ARCHIVED), str(session))
    return connection.execute("UPDATE session SET state = ? WHERE id = ?", values).rowcount == 1


def delete(connection: sqlite3.Connection, session: SessionID) -> bool:
    """Remove a session and its journal inside a transaction; False if there was none."""
    name = (str(session),)
    connection.execute("DELETE FROM journal WHERE session = (SELECT key FROM session WHERE id = ?)", name)
    return connection.execute("DELETE FROM session WHERE id = ?", name).rowcount == 1
