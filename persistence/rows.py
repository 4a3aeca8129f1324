"""Records as rows and rows as records: the one place that knows the order of columns.

JSON columns: tags, custom_data, pending and turn of a session, body of an entry. An entry's ``kind`` repeats
of its body what indexes and reads of messages alone need: 0 is a message, 1 what uses messages up.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from .chain import Columns, link
from .errors import StoreFormatError, UnstorableError
from .ids import SessionID
from .records import (
    Append,
    Body,
    CommandRan,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionState,
    SessionUpdated,
    TurnFinished,
    TurnMark,
)

Row = tuple[Any, ...]
"""One row as SQLite gives or takes it."""

_FACTS_COLUMNS = (
    "key, agent_id, channel_id, peer_id, thread_id, created_at, state, epoch, head_seq, message_count, "
    "token_count, compaction_count, updated_at, last_active_at, compacted_at, tag, chain, pending, turn, "
    "title, tags, custom_data, system_prompt, summary, archived_at"
)
IDENTITY_COLUMNS = ["id", *_FACTS_COLUMNS.split(", ")[1:6]]
"""The columns of `identity_values`, in its order."""

MUTABLE_COLUMNS = _FACTS_COLUMNS.split(", ")[6:]
"""The columns of `mutable_values`, in its order."""

SELECT_FACTS = f"SELECT {_FACTS_COLUMNS} FROM session"  # noqa: S608 - constants
"""Reads rows for `facts_of`; a condition follows."""

SELECT_ENTRIES = "SELECT seq, epoch, kind, at, tokens, client_id, turn_id, body, hash FROM journal"
"""Reads rows for `entry_of`; a condition follows."""

_KINDS: dict[type[Body], int] = {
    Message: 0,  # indexes name 0 and 1
    TurnFinished: 1,
    QueueRemoved: 1,
    SessionUpdated: 2,
    SessionEnded: 3,
    CommandRan: 4,
}

INT64 = 1 << 63
"""SQLite's integers are below it, and not below its negative."""

_encode = msgspec.json.Encoder().encode
_decode_body = msgspec.json.Decoder(Body).decode
_decode_tags = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_custom_data = msgspec.json.Decoder(dict[str, str]).decode
_decode_pending = msgspec.json.Decoder(tuple[int, ...]).decode
_decode_turn = msgspec.json.Decoder(TurnMark).decode


def clamp(number: int) -> int:
    """The integer nearest to ``number`` that SQLite can hold."""
    return max(-INT64, min(number, INT64 - 1))


def identity_values(facts: SessionFacts) -> Row:
    """The columns that never change, in the order of `IDENTITY_COLUMNS`.

    Indexes on these alone cost an append nothing.
    """
    name = facts.id
    return (str(name), name.agent_id, name.channel_id, name.peer_id, name.thread_id, facts.created_at)


def mutable_values(facts: SessionFacts, head_seq: int, chain: bytes) -> Row:
    """The columns a commit replaces, in the order of `MUTABLE_COLUMNS`.

    Raises:
        UnicodeEncodeError: A text inside a JSON column is not valid Unicode.
    """
    return (
        int(facts.state),
        facts.epoch,
        head_seq,
        facts.message_count,
        facts.token_count,
        facts.compaction_count,
        facts.updated_at,
        facts.last_active_at,
        facts.compacted_at,
        facts.tag,
        chain,
        _encode(facts.pending).decode() if facts.pending else "[]",
        None if facts.turn is None else _encode(facts.turn).decode(),
        facts.title,
        _encode(facts.tags).decode() if facts.tags else "[]",
        _encode(facts.custom_data).decode() if facts.custom_data else "{}",
        facts.system_prompt,
        facts.summary,
        facts.archived_at,
    )


def facts_of(row: Row) -> SessionFacts:
    """Read one session row read by `SELECT_FACTS`.

    Raises:
        StoreFormatError: A column holds what this program never writes.
    """
    try:
        return SessionFacts(
            key=row[0],
            id=SessionID(row[1], row[2], row[3], row[4]),
            created_at=row[5],
            state=SessionState(row[6]),
            epoch=row[7],
            head_seq=row[8],
            message_count=row[9],
            token_count=row[10],
            compaction_count=row[11],
            updated_at=row[12],
            last_active_at=row[13],
            compacted_at=row[14],
            tag=row[15],
            chain=row[16],
            pending=() if row[17] == "[]" else _decode_pending(row[17]),
            turn=None if row[18] is None else _decode_turn(row[18]),
            title=row[19],
            tags=() if row[20] == "[]" else _decode_tags(row[20]),
            custom_data={} if row[21] == "{}" else _decode_custom_data(row[21]),
            system_prompt=row[22],
            summary=row[23],
            archived_at=row[24],
        )
    except ValueError as error:  # of SessionID, SessionState and msgspec alike
        raise StoreFormatError(f"session row {row[0]}: expected a row of ours, met {error}") from error


def sound(rows: Iterable[Row]) -> Iterator[SessionFacts]:
    """Read session rows but for damaged ones, which are named when they are loaded and stop no others."""
    for row in rows:
        with suppress(StoreFormatError):
            yield facts_of(row)


def entry_of(row: Row, session: SessionID) -> Entry:
    """Read one journal row read by `SELECT_ENTRIES`.

    Raises:
        StoreFormatError: The body is not one this program writes.
    """
    try:
        body = _decode_body(row[7])
    except ValueError as error:
        raise StoreFormatError(f"{session}: entry {row[0]}: expected a known body, met {error}") from error
    return Entry(row[0], row[1], row[3], body, row[4], row[5], row[6])


def journal_rows(append: Append) -> list[Row]:
    """The rows an append adds to its session's journal, in the order of `SELECT_ENTRIES`.

    Raises:
        UnstorableError: A value cannot be stored, a pending message is not there, or the seqs leave a gap.
    """
    facts = append.facts
    if append.removes and append.entries:
        raise UnstorableError(f"{facts.id}: expected no entries beside a removal, met {len(append.entries)}")
    rows: list[Row] = []
    chain, seq = facts.chain, append.base_seq
    for entry in append.entries:
        seq += 1
        body = entry.body
        if entry.seq != seq:
            raise UnstorableError(f"{facts.id}: expected entry {seq}, met {entry.seq}")
        try:
            columns: Columns = (
                seq,
                entry.epoch,
                _KINDS[type(body)],
                entry.at,
                entry.tokens,
                entry.client_id,
                entry.turn_id,
                _encode(body).decode(),
            )
            chain = link(chain, facts.id, columns)
        except (ValueError, OverflowError) as error:
            raise UnstorableError(
                f"{facts.id}: entry {seq}: expected storable values, met {error}"
            ) from error
        rows.append((*columns, chain))
    if seq != facts.head_seq:
        raise UnstorableError(f"{facts.id}: expected entries up to {facts.head_seq}, met them up to {seq}")
    require_pending(facts, seq)
    return rows


def require_pending(facts: SessionFacts, head_seq: int) -> None:
    """Refuse pending seqs that the journal does not have: the session could not be loaded again.

    Raises:
        UnstorableError: One lies outside the journal.
    """
    for seq in facts.pending:
        if not 1 <= seq <= head_seq:
            raise UnstorableError(f"{facts.id}: expected pending entries up to {head_seq}, met {seq}")


def require_storable(facts: SessionFacts, chain: bytes, rows: Sequence[Row] = ()) -> None:
    """Refuse what SQLite refuses, for a store without SQLite.

    Raises:
        UnstorableError: A text is not valid Unicode, or a number needs more than 64 bits.
    """
    try:
        for row in (identity_values(facts), mutable_values(facts, facts.head_seq, chain), *rows):
            for value in row:
                if isinstance(value, str):
                    value.encode()
                elif isinstance(value, int):
                    value.to_bytes(8, signed=True)
    except (ValueError, OverflowError) as error:
        raise UnstorableError(f"{facts.id}: expected storable values, met {error}") from error
