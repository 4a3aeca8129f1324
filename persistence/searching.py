"""The search index in SQLite: written behind the commits, read together with what it does not hold yet.

Indexing is not part of a commit, because many messages at once cost less each than one by one, and nobody
waits for it. The index holds every message up to its own last rowid. Rowids of the journal rise with time,
and one that a deletion set free is above all that are left; so what follows that last one is exactly what a
search has to read by itself.

Beside its words a message is indexed under the names of its session, agent, channel and peer, so that a
search within one of these does not walk through what the others said.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreFormatError
from .ids import SessionID
from .journal import read_span
from .listing import within
from .queries import read_facts
from .records import Body, Hit, Message, SessionFacts, SessionFilter
from .rows import SELECT_FACTS, facts_of
from .search import query_words, snippet, words

_PAGE = 256  # messages

_INDEXED = "SELECT coalesce(max(rowid), 0) FROM (SELECT rowid FROM search ORDER BY rowid DESC LIMIT 1)"
_UNINDEXED = (
    "SELECT journal.rowid, key, agent_id, channel_id, peer_id, body "
    "FROM journal JOIN session ON key = session "
    "WHERE journal.rowid > ? AND kind = 0 ORDER BY journal.rowid LIMIT ?"
)
_INSERT = "INSERT INTO search (rowid, words) VALUES (?, ?)"
_TAIL = (
    "SELECT rowid, session, seq, body FROM journal "
    "WHERE rowid > ? AND rowid < ? AND kind = 0 ORDER BY rowid DESC LIMIT ?"
)
_MATCHES = (
    "SELECT journal.rowid, journal.session, journal.seq "
    "FROM search JOIN journal ON journal.rowid = search.rowid "
    "WHERE search MATCH ? AND search.rowid < ? ORDER BY search.rowid DESC LIMIT ?"
)
_NAME_BYTES = 6
_decode_body = msgspec.json.Decoder(Body).decode
_NEWEST = 1 << 62  # above every rowid


def index_messages(connection: sqlite3.Connection, limit: int) -> int:
    """Add the oldest messages that are not in the index to it, inside a transaction; how many these were."""
    (after,) = connection.execute(_INDEXED).fetchone()
    rows: list[tuple[Any, ...]] = connection.execute(_UNINDEXED, (after, max(limit, 0))).fetchall()
    names: dict[int, list[str]] = {}
    indexed: list[tuple[int, str]] = []
    for rowid, key, agent, channel, peer, body in rows:
        if key not in names:
            names[key] = _names(key, agent, channel, peer)
        indexed.append((rowid, " ".join(names[key] + words(_content_of(body)))))
    connection.executemany(_INSERT, indexed)
    return len(rows)


def _names(key: int | None, agent: str | None, channel: str | None, peer: str | None) -> list[str]:
    """Words that begin with '_', as none of a message does; if two names share one, it costs time only."""
    names = [] if key is None else [f"_{key}"]
    for kind, name in (("a", agent), ("c", channel), ("p", peer)):
        if name is not None:
            names.append(f"_{kind}{blake2b(name.encode(), digest_size=_NAME_BYTES).hexdigest()}")
    return names


def _content_of(body: str) -> str:
    """The text of a stored message, for the search index; empty if the body is not a message of ours.

    Whoever reads that entry is told of the damage; a search must not fail for it in other sessions.
    """
    try:
        message = _decode_body(body)
    except ValueError:
        return ""
    return message.content if isinstance(message, Message) else ""


def read_hits(
    connection: sqlite3.Connection, query: str, where: SessionFilter, session: SessionID | None, limit: int
) -> list[Hit]:
    """Read the newest messages that hold every word of ``query``, of sessions that match ``where``.

    Raises:
        StoreFormatError: A message that was found is damaged.
    """
    wanted = query_words(query)
    try:
        names = _names(None, where.agent_id, where.channel_id, where.peer_id)
    except UnicodeEncodeError:
        return []  # no stored name holds a lone surrogate
    only = None if session is None else read_facts(connection, session)
    if not wanted or (session is not None and only is None):
        return []
    hits: list[Hit] = []
    rows: dict[int, SessionFacts | None] = {}
    for key, seq in _found(connection, wanted, names, None if only is None else only.key):
        if len(hits) >= limit:
            break
        if key not in rows:
            rows[key] = _matching(connection, key, where)
        facts = rows[key]
        if facts is not None:
            hits.append(_hit(connection, facts, seq, wanted))
    return hits


def _found(
    connection: sqlite3.Connection, wanted: list[str], names: list[str], only: int | None
) -> Iterator[tuple[int, int]]:
    (indexed,) = connection.execute(_INDEXED).fetchone()
    before = _NEWEST
    while rows := connection.execute(_TAIL, (indexed, before, _PAGE)).fetchall():
        for _, key, seq, body in rows:
            if only in (None, key) and set(wanted) <= set(words(_content_of(body))):
                yield key, seq
        before = rows[-1][0]
    terms = " ".join(f'"{word}"' for word in (*_names(only, None, None, None), *names, *wanted))
    before = indexed + 1
    while matches := _page(connection, terms, before):
        for _, key, seq in matches:
            yield key, seq
        before = matches[-1][0]


def _page(connection: sqlite3.Connection, terms: str, before: int) -> list[tuple[Any, ...]]:
    return connection.execute(_MATCHES, (terms, before, _PAGE)).fetchall()


def _matching(connection: sqlite3.Connection, key: int, where: SessionFilter) -> SessionFacts | None:
    row = connection.execute(SELECT_FACTS + " WHERE key = ?", (key,)).fetchone()
    facts = None if row is None else facts_of(row)
    return facts if facts is not None and within(facts, where) else None


def _hit(connection: sqlite3.Connection, facts: SessionFacts, seq: int, wanted: list[str]) -> Hit:
    (entry,) = read_span(connection, facts, seq, seq)
    if not isinstance(entry.body, Message):
        raise StoreFormatError(f"{facts.id}: damaged: expected a message at entry {seq}, met another")
    return Hit(facts.id, entry.epoch, seq, snippet(entry.body.content, wanted))
