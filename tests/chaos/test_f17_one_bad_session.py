"""Fault F17: one session of a thousand fails at every point at which it waits, and no other notices."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import trio
from greenroom.actors.commands import Ack, SetState
from greenroom.actors.errors import BusyError, QuarantinedError, UnavailableError
from greenroom.actors.reports import SessionCrashed, SessionQuarantined
from greenroom.actors.turn import Agent, Turn
from greenroom.bench.load import Plan, put_load
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionState, TurnFinished
from greenroom.persistence.store import SessionStore
from greenroom.runtime.bind import bind, port_of
from greenroom.runtime.config import Config
from greenroom.runtime.core import Core
from greenroom.runtime.gateway import Gateway
from greenroom.runtime.websocket import connect
from greenroom.runtime.wiring import open_core
from trio.testing import wait_all_tasks_blocked

from tests.actors.conftest import KeptInMemory
from tests.actors.faults import CrashesOnLoad
from tests.actors.hand import NOBODY, Ear, Reports, attach, done, journal, on_mock_time, running, send, sid
from tests.chaos.traps import FailsFor, Trap, sniffing

T = TypeVar("T")

NEIGHBOURS = 1000
AT_ONCE = 10  # neighbours that talk while the bad session fails
THINKS = 0.01  # seconds that each turn takes
APART = 40.0  # seconds between two faults: more than the period in which they are counted together
BAD = SessionID("echo", "web", "bad")


async def think(turn: Turn) -> None:
    await trio.sleep(THINKS)
    await turn.say("yes")


THINKER = Agent("thinker", think, "retry")


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Do what a client does: try again when told to come back."""
    while True:
        try:
            return await call()
        except (UnavailableError, QuarantinedError) as error:
            await trio.sleep(error.retry_after or 1.0)


@dataclass
class Person:
    """Somebody who talks in one session.

    Attributes:
        acks: By client id.
        took: Seconds that each visit took.
    """

    session: SessionID
    ear: Ear = field(default_factory=Ear)
    acks: dict[str, Ack] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)

    async def visit(self, core: Core, number: int) -> None:
        """Use a session in every way in which its actor waits for something."""
        began = trio.current_time()
        first, second, hasty = f"{number}-first", f"{number}-second", f"{number}-hasty"
        await insist(lambda: attach(core, self.session, Ear()))
        self.acks[first] = await insist(lambda: send(core, self.session, first))
        with suppress(BusyError):  # whether it was sent before was looked up in the store
            self.acks[hasty] = await insist(lambda: send(core, self.session, hasty, mode="reject"))
        await insist(lambda: done(core, self.session, first))
        self.acks[second] = await insist(lambda: done(core, self.session, second))
        again = await insist(lambda: done(core, self.session, first))
        assert (again.seq, again.status) == (self.acks[first].seq, "done")
        self.took.append(trio.current_time() - began)

    def check(self, store: SessionStore) -> None:
        """All that was acked is stored once, under its seq, and was answered once."""
        entries = journal(store, self.session)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        stored = {entry.client_id: entry.seq for entry in entries if entry.client_id}
        assert stored == {name: ack.seq for name, ack in self.acks.items()}
        finished = [entry.body for entry in entries if isinstance(entry.body, TurnFinished)]
        answered = [seq for end in finished if not end.will_retry for seq in end.message_seqs]
        assert sorted(answered) == sorted(stored.values())
        facts = store.facts(self.session)
        assert facts is not None
        assert (facts.pending, facts.turn) == ((), None)
        assert facts.message_count == sum(isinstance(entry.body, Message) for entry in entries)


@dataclass
class Town:
    """A thousand people and their one bad neighbour, on one runtime."""

    core: Core
    reports: Reports
    bad: Person
    others: list[Person]
    trap: Trap

    async def live_through(self, number: int, at: int) -> bool:
        """One visit each of the bad one, with a fault, and of a few others; whether the fault came."""
        await self.put_bad_one_away()
        self.trap.set(at)
        sprung = len(self.trap.sprung)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.bad.visit, self.core, number)
            for place in range(AT_ONCE):
                other = self.others[(number * AT_ONCE + place) % NEIGHBOURS]
                nursery.start_soon(other.visit, self.core, number)
        self.trap.set(0)
        await trio.sleep(APART)
        return len(self.trap.sprung) > sprung

    async def put_bad_one_away(self) -> None:
        """Out of memory, so that the first that becomes of it is to be read again."""
        for state in (SessionState.IDLE, SessionState.SUSPENDED):
            await self.core.router.ask(BAD, partial(SetState, state))
        await wait_all_tasks_blocked()


@asynccontextmanager
async def town(store: SessionStore, trap: Trap) -> AsyncGenerator[Town]:
    """Let them move in, and at the end look whether everybody still hears everything and has lost nothing."""
    reports = Reports()
    bad, others = Person(BAD), [Person(sid(number)) for number in range(NEIGHBOURS)]
    async with running(store, THINKER, report=reports) as core:
        for person in others:
            await attach(core, person.session, person.ear)
        await bad.visit(core, -2)
        yield Town(core, reports, bad, others, trap)
        await bad.visit(core, -1)
        for person in others:
            person.acks["last"] = await send(core, person.session, "last")
        await trio.sleep(1)
    bad.check(store)
    for person in others:
        person.check(store)
        assert person.ear.entries == list(journal(store, person.session))
        assert person.took == [pytest.approx(2 * THINKS)] * len(person.took)
    assert {report.session for report in reports.of(SessionCrashed)} <= {BAD}  # type: ignore[attr-defined]


@on_mock_time
async def test_f17_p11_p12_a_session_that_fails_at_any_call_of_the_store_harms_nobody_and_loses_nothing() -> (
    None
):
    trap, memory = Trap(), KeptInMemory()
    async with town(FailsFor(memory, BAD, trap), trap) as life:
        at = 1
        while await life.live_through(at, at):
            at += 1
        assert len(life.reports.of(SessionCrashed)) == at - 1
        assert not life.reports.of(SessionQuarantined)
    assert set(trap.sprung) >= {"load", "history", "outcome", "sent", "before a commit", "after a commit"}


@on_mock_time
async def test_f17_p11_p12_a_session_that_fails_at_any_checkpoint_harms_nobody_and_loses_nothing() -> None:
    trap, memory = Trap(), KeptInMemory()
    async with town(memory, trap) as life:
        at = 1
        with sniffing(BAD, trap):
            while await life.live_through(at, at):
                at += 1
        assert len(life.reports.of(SessionCrashed)) == at - 1 > 10
        assert not life.reports.of(SessionQuarantined)


@on_mock_time
async def test_f17_p13_a_session_that_fails_at_every_call_rests_and_harms_nobody() -> None:
    store = CrashesOnLoad(KeptInMemory())
    async with town(store, Trap()) as life:
        await life.put_bad_one_away()
        store.victims.add(BAD)
        with trio.move_on_after(600) as ten_minutes:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(life.bad.visit, life.core, 0)
                for number in range(10):
                    for place in range(AT_ONCE):
                        nursery.start_soon(life.others[number * AT_ONCE + place].visit, life.core, number)
                    await trio.sleep(50)
        assert ten_minutes.cancelled_caught
        store.victims.clear()
        await trio.sleep(400)  # longer than any rest
    rests = life.reports.of(SessionQuarantined)
    assert store.loads == len(life.reports.of(SessionCrashed)) == 6 * len(rests) >= 18


async def test_f17_p11_a_session_that_fails_closes_no_socket_and_costs_the_others_no_ack(
    tmp_path: Path,
) -> None:
    reports = Reports()
    store = CrashesOnLoad(SQLiteSessionStore(tmp_path / "greenroom.db"), BAD)
    listeners = await bind("127.0.0.1", 0)
    async with open_core(store, NOBODY, Config().limits, reports) as core, trio.open_nursery() as nursery:
        await nursery.start(Gateway(Config(), core, 1, reports).run, listeners)
        url = f"ws://127.0.0.1:{port_of(listeners)}/v1"
        socket = await connect(url, nursery)

        async def ask(method: str, **params: object) -> dict[str, Any]:
            await socket.send(
                msgspec.json.encode({"id": 1, "jsonrpc": "2.0", "method": method, "params": params}).decode()
            )
            with trio.fail_after(30):
                while "id" not in (frame := msgspec.json.decode(await socket.recv())):
                    pass
            return frame

        async def say(session: SessionID, name: str) -> dict[str, Any]:
            return await ask("message.send", session=str(session), client_id=name, content="hello")

        await ask("initialize", protocol=1, client={"name": "test", "version": "1"})
        for number in range(10):
            assert (await say(BAD, "a"))["error"]["data"]["name"] == "session_quarantined"
            assert (await say(sid(0), str(number)))["result"]["duplicate"] is False
        plan = Plan(connections=20, sessions=NEIGHBOURS, messages=1, window=4, attached=False)
        result = await put_load(url, plan)  # raises if it is refused anything, or cut
        assert len(result.latencies) == NEIGHBOURS
        assert (await say(sid(0), "last"))["result"]["duplicate"] is False
        assert (await say(BAD, "a"))["error"]["data"]["name"] == "session_quarantined"
        nursery.cancel_scope.cancel()
    assert [type(report) for report in reports] == [SessionCrashed] * 6 + [SessionQuarantined]
