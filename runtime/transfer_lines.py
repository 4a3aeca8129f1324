"""The lines of an export: what each holds, and how facts and entries become lines and lines become them.

An export is UTF-8 JSON, one object per line: the ``greenroom`` line with the format's number, then for each
session its ``session`` line and its ``entry`` lines in the order of their seqs, and the ``end`` line. A
``withdrawn`` line takes back the session before it, which was deleted while it was written.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta

from ..persistence.bodies import Body
from ..persistence.ids import SessionID
from ..persistence.records import Entry, SessionFacts, SessionState, TurnMark
from .checking import MAX_CLIENT_ID
from .info import utc

FORMAT: Final = 1
"""The number of the format; another one means other lines."""

LINE_BYTES: Final = 16 * 1024 * 1024
"""The longest line by default: JSON makes six bytes of one at most, and the largest content has 256 KiB."""

DIGEST_BYTES: Final = 16
"""128 bits, as in the store's chain."""

StateName = Literal["active", "idle", "compacting", "suspended", "archived"]

_LARGEST = (
    2**53 - 1
)  # exact in every JSON reader (RFC 8259, section 6), and what SQLite holds counts on from it
_Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
_Seq = Annotated[int, Meta(ge=1, le=_LARGEST)]
_Tokens = Annotated[int, Meta(ge=0, le=2**31 - 1)]  # so few that no sum of them passes what SQLite holds
_ClientId = Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_ID)]
_TurnId = Annotated[str, Meta(min_length=1, max_length=64)]  # as on the wire
_Time = Annotated[datetime, Meta(tz=True)]
_Hash = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2})*\Z")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HeaderLine(msgspec.Struct, frozen=True, tag="greenroom", tag_field="line"):
    """Begins an export; a newer format may say more."""

    format: int


class TurnLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A turn that was begun and not yet finished."""

    turn_id: _TurnId
    attempt: _Seq
    message_seqs: Annotated[tuple[_Seq, ...], Meta(min_length=1)]
    is_waiting: bool = False


class SessionLine(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="session", tag_field="line"
):
    """The facts of a session; ``entries`` lines of its journal follow.

    Attributes:
        tag: Of the epochs that its clients saw, for people; an import draws another.
        chain: Hash over the journal, hexadecimal; empty if whoever wrote the file could not tell.
        message_count: Messages in the live context, for people; an import counts them anew.
        token_count: Their tokens, for people too.
    """

    id: str
    state: StateName
    epoch: _Seq
    tag: str = ""
    entries: _Count
    chain: _Hash = ""
    title: str = ""
    summary: str = ""
    system_prompt: str = ""
    tags: tuple[str, ...] = ()
    custom_data: dict[str, str] = {}
    message_count: _Count = 0
    token_count: _Count = 0
    compaction_count: _Count = 0
    pending: tuple[_Seq, ...] = ()
    turn: TurnLine | None = None
    created_at: _Time
    updated_at: _Time
    last_active_at: _Time
    compacted_at: _Time | None = None
    archived_at: _Time | None = None


class EntryLine(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag="entry",
    tag_field="line",
):
    """One entry of the journal of the session above."""

    seq: _Seq
    epoch: _Seq
    at: _Time
    tokens: _Tokens = 0
    client_id: _ClientId | None = None
    turn_id: str | None = None
    body: Body


class WithdrawnLine(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="withdrawn", tag_field="line"
):
    """The session above was deleted while it was written: it is not part of the export."""


class EndLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="end", tag_field="line"):
    """Ends an export.

    Attributes:
        sessions: How many it holds, without those withdrawn.
        digest: BLAKE2b of `DIGEST_BYTES` over all lines before, hexadecimal; empty if whoever wrote the
            file, or changed it on purpose, could not tell.
    """

    sessions: int
    digest: _Hash = ""


Line = SessionLine | EntryLine | WithdrawnLine | EndLine


def session_line(facts: SessionFacts) -> SessionLine:
    """What an export says of a stored row."""
    turn = facts.turn
    return SessionLine(
        id=str(facts.id),
        state=cast("StateName", str(facts.state)),
        epoch=facts.epoch,
        tag=facts.tag,
        entries=facts.head_seq,
        chain=facts.chain.hex(),
        title=facts.title,
        summary=facts.summary,
        system_prompt=facts.system_prompt,
        tags=facts.tags,
        custom_data=facts.custom_data,
        message_count=facts.message_count,
        token_count=facts.token_count,
        compaction_count=facts.compaction_count,
        pending=facts.pending,
        turn=None if turn is None else TurnLine(*msgspec.structs.astuple(turn)),
        created_at=utc(facts.created_at),
        updated_at=utc(facts.updated_at),
        last_active_at=utc(facts.last_active_at),
        compacted_at=None if facts.compacted_at is None else utc(facts.compacted_at),
        archived_at=None if facts.archived_at is None else utc(facts.archived_at),
    )


def facts_of_line(line: SessionLine, tag: str) -> SessionFacts:
    """The row that a session line stands for, under a tag of its own.

    Raises:
        ValueError: The id is not a session's, or a time is none that `utc` can show.
    """
    turn = line.turn
    return SessionFacts(
        id=SessionID.parse(line.id),
        state=SessionState[line.state.upper()],
        epoch=line.epoch,
        tag=tag,
        head_seq=line.entries,
        chain=bytes.fromhex(line.chain),
        title=line.title,
        summary=line.summary,
        system_prompt=line.system_prompt,
        tags=line.tags,
        custom_data=line.custom_data,
        message_count=line.message_count,
        token_count=line.token_count,
        compaction_count=line.compaction_count,
        pending=line.pending,
        turn=None if turn is None else TurnMark(*msgspec.structs.astuple(turn)),
        created_at=_stored_time("created_at", line.created_at),
        updated_at=_stored_time("updated_at", line.updated_at),
        last_active_at=_stored_time("last_active_at", line.last_active_at),
        compacted_at=None if line.compacted_at is None else _stored_time("compacted_at", line.compacted_at),
        archived_at=None if line.archived_at is None else _stored_time("archived_at", line.archived_at),
    )


def entry_line(entry: Entry) -> EntryLine:
    """What an export says of an entry."""
    return EntryLine(
        seq=entry.seq,
        epoch=entry.epoch,
        at=utc(entry.at),
        tokens=entry.tokens,
        client_id=entry.client_id,
        turn_id=entry.turn_id,
        body=entry.body,
    )


def entry_of_line(line: EntryLine) -> Entry:
    """The entry that a line stands for.

    Raises:
        ValueError: Its time is none that `utc` can show.
    """
    at = _stored_time("at", line.at)
    return Entry(line.seq, line.epoch, at, line.body, line.tokens, line.client_id, line.turn_id)


def microseconds(at: datetime) -> int:
    """A time as it is stored; exact, the reverse of `utc`."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _stored_time(field: str, at: datetime) -> int:
    """A time as it is stored, if it can be shown again: its zone may lie beyond the years that UTC has."""
    stored = microseconds(at)
    try:
        utc(stored)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{field}: expected a time in the years 1 to 9999 of UTC, met {at.isoformat()}"
        ) from error
    return stored
