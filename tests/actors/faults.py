"""Stores with one fault each: every class is wrapped around a real store and changes one behaviour."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from greenroom.persistence.errors import StaleHeadError, StoreError, StoreUnavailableError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Entry, Message, SessionFacts, SessionRecord
from greenroom.persistence.store import SessionStore

Answers = Sequence[SessionFacts | StoreError]


class Around:
    """A store that does what the one inside does."""

    def __init__(self, inside: SessionStore) -> None:
        self.inside = inside

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store inside has
        return getattr(self.inside, name)

    def commit(self, batch: Sequence[Append]) -> Answers:
        return self.inside.commit(batch)


class CountsBatches(Around):
    """Notes the size of every batch."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.sizes: list[int] = []

    def commit(self, batch: Sequence[Append]) -> Answers:
        self.sizes.append(len(batch))
        return self.inside.commit(batch)


class CountsLoads(Around):
    """Notes which sessions are loaded."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.loaded: list[SessionID] = []

    def load(self, session: SessionID) -> SessionRecord | None:
        self.loaded.append(session)
        return self.inside.load(session)


class HoldsCommits(CountsBatches):
    """Enters each commit, then waits for the gate; ``entered`` tells that one is waiting there."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def commit(self, batch: Sequence[Append]) -> Answers:
        self.entered.set()
        assert self.gate.wait(10), "expected the test to open the gate"
        return super().commit(batch)


class RefusesCommits(Around):
    """Refuses each batch with an append for which ``refuses`` is true, as a full disk does."""

    def __init__(self, inside: SessionStore, refuses: Callable[[Append], bool] = lambda _: False) -> None:
        super().__init__(inside)
        self.refuses = refuses
        self.refused = 0

    def commit(self, batch: Sequence[Append]) -> Answers:
        if any(map(self.refuses, batch)):
            self.refused += len(batch)
            return [StoreUnavailableError("disk full") for _ in batch]
        return self.inside.commit(batch)


class MovesHeads(Around):
    """Tells the caller that its session has moved on, once for each of ``times`` commits."""

    def __init__(self, inside: SessionStore, times: int = 0) -> None:
        super().__init__(inside)
        self.times = times

    def commit(self, batch: Sequence[Append]) -> Answers:
        if self.times:
            self.times -= 1
            return [StaleHeadError("expected another head") for _ in batch]
        return self.inside.commit(batch)


class DiesInCommit(Around):
    """Raises ``error`` in the commit that has an append for which ``kills`` is true."""

    def __init__(
        self,
        inside: SessionStore,
        error: BaseException,
        kills: Callable[[Append], bool] = lambda _: True,
    ) -> None:
        super().__init__(inside)
        self.error = error
        self.kills = kills

    def commit(self, batch: Sequence[Append]) -> Answers:
        if any(map(self.kills, batch)):
            raise self.error
        return self.inside.commit(batch)


class LosesAnswers(Around):
    """Stores what it is given, then reports a failure for the appends for which ``loses`` is true."""

    def __init__(self, inside: SessionStore, loses: Callable[[Append], bool]) -> None:
        super().__init__(inside)
        self.loses = loses

    def commit(self, batch: Sequence[Append]) -> Answers:
        answers = self.inside.commit(batch)
        lost = StoreUnavailableError("cut off")
        return [lost if self.loses(append) else answer for append, answer in zip(batch, answers, strict=True)]


class CrashesOnLoad(Around):
    """Raises an unforeseen error when one of the ``victims`` is loaded."""

    def __init__(self, inside: SessionStore, *victims: SessionID) -> None:
        super().__init__(inside)
        self.victims = set(victims)
        self.loads = 0

    def load(self, session: SessionID) -> SessionRecord | None:
        if session in self.victims:
            self.loads += 1
            raise RuntimeError(f"cannot load {session}")
        return self.inside.load(session)


class CrashesOnHistory(Around):
    """Raises an unforeseen error for each snapshot of one of the ``victims``: an attach crashes the actor."""

    def __init__(self, inside: SessionStore, *victims: SessionID) -> None:
        super().__init__(inside)
        self.victims = set(victims)

    def history(self, session: SessionID, epoch: int, before_seq: int | None, limit: int) -> Sequence[Entry]:
        if session in self.victims:
            raise RuntimeError(f"cannot read {session}")
        return self.inside.history(session, epoch, before_seq, limit)


class RefusesReads(Around):
    """Answers what a session reads as a failing disk does while ``failing`` is set."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.failing = False

    def load(self, session: SessionID) -> SessionRecord | None:
        self._refuse()
        return self.inside.load(session)

    def history(self, session: SessionID, epoch: int, before_seq: int | None, limit: int) -> Sequence[Entry]:
        self._refuse()
        return self.inside.history(session, epoch, before_seq, limit)

    def outcome(self, session: SessionID, seq: int) -> tuple[Entry, Sequence[Entry]] | None:
        self._refuse()
        return self.inside.outcome(session, seq)

    def _refuse(self) -> None:
        if self.failing:
            raise StoreUnavailableError("cannot read")


def says(text: str) -> Callable[[Append], bool]:
    """Whether an append stores a message that contains ``text``."""

    def test(append: Append) -> bool:
        return any(isinstance(e.body, Message) and text in e.body.content for e in append.entries)

    return test
