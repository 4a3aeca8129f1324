"""What a step leads to besides a new state: the closed set of things the session actor then does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..persistence.records import Entry, SessionFacts, TurnMark
from .commands import Ack, Send
from .errors import GreenroomError
from .reply import Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """Resolve a reply."""

    reply: Reply[Any]
    value: object


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """Resolve a reply with what ``value`` makes of the session's row as stored."""

    reply: Reply[Any]
    value: Callable[[SessionFacts], object]


@dataclass(frozen=True, slots=True)
class AnswerWhenTold:
    """Resolve a reply once everyone who wants to know the end in this step was told."""

    reply: Reply[Any]
    value: object


@dataclass(frozen=True, slots=True)
class Refuse:
    """Reject a reply."""

    reply: Reply[Any]
    error: GreenroomError


@dataclass(frozen=True, slots=True)
class RefuseUnlessKnown:
    """Reject a message, unless the store knows its client id: a repeat is answered, however busy it is."""

    command: Send
    error: GreenroomError


@dataclass(frozen=True, slots=True)
class AnswerWhenDone:
    """Resolve a reply with how the turn that answers ``ack.seq`` ended, once it has.

    If nobody ever answers, a sender that waits (``until_done``) is told so.
    """

    reply: Reply[Ack]
    ack: Ack
    until_done: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """Run the agent on these messages."""

    mark: TurnMark
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A turn's end is part of this step; whoever waits for its messages is to be told."""

    entry: Entry
    text: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages were taken out of the queue; whoever waits for them is to be told."""

    entry: Entry


Reaction = Answer | AnswerFacts | AnswerWhenTold | AnswerWhenDone | Refuse | RefuseUnlessKnown
Effect = Reaction | Begin | Finished | Dropped
