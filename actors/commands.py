"""What a session can be asked: the closed set of commands, and the values they are answered with."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from ..persistence.records import Entry, Message, SessionFacts, StopReason, TurnError
from .events import QueuedMessage, Subscriber
from .reply import Reply

SendMode = Literal["followup", "collect", "steer", "interrupt", "reject"]
SendStatus = Literal["accepted", "queued", "done"]


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A message is durable.

    Attributes:
        seq: Its place in the session's journal.
        epoch: The opaque epoch string it was stored under.
        status: ``accepted`` (its turn has been started), ``queued`` behind another, or ``done``.
        duplicate: It was stored by an earlier send with the same client id.
        turn_id: The turn that answers or answered it, where known.
        stop_reason: How that turn ended, for a sender that waited for it.
        text: What that turn said, for a sender that waited for it.
    """

    seq: int
    epoch: str
    status: SendStatus
    duplicate: bool
    turn_id: str | None = None
    stop_reason: StopReason | None = None
    text: str | None = None


class RunningTurn(msgspec.Struct, frozen=True):
    """The turn in progress: all it has said so far; ``offset`` is where its next delta starts."""

    turn_id: str
    text: str
    offset: int


class Snapshot(msgspec.Struct, frozen=True):
    """The newest messages of the current epoch, oldest first; ``more`` if there are older ones."""

    messages: tuple[Entry, ...]
    more: bool


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription has begun.

    Attributes:
        facts: The session's row.
        queue: Messages waiting for a turn.
        turn: The turn in progress, if one runs.
        backlog: Every entry after the position the subscriber named, or a snapshot where that cannot be
            given.
    """

    facts: SessionFacts
    queue: tuple[QueuedMessage, ...]
    turn: RunningTurn | None
    backlog: tuple[Entry, ...] | Snapshot


@dataclass(frozen=True, slots=True)
class Send:
    """Store a user message and have it answered.

    ``mode`` says what becomes of it while a turn runs: ``followup`` waits for a turn of its own, ``reject``
    is refused as busy, the others are not supported; when none runs, all start one. With ``until_done`` the
    answer comes when that turn has finished.
    """

    client_id: str
    content: str
    reply: Reply[Ack]
    mode: SendMode = "followup"
    until_done: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Store a message of any role; it starts no turn."""

    message: Message
    reply: Reply[Entry]


@dataclass(frozen=True, slots=True)
class Open:
    """Answer the session's facts; create it if it is missing."""

    reply: Reply[SessionFacts]


@dataclass(frozen=True, slots=True)
class Attach:
    """Subscribe to the session's events, from a position on if one is named.

    ``after`` is the opaque epoch string and seq of the last event the subscriber has.
    """

    subscriber: Subscriber
    reply: Reply[Attached]
    after: tuple[str, int] | None = None
    create: bool = True


@dataclass(frozen=True, slots=True)
class Barrier:
    """Answered when every command before it has taken effect."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class EndTurn:
    """A turn's agent has ended; its text and its end are to be stored together."""

    turn_id: str
    text: str
    stop_reason: StopReason
    reply: Reply[None]
    error: TurnError | None = None


Command = Send | Record | Open | Attach | Barrier | EndTurn
Stepped = Send | Record | Open | Barrier | EndTurn
