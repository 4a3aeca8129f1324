"""What a session can be asked: the closed set of commands, and the values they are answered with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from ..persistence.records import (
    Entry,
    Message,
    SessionFacts,
    SessionState,
    SessionUpdated,
    StopReason,
    TurnError,
)
from .events import QueuedMessage, Subscriber
from .reply import Reply

SendMode = Literal["followup", "collect", "steer", "interrupt", "reject"]
SendStatus = Literal["accepted", "queued", "done", "command", "removed"]
EndVerb = Literal["new", "reset", "archive", "delete"]


class Stopped(msgspec.Struct, frozen=True):
    """What Stop did: the turns it cancelled and the messages it took out of the queue."""

    cancelled: tuple[str, ...]
    removed: tuple[QueuedMessage, ...]


class CommandOutcome(msgspec.Struct, frozen=True):
    """What a message that was a command led to.

    Attributes:
        command: Its name, without the slash.
        result: The session's facts afterwards, what Stop did, or a text; None if it failed.
        error: The stable name of why it failed.
    """

    command: str
    result: SessionFacts | Stopped | str | None = None
    error: str | None = None


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A message is durable.

    Attributes:
        seq: Its place in the session's journal.
        epoch: The opaque epoch string it was stored under.
        status: ``accepted`` (its turn has been started), ``queued`` behind another, ``done``, ``command``
            (it was one), or ``removed`` from the queue before any turn.
        duplicate: It was stored by an earlier send with the same client id.
        turn_id: The turn that answers or answered it, where known.
        stop_reason: How that turn ended, for a sender that waited for it.
        text: What that turn said, for a sender that waited for it.
        outcome: What came of it, if it was a command.
    """

    seq: int
    epoch: str
    status: SendStatus
    duplicate: bool
    turn_id: str | None = None
    stop_reason: StopReason | None = None
    text: str | None = None
    outcome: CommandOutcome | None = None


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
class Cancel:
    """Cut a turn off, the one named or whichever runs; answered with the ids of those that were."""

    reply: Reply[tuple[str, ...]]
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveQueued:
    """Take a message whose turn has not begun out of the queue, or all of them; answered with those taken."""

    reply: Reply[tuple[QueuedMessage, ...]]
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Set facts anew.

    ``change`` says what to set, from the facts as they are when the command's turn comes; it is pure.
    """

    change: Callable[[SessionFacts], SessionUpdated]
    reply: Reply[SessionFacts]
    create: bool = True


@dataclass(frozen=True, slots=True)
class Expected:
    """The epoch string and head seq that a session must have for a command to be carried out, if given."""

    epoch: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End the conversation; answered with the facts afterwards, after a deletion with those before it."""

    verb: EndVerb
    reply: Reply[SessionFacts]
    expected: Expected = Expected()


@dataclass(frozen=True, slots=True)
class Age:
    """Let silence take effect: go on to state ``to``, None for deletion, if nothing has happened meanwhile.

    That is if the session is still in ``state``, no turn runs or waits, and it has been silent (archived, if
    that is its state) since before ``before``, in microseconds since the Unix epoch. Answered with whether it
    went on.
    """

    state: SessionState
    to: SessionState | None
    before: int
    reply: Reply[bool]


@dataclass(frozen=True, slots=True)
class SetState:
    """Go on to a state, as far as the table of transitions allows."""

    to: SessionState
    reply: Reply[SessionFacts]


@dataclass(frozen=True, slots=True)
class Barrier:
    """Answered when every command before it has taken effect."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class Look:
    """Asks nothing: a session that was started and finds nothing to do leaves."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class CallTurn:
    """A turn that had to wait for a place has one; answered with whether its agent is to be called.

    From then on it counts as one that was run, whatever becomes of this process.
    """

    turn_id: str
    reply: Reply[bool]


@dataclass(frozen=True, slots=True)
class EndTurn:
    """A turn's agent has ended, or was never called; its text and its end are to be stored together."""

    turn_id: str
    text: str
    stop_reason: StopReason
    reply: Reply[None]
    error: TurnError | None = None
    was_called: bool = True


Lone = Cancel | RemoveQueued | Update | End | Age | SetState
"""Commands with a commit of their own: they look at what is stored, or set what others depend on."""

Stepped = Send | Record | Open | Barrier | CallTurn | EndTurn | Lone
Command = Stepped | Attach | Look
