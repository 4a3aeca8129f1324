"""What a client hears: frozen values, one per piece of news, decoded from the wire.

A durable piece carries ``seq``; pieces without one (`TurnStarted`, `TurnDelta`, `QueueChanged`, some
`Notice`) are live only. Fields this version does not know are ignored.
"""

from typing import Any, Literal

import msgspec

from ..actors.events import QueueChanged, QueuedMessage, TurnDelta, TurnStarted
from ..persistence.records import Role, StopReason, ToolCall, TurnError

Wait = Literal["durable", "done"]


class HeardMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message.

    Attributes:
        seq: Its place in the session, dense from 1.
        epoch: The conversation it belongs to; compared only for equality.
        at: When it was accepted, RFC 3339 UTC.
        role: Who speaks.
        content: The text.
        client_id: The sender's own id for it.
        turn_id: The turn that produced it.
        tool_calls: Tools it asks for.
        tool_call_id: The call it answers.
        partial: Whether the text was cut short.
    """

    seq: int
    epoch: str
    at: str
    role: Role
    content: str
    client_id: str | None = None
    turn_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    partial: bool = False


class TurnEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A turn is over; ``message_seqs`` are answered unless ``will_retry``."""

    seq: int
    epoch: str
    at: str
    turn_id: str
    message_seqs: tuple[int, ...]
    stop_reason: StopReason
    will_retry: bool = False
    usage: dict[str, int] | None = None
    error: TurnError | None = None


class RunningTurn(msgspec.Struct, frozen=True):
    """A turn in the middle of its answer: all its text so far, ``offset`` code points of it."""

    turn_id: str
    text: str
    offset: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation as it stands: what came before cannot be told event by event.

    Attributes:
        info: The session's facts as the server shows them.
        epoch: The present epoch.
        head_seq: The newest durable event; later ones follow.
        messages: The newest messages of the epoch, oldest first.
        more: Whether older ones exist.
        queue: Messages waiting for a turn.
        turn: The running turn; its next delta starts at ``turn.offset``.
    """

    info: dict[str, Any]
    epoch: str
    head_seq: int
    messages: tuple[HeardMessage, ...]
    more: bool
    queue: tuple[QueuedMessage, ...] = ()
    turn: RunningTurn | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Any other event, as the server sent it."""

    type: str
    epoch: str
    at: str
    data: dict[str, Any]
    seq: int | None = None


ConversationEvent = HeardMessage | TurnEnded | TurnStarted | TurnDelta | QueueChanged | Snapshot | Notice


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """The server's word that a message is stored.

    Attributes:
        seq: Its place in the session.
        epoch: The conversation it joined.
        status: What becomes of it, e.g. ``accepted``, ``queued``, ``done`` or ``command``.
        duplicate: Whether an earlier try had stored it already.
        turn_id: The turn that answers it, if that has begun.
        stop_reason: How that turn ended, when it was waited for.
        text: The answer, when it was waited for.
        command: The name of the command that the message was, if it was one.
        result: What the method that the command stands for would have answered.
        error: The stable name of why the command failed.
    """

    seq: int
    epoch: str
    status: str
    duplicate: bool = False
    turn_id: str | None = None
    stop_reason: str | None = None
    text: str | None = None
    command: str | None = None
    result: dict[str, Any] = {}
    error: str | None = None


class History(msgspec.Struct, frozen=True):
    """A page of stored messages, oldest first; ``more`` says that older ones exist."""

    messages: tuple[HeardMessage, ...]
    more: bool


class WireEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of an event as they travel; ``seq`` marks it durable."""

    type: str
    at: str = ""
    session: str = ""
    epoch: str = ""
    seq: int | None = None
    data: dict[str, Any] = {}


class WireSnapshot(msgspec.Struct, frozen=True):
    """The part of an attach answer that stands for events no longer told one by one."""

    messages: tuple[HeardMessage, ...]
    more: bool


class AttachAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``session.attach``: what was missed, or a snapshot instead."""

    epoch: str
    head_seq: int
    recovered: bool
    info: dict[str, Any] = {}
    queue: tuple[QueuedMessage, ...] = ()
    turn: RunningTurn | None = None
    events: tuple[WireEvent, ...] = ()
    snapshot: WireSnapshot | None = None
