"""What a session tells those attached to it: durable entries and live news, past tense, immutable."""

from typing import Protocol

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import Entry, SessionEnded


class QueuedMessage(msgspec.Struct, frozen=True):
    """A stored message whose turn has not started."""

    seq: int
    content: str


class TurnStarted(msgspec.Struct, frozen=True):
    """An agent was given these messages."""

    turn_id: str
    message_seqs: tuple[int, ...]


class TurnDelta(msgspec.Struct, frozen=True):
    """The next piece of a turn's text; ``offset`` counts the code points before it."""

    turn_id: str
    offset: int
    text: str


class QueueChanged(msgspec.Struct, frozen=True):
    """The messages now waiting for a turn."""

    queue: tuple[QueuedMessage, ...]


class StateChanged(msgspec.Struct, frozen=True):
    """The session's life-cycle state is another one now."""

    state: str
    reason: str | None = None


class Resync(msgspec.Struct, frozen=True):
    """Deltas were dropped for one slow subscriber; none follow until it attaches again."""


Live = TurnStarted | TurnDelta | QueueChanged | StateChanged | Resync | SessionEnded
"""What is not stored; `SessionEnded` when the session was deleted: nothing is left to store it in."""


class Event(msgspec.Struct, frozen=True):
    """One piece of news.

    Attributes:
        session: Whose news it is.
        epoch: The opaque epoch string at that time.
        at: When, in microseconds since the Unix epoch.
        data: A durable journal entry, or live news that is not stored.
    """

    session: SessionID
    epoch: str
    at: int
    data: Entry | Live


class Subscriber(Protocol):
    """Receives a session's events; it must return at once and never raise."""

    def offer(self, event: Event, /) -> None:
        """Take one event."""
        ...
