"""Faults at a chosen point of one session's life: its calls of the store, the points where it waits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import outcome
import trio
from greenroom.persistence.errors import StoreError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, SessionFacts
from greenroom.persistence.store import SessionStore

from tests.actors.faults import Around

READS = {"load", "history", "entries", "outcome", "sent", "facts"}


class BoomError(Exception):
    """What no code of ours raises."""


class Trap:
    """Goes off once, at the point of the given number that is passed while it is set; 0 is never.

    Attributes:
        passed: How many points were passed since it was set.
        sprung: Where it went off.
    """

    def __init__(self) -> None:
        self.passed = 0
        self.sprung: list[str] = []
        self._at = 0

    def set(self, at: int) -> None:
        self.passed = 0
        self._at = at

    def passes(self, where: str) -> bool:
        self.passed += 1
        if self.passed == self._at:
            self.sprung.append(where)
            return True
        return False


class FailsFor(Around):
    """Raises what no store raises, in a call for one session: before it takes effect, or after."""

    def __init__(self, inside: SessionStore, session: SessionID, trap: Trap) -> None:
        super().__init__(inside)
        self._session = session
        self._trap = trap

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store inside has
        call = getattr(self.inside, name)
        if name not in READS:
            return call

        def trapped(session: SessionID, *args: object) -> object:
            self._pass(session, name)
            return call(session, *args)

        return trapped

    def commit(self, batch: Sequence[Append]) -> Sequence[SessionFacts | StoreError]:
        for append in batch:
            self._pass(append.facts.id, "before a commit")
        answers = self.inside.commit(batch)
        for append in batch:
            self._pass(append.facts.id, "after a commit")
        return answers

    def _pass(self, session: SessionID, where: str) -> None:
        if session == self._session and self._trap.passes(where):
            raise BoomError(where)


class Sniffer(trio.abc.Instrument):
    """Makes the actor of one session meet an error instead of waking up, at a checkpoint of its own."""

    def __init__(self, session: SessionID, trap: Trap) -> None:
        self._session = session
        self._trap = trap

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        waits_in = None
        where: Any = task.coro
        while where is not None and (frame := getattr(where, "cr_frame", None)) is not None:
            if self._is_meant(frame.f_locals.get("self")):
                waits_in = frame.f_code.co_name
            where = where.cr_await
        wakes_up = isinstance(task._next_send, outcome.Value)
        if waits_in is not None and wakes_up and self._trap.passes(waits_in):
            task._next_send = outcome.Error(BoomError(waits_in))

    def _is_meant(self, owner: object) -> bool:
        return (
            type(owner).__module__ == "greenroom.actors.session"
            and getattr(owner, "id", None) == self._session
        )


@contextmanager
def sniffing(session: SessionID, trap: Trap) -> Iterator[None]:
    sniffer = Sniffer(session, trap)
    trio.lowlevel.add_instrument(sniffer)
    yield
    trio.lowlevel.remove_instrument(sniffer)
