"""What is read of sessions, on a connection that stands in a read transaction."""

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreFormatError
from .ids import SessionID
from .journal import messages_back, read_span
from .records import Entry, SessionFacts, SessionFilter, SessionRecord, StoreStats
from .rows import INT64, SELECT_FACTS, facts_of

_FACTS = SELECT_FACTS + " WHERE id = ?"
_UNFINISHED = SELECT_FACTS + " WHERE (pending <> '[]' OR turn IS NOT NULL) AND key > ? ORDER BY key LIMIT ?"
_STATS = "SELECT state, count(*), sum(message_count), sum(token_count) FROM session GROUP BY state"


def read_facts(connection: sqlite3.Connection, session: SessionID) -> SessionFacts | None:
    """Read one session's row."""
    row = connection.execute(_FACTS, (str(session),)).fetchone()
    return None if row is None else facts_of(row)


def read_list(connection: sqlite3.Connection, where: SessionFilter) -> list[SessionFacts]:
    """Read the rows that match, newest activity first, ties by id."""
    terms: list[str] = []
    values: list[str | int] = []
    for term, value in (
        ("agent_id = ?", where.agent_id),
        ("channel_id = ?", where.channel_id),
        ("peer_id = ?", where.peer_id),
        ("state = ?", None if where.state is None else int(where.state)),
        ("created_at > ?", None if where.created_after is None else _clamp(where.created_after)),
        ("created_at < ?", None if where.created_before is None else _clamp(where.created_before)),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    condition = f" WHERE {' AND '.join(terms)}" if terms else ""
    sql = f"{SELECT_FACTS}{condition} ORDER BY last_active_at DESC, id LIMIT ? OFFSET ?"
    window = (_clamp(where.limit) if where.limit > 0 else -1, _clamp(where.offset))
    try:
        rows = connection.execute(sql, (*values, *window)).fetchall()
    except UnicodeEncodeError:
        return []  # no stored text holds a lone surrogate
    return [facts_of(row) for row in rows]


def read_unfinished(connection: sqlite3.Connection, after_key: int, limit: int) -> list[SessionFacts]:
    """Read rows with pending messages or a begun turn, by rising key."""
    values = (_clamp(after_key), _clamp(max(limit, 0)))
    return [facts_of(row) for row in connection.execute(_UNFINISHED, values).fetchall()]


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
    """Read a session's row, the newest messages of its epoch that fit ``max_tokens``, and its pending ones.

    Raises:
        StoreFormatError: Any of it is damaged.
    """
    facts = read_facts(connection, session)
    if facts is None:
        return None
    if not facts.head_seq and facts.chain:
        raise StoreFormatError(f"{session}: damaged: expected an empty chain for an empty journal")
    context: list[Entry] = []
    tokens = 0
    for message in messages_back(connection, facts, facts.epoch, facts.head_seq):
        tokens += message.tokens
        if context and tokens > max_tokens:
            break
        context.append(message)
    context.reverse()
    pending = [read_span(connection, facts, seq, seq)[0] for seq in facts.pending]
    return SessionRecord(facts, tuple(context), tuple(pending))


def _clamp(number: int) -> int:
    return max(-INT64, min(number, INT64 - 1))
