"""One session as a `SessionManager` is to keep it: facts and a journal, in plain Python."""

from dataclasses import dataclass, field
from typing import NamedTuple

from greenroom.actors.life import TRANSITIONS, Turning
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionState

HOLD = "hold"  # a message whose turn lasts until it is let go
ACTIVE = SessionState.ACTIVE


class Line(NamedTuple):
    """One entry of a journal, without the ids that are drawn."""

    seq: int
    epoch: int
    at: int
    kind: str
    what: object
    client_id: str | None = None


def answer_to(content: str) -> str:
    """What the agent of these tests answers."""
    return f"re {content}"


@dataclass
class Kept:
    """One stored session."""

    id: SessionID
    created_at: int
    updated_at: int
    last_active_at: int
    state: SessionState = ACTIVE
    epoch: int = 1
    archived_at: int | None = None
    title: str = ""
    summary: str = ""
    system_prompt: str = ""
    tags: tuple[str, ...] = ()
    custom_data: dict[str, str] = field(default_factory=dict[str, str])
    journal: list[Line] = field(default_factory=list[Line])
    live: list[int] = field(default_factory=list[int])
    running: int | None = None
    waiting: list[int] = field(default_factory=list[int])

    @property
    def head(self) -> int:
        """The newest seq."""
        return len(self.journal)

    @property
    def pending(self) -> list[int]:
        """What no turn has used up."""
        return [*([] if self.running is None else [self.running]), *self.waiting]

    def message(self, seq: int) -> Message:
        """A message of the journal."""
        what = self.journal[seq - 1].what
        assert isinstance(what, Message)
        return what

    def messages(self) -> tuple[Message, ...]:
        """The live context."""
        return tuple(self.message(seq) for seq in self.live)

    def append(self, at: int, kind: str, what: object, client_id: str | None = None) -> int:
        """Add an entry; its seq."""
        self.journal.append(Line(self.head + 1, self.epoch, at, kind, what, client_id))
        self.updated_at = at
        return self.head

    def say(self, at: int, message: Message, client_id: str | None = None) -> int:
        """Add a message, which makes a session active whose state has such a row."""
        seq = self.append(at, "message", message, client_id)
        self.live.append(seq)
        self.last_active_at, self.archived_at = at, None
        if (self.state, Turning.MESSAGE, ACTIVE) in TRANSITIONS:
            self.state = ACTIVE
        return seq

    def begin_next(self, at: int) -> None:
        """Answer what waits, up to a message whose turn lasts."""
        while self.running is None and self.waiting:
            self.running = self.waiting.pop(0)
            self.updated_at = at
            if self.message(self.running).content != HOLD:
                self.finish(at, "end_turn")

    def finish(self, at: int, reason: str) -> None:
        """End the turn that runs."""
        assert self.running is not None
        text = answer_to(self.message(self.running).content)
        self.say(at, Message("assistant", text, partial=reason == "cancelled"))
        self.append(at, "turn.finished", ((self.running,), reason))
        self.running = None

    def take_out(self, at: int, seqs: list[int]) -> None:
        """Take messages out of the queue."""
        if seqs:
            self.waiting = [seq for seq in self.waiting if seq not in seqs]
            self.live = [seq for seq in self.live if seq not in seqs]
            self.append(at, "queue.removed", tuple(seqs))

    def stop(self, at: int) -> tuple[Message, ...]:
        """Cut the turn off and empty the queue; the live messages before that."""
        if self.running is not None:
            self.finish(at, "cancelled")
        live = self.messages()
        self.take_out(at, list(self.waiting))
        return live
