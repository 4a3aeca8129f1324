"""What an entry of a journal says: one frozen record per kind of durable event.

``kind`` in the stored JSON is the record's tag: the type that the event has for those who watch a session.
"""

import enum
from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
StopReason = Literal[
    "end_turn", "cancelled", "max_tokens", "refusal", "error", "timeout", "budget", "interrupted"
]


class EndReason(enum.StrEnum):
    """Why a conversation ended: by whose word, or by silence."""

    ARCHIVE = "archive"
    RESET = "reset"
    DELETE = "delete"
    TIMEOUT = "timeout"
    NEW = "new"


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A model's request to run a tool; ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="message", tag_field="kind"):
    """One utterance: the journal's most frequent entry.

    Attributes:
        role: Who speaks.
        content: The text.
        tool_calls: Tools an assistant message asks for.
        tool_call_id: The call that a tool message answers.
        partial: The text was cut short by Stop or by a drain.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    partial: bool = False


class TurnError(msgspec.Struct, frozen=True, gc=False):
    """Why a turn failed: a stable name and one sentence, never the peer's text."""

    name: str
    message: str


class TurnFinished(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="turn.finished", tag_field="kind"
):
    """The end of one attempt to answer ``message_seqs``; they stay pending if ``will_retry``."""

    message_seqs: tuple[int, ...]
    stop_reason: StopReason
    will_retry: bool = False
    usage: dict[str, int] | None = None
    error: TurnError | None = None


class SessionUpdated(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="session.updated", tag_field="kind"
):
    """Facts that people or the host set anew; None stands for a fact that was left alone."""

    title: str | None = None
    tags: tuple[str, ...] | None = None
    custom_data: dict[str, str] | None = None
    system_prompt: str | None = None
    summary: str | None = None


class SessionEnded(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="session.ended", tag_field="kind"
):
    """The end of a conversation; ``next_epoch`` is the number of the one that follows, if one does."""

    reason: EndReason
    end_id: str
    next_epoch: int | None = None


class CommandRan(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="command", tag_field="kind"):
    """A message that was a command; ``error`` is the stable name of why it failed."""

    name: str
    error: str | None = None


class QueueRemoved(msgspec.Struct, frozen=True, gc=False, tag="queue.removed", tag_field="kind"):
    """Messages taken out of the queue before any turn began with them."""

    seqs: tuple[int, ...]


Body = Message | TurnFinished | SessionUpdated | SessionEnded | CommandRan | QueueRemoved
