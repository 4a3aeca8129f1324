"""What is read of sessions, on a connection that stands in a read transaction."""

from itertools import islice

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreFormatError
from .ids import SessionID
from .journal import entries_back, live_context, read_span
from .records import SessionFacts, SessionRecord, SessionState, StoreStats
from .rows import SELECT_FACTS, clamp, facts_of, sound

_FACTS = SELECT_FACTS + " WHERE id = ?"
_UNFINISHED = SELECT_FACTS + " WHERE (pending <> '[]' OR turn IS NOT NULL) AND key > ? ORDER BY key"
DUE = (
    f"{SELECT_FACTS} INDEXED BY session_by_state WHERE state = ? AND last_active_at < ? "
    "ORDER BY last_active_at, id DESC"
)
"""Asks for silent sessions by `session_by_state`, backwards."""

DUE_ARCHIVED = (
    f"{SELECT_FACTS} INDEXED BY session_by_archiving WHERE state = 4 AND archived_at < ? "
    "ORDER BY archived_at, id DESC"
)
"""Asks for archived sessions by `session_by_archiving`, backwards."""

_STATS = "SELECT state, count(*), sum(message_count), sum(token_count) FROM session GROUP BY state"


def read_facts(connection: sqlite3.Connection, session: SessionID) -> SessionFacts | None:
    """Read one session's row."""
    row = connection.execute(_FACTS, (str(session),)).fetchone()
    return None if row is None else facts_of(row)


def read_due(
    connection: sqlite3.Connection, state: SessionState, before: int, limit: int
) -> list[SessionFacts]:
    """Read the rows of one state that have been silent, or archived, since before a moment; oldest first.

    Damaged rows take no place among the ``limit``, or they would hide those behind them from the clocks.
    """
    if state is SessionState.ARCHIVED:
        rows = connection.execute(DUE_ARCHIVED, (clamp(before),))
    else:
        rows = connection.execute(DUE, (int(state), clamp(before)))
    return list(islice(sound(rows), max(limit, 0)))


def read_unfinished(connection: sqlite3.Connection, after_key: int, limit: int) -> list[SessionFacts]:
    """Read rows with pending messages or a begun turn, by rising key; damaged rows take no place."""
    return list(islice(sound(connection.execute(_UNFINISHED, (clamp(after_key),))), max(limit, 0)))


def read_stats(connection: sqlite3.Connection) -> StoreStats:
    """Count every session."""
    return count(connection.execute(_STATS).fetchall())


def count(rows: list[tuple[int, int, int, int]]) -> StoreStats:
    """Add up rows of (state, sessions, messages, tokens)."""
    sessions = [0, 0, 0, 0, 0]
    for state, number, _, _ in rows:
        sessions[state] += number
    active, idle, compacting, suspended, archived = sessions
    return StoreStats(
        total_sessions=sum(sessions),
        active_sessions=active + compacting,
        idle_sessions=idle + suspended,
        archived_sessions=archived,
        total_messages=sum(row[2] for row in rows),
        total_tokens=sum(row[3] for row in rows),
    )


def read_record(connection: sqlite3.Connection, session: SessionID, max_tokens: int) -> SessionRecord | None:
    """Read a session's row, its live context of at most ``max_tokens``, and its pending messages.

    Raises:
        StoreFormatError: Any of it is damaged.
    """
    facts = read_facts(connection, session)
    if facts is None:
        return None
    if not facts.head_seq and facts.chain:
        raise StoreFormatError(f"{session}: damaged: expected an empty chain for an empty journal")
    context = live_context(entries_back(connection, facts, facts.epoch, facts.head_seq), max_tokens)
    pending = [read_span(connection, facts, seq, seq)[0] for seq in facts.pending]
    return SessionRecord(facts, tuple(context), tuple(pending))
