"""What is read of journals, on a connection that stands in a read transaction.

Entries are always read as a span of seqs with the row before it, so that no entry leaves the store before its
hash was found to follow from the one before.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .chain import link
from .errors import StoreFormatError
from .records import Entry, Message, QueueRemoved, SessionFacts, TurnFinished
from .rows import INT64, SELECT_ENTRIES, entry_of

_FIRST_PAGE = 64  # entries; most live contexts fit two pages
_LARGEST_PAGE = 1024

_SPAN = SELECT_ENTRIES + " WHERE session = ? AND seq BETWEEN ? AND ? ORDER BY seq"
# Ends of turns and removals from the queue.
_USES = SELECT_ENTRIES + " WHERE kind = 1 AND session = ? AND seq > ? ORDER BY seq LIMIT ?"
_CLIENT_ID = "SELECT seq FROM journal WHERE session = ? AND client_id = ?"
# Epochs rise with seq, so that a bisection finds where one ends: no index to keep, some 17 probes in 100,000.
_LAST_OF_EPOCH = """
WITH RECURSIVE bisection(low, high) AS (
    SELECT 0, :head + 1
    UNION ALL
    SELECT
        iif((SELECT epoch FROM journal WHERE session = :key AND seq = (low + high) / 2) <= :epoch,
            (low + high) / 2, low),
        iif((SELECT epoch FROM journal WHERE session = :key AND seq = (low + high) / 2) <= :epoch,
            high, (low + high) / 2)
    FROM bisection WHERE high - low > 1
)
SELECT low FROM bisection WHERE high - low = 1
"""


def read_span(connection: sqlite3.Connection, facts: SessionFacts, first: int, last: int) -> list[Entry]:
    """Read the entries from ``first`` to ``last``, both included, and verify their hashes.

    Raises:
        StoreFormatError: A row is missing or does not follow from the row before it.
    """
    rows: list[tuple[Any, ...]] = connection.execute(_SPAN, (facts.key, first - 1, last)).fetchall()
    previous = b""
    expected = first
    entries: list[Entry] = []
    for row in rows:
        if row[0] == first - 1:
            previous = row[8]
            continue
        if row[0] != expected:
            break
        if link(previous, facts.id, row[:8]) != row[8]:
            raise StoreFormatError(f"{facts.id}: damaged: the hash of entry {expected} does not fit its row")
        previous = row[8]
        expected += 1
        entries.append(entry_of(row, facts.id))
    if expected <= last:
        raise StoreFormatError(f"{facts.id}: damaged: expected entry {expected}, met none")
    if last == facts.head_seq and previous != facts.chain:
        raise StoreFormatError(
            f"{facts.id}: damaged: entry {last} is not the one the session's row ends with"
        )
    return entries


def read_entries(
    connection: sqlite3.Connection, facts: SessionFacts, after_seq: int, limit: int
) -> list[Entry]:
    """Read entries of every kind and epoch, oldest first."""
    first = max(after_seq, 0) + 1
    last = min(first + limit - 1, facts.head_seq)
    return read_span(connection, facts, first, last) if first <= last else []


def read_history(
    connection: sqlite3.Connection, facts: SessionFacts, epoch: int, before_seq: int | None, limit: int
) -> list[Entry]:
    """Read the newest messages of one epoch before ``before_seq``, oldest first."""
    last = facts.head_seq if before_seq is None else min(before_seq - 1, facts.head_seq)
    entries = entries_back(connection, facts, epoch, last)
    messages = list(islice((entry for entry in entries if isinstance(entry.body, Message)), max(limit, 0)))
    messages.reverse()
    return messages


def read_outcome(
    connection: sqlite3.Connection, facts: SessionFacts, seq: int
) -> tuple[Entry, list[Entry]] | None:
    """Read the entry that used message ``seq`` up and, if it ended a turn, the messages of that turn."""
    if seq in facts.pending or not 1 <= seq <= facts.head_seq:
        return None
    after = seq
    while rows := connection.execute(_USES, (facts.key, after, _FIRST_PAGE)).fetchall():
        for row in rows:
            if uses_up(entry_of(row, facts.id), seq):
                (used,) = read_span(connection, facts, row[0], row[0])
                return used, _turn_messages(connection, facts, used)
        after = rows[-1][0]
    return None


def uses_up(entry: Entry, seq: int) -> bool:
    """Whether an entry is the end of the turn that used message ``seq`` up, or its removal from the queue."""
    body = entry.body
    if isinstance(body, QueueRemoved):
        return seq in body.seqs
    return isinstance(body, TurnFinished) and seq in body.message_seqs and not body.will_retry


def live_context(entries: Iterable[Entry], max_tokens: int) -> list[Entry]:
    """The newest messages that fit a budget, oldest first; at least one if there is any.

    Args:
        entries: A conversation's, newest first: a removal from the queue comes before what it removed.
        max_tokens: The budget.
    """
    context: list[Entry] = []
    removed: set[int] = set()
    tokens = 0
    for entry in entries:
        if isinstance(entry.body, QueueRemoved):
            removed.update(entry.body.seqs)
        elif isinstance(entry.body, Message) and entry.seq not in removed:
            tokens += entry.tokens
            if context and tokens > max_tokens:
                break
            context.append(entry)
    context.reverse()
    return context


def read_epochs(connection: sqlite3.Connection, facts: SessionFacts, limit: int) -> list[int]:
    """Read the newest epoch numbers that hold entries, newest first."""
    epochs: list[int] = []
    last = facts.head_seq
    while last and len(epochs) < limit:
        (entry,) = read_span(connection, facts, last, last)
        epochs.append(entry.epoch)
        last = _last_of_epoch(connection, facts, entry.epoch - 1)
    return epochs


def read_by_client_id(connection: sqlite3.Connection, facts: SessionFacts, client_id: str) -> Entry | None:
    """Read the entry of a stored session that carries a client id."""
    row = connection.execute(_CLIENT_ID, (facts.key, client_id)).fetchone()
    return None if row is None else read_span(connection, facts, row[0], row[0])[0]


def read_sent(connection: sqlite3.Connection, facts: SessionFacts, client_ids: Iterable[str]) -> list[Entry]:
    """Read the entries of a stored session that carry any of these client ids."""
    found = (read_by_client_id(connection, facts, client_id) for client_id in client_ids)
    return [entry for entry in found if entry is not None]


def _turn_messages(connection: sqlite3.Connection, facts: SessionFacts, finished: Entry) -> list[Entry]:
    body = finished.body
    if finished.turn_id is None or not isinstance(body, TurnFinished):
        return []
    # A turn speaks only after the messages it answers have come.
    span = read_span(connection, facts, max(1, min(body.message_seqs)), finished.seq)
    return [entry for entry in span if entry.turn_id == finished.turn_id and isinstance(entry.body, Message)]


def _last_of_epoch(connection: sqlite3.Connection, facts: SessionFacts, epoch: int) -> int:
    values = {"key": facts.key, "head": facts.head_seq, "epoch": min(epoch, INT64 - 1)}
    (seq,) = connection.execute(_LAST_OF_EPOCH, values).fetchone()
    return seq


def entries_back(
    connection: sqlite3.Connection, facts: SessionFacts, epoch: int, last: int
) -> Iterator[Entry]:
    """Walk one epoch's entries from ``last`` towards its beginning, in growing pages."""
    first = _last_of_epoch(connection, facts, epoch - 1) + 1
    if epoch != facts.epoch:
        last = min(last, _last_of_epoch(connection, facts, epoch))
    page = _FIRST_PAGE
    while last >= first:
        entries = read_span(connection, facts, max(first, last - page + 1), last)
        yield from reversed(entries)
        last -= page
        page = min(page * 2, _LARGEST_PAGE)
