"""What the tests of the actors share: ids, listeners, agents under control, short ways to ask."""

import math
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

import msgspec
import pytest
import trio
from greenroom.actors.commands import Ack, Attach, Attached, Barrier, Record, Send
from greenroom.actors.events import Event, Live, TurnDelta
from greenroom.actors.reply import ReplySlot
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Entry, Message, TurnFinished
from greenroom.persistence.store import SessionStore
from greenroom.runtime.agents import echo
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.wiring import open_core
from trio.testing import MockClock

ANN = SessionID("echo", "web", "ann")
BOB = SessionID("echo", "web", "bob")
ECHO = Agent("echo", echo, on_interrupt="retry")
NOBODY = Agent("none", None)


def _run_on_mock_time(*args: Any, clock: None, **given: Any) -> Any:  # noqa: ANN401 - as trio.run
    assert clock is None
    return trio.run(*args, clock=MockClock(autojump_threshold=0), **given)


# Time passes as soon as every task waits for it. Not for tests with threads: it would pass while they work.
on_mock_time = pytest.mark.trio(run=_run_on_mock_time)


def sid(number: int) -> SessionID:
    return SessionID("echo", "web", f"peer{number}")


class Ear:
    """A subscriber that keeps what it is offered."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def offer(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def entries(self) -> list[Entry]:
        return [event.data for event in self.events if isinstance(event.data, Entry)]

    @property
    def live(self) -> list[Live]:
        return [event.data for event in self.events if not isinstance(event.data, Entry)]

    def text_of(self, turn_id: str, said: str = "") -> str:
        """A turn's text from its deltas after ``said``, each of which has to fit on to the one before."""
        for delta in self.live:
            if isinstance(delta, TurnDelta) and delta.turn_id == turn_id:
                assert delta.offset == len(said), (delta, said)
                said += delta.text
        return said


class Reports(list[msgspec.Struct]):
    """A reporter that keeps what it is told."""

    __call__ = list[msgspec.Struct].append

    def of(self, kind: type[msgspec.Struct]) -> list[msgspec.Struct]:
        return [report for report in self if isinstance(report, kind)]


class Performance:
    """One turn of a `Puppet`: the test speaks for the agent and ends it."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.say = turn.say
        self.was_cancelled = False
        self._finished = trio.Event()
        self._failure: Exception | None = None

    def end(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._finished.set()

    async def play(self) -> None:
        try:
            await self._finished.wait()
        except trio.Cancelled:
            self.was_cancelled = True
            raise
        if self._failure is not None:
            raise self._failure


class Puppet:
    """An agent whose turns the test receives, in the order in which they begin."""

    def __init__(self) -> None:
        self._begun, self._turns = trio.open_memory_channel[Performance](math.inf)
        self.running = 0

    def agent(self, on_interrupt: Literal["retry", "finish"] = "finish") -> Agent:
        return Agent("puppet", self._run, on_interrupt)

    async def turn(self) -> Performance:
        with trio.fail_after(5):
            return await self._turns.receive()

    def has_turn(self) -> bool:
        return self._turns.statistics().current_buffer_used > 0

    async def _run(self, turn: Turn) -> None:
        performance = Performance(turn)
        self.running += 1
        self._begun.send_nowait(performance)
        try:
            await performance.play()
        finally:
            self.running -= 1


@asynccontextmanager
async def running(
    store: SessionStore,
    agent: Agent = ECHO,
    *,
    report: Callable[[msgspec.Struct], None] | None = None,
    **limits: float,
) -> AsyncGenerator[Core]:
    """A runtime on a store; turns that run at its end get no time unless ``drain`` says so."""
    given = msgspec.convert({"drain": 0.001, **limits}, Limits)
    async with open_core(store, agent, given, Reports() if report is None else report) as core:
        yield core


async def send(core: Core, session: SessionID, client_id: str, content: str = "hello", **how: object) -> Ack:
    def command(reply: object) -> Send:
        return Send(client_id, content, reply, **how)  # type: ignore[arg-type]

    with trio.fail_after(10):
        return await core.router.ask(session, command)


async def done(core: Core, session: SessionID, client_id: str, content: str = "hello") -> Ack:
    return await send(core, session, client_id, content, until_done=True)


async def record(core: Core, session: SessionID, content: str) -> Entry:
    with trio.fail_after(10):
        return await core.router.ask(session, partial(Record, Message("user", content)))


async def attach(
    core: Core, session: SessionID, ear: Ear, after: tuple[str, int] | None = None, *, create: bool = True
) -> Attached:
    with trio.fail_after(10):
        return await core.router.ask(session, lambda reply: Attach(ear, reply, after=after, create=create))


async def answers(slots: Iterable[ReplySlot[Ack]]) -> list[Ack]:
    """Wait for every answer."""
    return [await slot.wait() for slot in slots]


async def settle(core: Core, session: SessionID) -> None:
    """Wait until the commands delivered to the session before have taken effect."""
    with trio.fail_after(10):
        await core.router.ask(session, Barrier)


def journal(store: SessionStore, session: SessionID) -> Sequence[Entry]:
    return store.entries(session, 0, 100_000)


def contents(entries: Iterable[Entry]) -> list[str]:
    return [entry.body.content for entry in entries if isinstance(entry.body, Message)]


def ends(entries: Iterable[Entry]) -> list[TurnFinished]:
    return [entry.body for entry in entries if isinstance(entry.body, TurnFinished)]
