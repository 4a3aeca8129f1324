"""Listing sessions by any field, without reading every row and without an index per field to rewrite.

Every message moves its session in `session_by_activity` and `session_by_state`. A third such index would cost
each append more; so the first carries the other fields too. A value that few sessions share is asked by the
field's own index, which appends do not touch, and what it finds is sorted. One that many share is met soon
enough on a walk through the activity.
"""

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .records import SessionFacts, SessionFilter
from .rows import SELECT_FACTS, clamp, sound

FEW = 1000
"""Rows from which on a walk is tried: to sort a thousand takes 1 ms, to walk past 200,000 takes 17 ms."""

Terms = list[tuple[str, str | int]]
"""Conditions, each with its value."""


def read_list(connection: sqlite3.Connection, where: SessionFilter) -> list[SessionFacts]:
    """Read the rows that match, newest activity first, ties by id."""
    terms = _terms(where)
    values = [value for _, value in terms]
    window = (clamp(where.limit) if where.limit > 0 else -1, clamp(where.offset))
    try:
        sql = statement(terms, _index(connection, where, terms))
        rows = connection.execute(sql, (*values, *window)).fetchall()
    except UnicodeEncodeError:
        return []  # no stored text holds a lone surrogate
    return list(sound(rows))


def statement(terms: Terms, index: str) -> str:
    """The query for rows that match ``terms``: which ones by one index, then those rows alone."""
    condition = f" WHERE {' AND '.join(term for term, _ in terms)}" if terms else ""
    keys = (
        f"SELECT key AS found FROM session INDEXED BY {index}{condition} "  # noqa: S608 - constants
        "ORDER BY last_active_at DESC, id LIMIT ? OFFSET ?"
    )
    return f"{SELECT_FACTS} JOIN ({keys}) ON key = found ORDER BY last_active_at DESC, id"


def within(facts: SessionFacts, where: SessionFilter) -> bool:
    """Whether a row matches a filter."""
    return (
        where.agent_id in (None, facts.id.agent_id)
        and where.channel_id in (None, facts.id.channel_id)
        and where.peer_id in (None, facts.id.peer_id)
        and where.state in (None, facts.state)
        and (where.created_after is None or facts.created_at > where.created_after)
        and (where.created_before is None or facts.created_at < where.created_before)
    )


def _terms(where: SessionFilter) -> Terms:
    asked: list[tuple[str, str | int | None]] = [
        ("peer_id = ?", where.peer_id),
        ("agent_id = ?", where.agent_id),
        ("channel_id = ?", where.channel_id),
        ("created_at > ?", None if where.created_after is None else clamp(where.created_after)),
        ("created_at < ?", None if where.created_before is None else clamp(where.created_before)),
        ("state = ?", None if where.state is None else int(where.state)),
    ]
    return [(term, value) for term, value in asked if value is not None]


_INDEXES = {
    "peer_id": "session_by_peer",
    "agent_id": "session_by_agent",
    "channel_id": "session_by_channel",
    "created_at": "session_by_creation",
    "state": "session_by_state",
}


def _index(connection: sqlite3.Connection, where: SessionFilter, terms: Terms) -> str:
    if len(terms) == 1 and where.state is not None:
        return "session_by_state"
    for column, index in _INDEXES.items():
        asked = [(term, value) for term, value in terms if term.startswith(column)]
        if asked and _are_few(connection, index, asked):
            return index
    return "session_by_activity"


def _are_few(connection: sqlite3.Connection, index: str, terms: Terms) -> bool:
    condition = " AND ".join(term for term, _ in terms)
    found = f"SELECT 1 FROM session INDEXED BY {index} WHERE {condition} LIMIT {FEW}"  # noqa: S608 - constants
    values = [value for _, value in terms]
    (count,) = connection.execute(f"SELECT count(*) FROM ({found})", values).fetchone()  # noqa: S608 - constants
    return count < FEW
