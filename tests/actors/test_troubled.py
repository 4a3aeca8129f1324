"""Faults that meet: a host that cannot be told, a store that refuses what is left over, mail for nobody."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import trio
from greenroom.actors.commands import Send
from greenroom.actors.dead_letters import DeadLetter
from greenroom.actors.errors import QuarantinedError, UnavailableError
from greenroom.actors.reports import (
    AgentFailed,
    AgentWouldNotStop,
    HookFailed,
    SessionCrashed,
    SessionQuarantined,
)
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import InMemorySessionStore, SessionStore
from greenroom.persistence.errors import StaleHeadError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Ending, EndReason, Entry, Message
from greenroom.runtime import open_manager
from greenroom.runtime.config import Config, Limits
from greenroom.runtime.core import Core
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import CrashesOnHistory, CrashesOnLoad, MovesHeads, RefusesCommits, RefusesReads
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    Reports,
    attach,
    done,
    journal,
    on_mock_time,
    record,
    running,
    send,
    settle,
    sid,
)


class Deaf(Reports):
    """A host's reporter that fails, whatever it is told."""

    def __call__(self, report: msgspec.Struct) -> None:  # type: ignore[override]  # of a plain function
        self.append(report)
        raise OSError("expected room for a log line")


class CrashesAndRefuses(RefusesReads):
    """Each snapshot crashes the session, which is refused its start while ``failing``."""

    def history(self, session: SessionID, *_: object) -> Sequence[Entry]:  # type: ignore[override]  # no other is used
        raise RuntimeError(f"cannot read {session}")


class Breaks:
    """A service whose end fails."""

    async def stop(self) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("cannot stop")


class Fails:
    """A hook that fails."""

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        raise RuntimeError(f"cannot hear of {ending.end_id}, {reason}")


async def will_not_stop(turn: Turn) -> None:
    if turn.messages[-1].content == "fail":
        raise RuntimeError("cannot answer")
    with trio.CancelScope(shield=True):
        await trio.sleep(0.5)


def letters(core: Core) -> list[DeadLetter]:
    """What no session handled."""
    activation: Any = core.router._activation  # pyright: ignore[reportPrivateUsage]  # as an operator would
    return list(activation._supervisor.dead_letters)


@on_mock_time
async def test_p11_a_crash_is_contained_though_nobody_can_be_told_of_it(memory: SessionStore) -> None:
    store, reports = CrashesOnLoad(memory, ANN), Deaf()
    async with running(store, report=reports) as core:
        with pytest.raises(QuarantinedError) as caught:
            await send(core, ANN, "a")
        assert (await done(core, BOB, "b")).stop_reason == "end_turn"
        store.victims.clear()
        assert caught.value.retry_after is not None
        await trio.sleep(caught.value.retry_after + 0.001)
        assert (await done(core, ANN, "a")).stop_reason == "end_turn"
    assert [type(each) for each in reports] == [SessionCrashed] * 6 + [SessionQuarantined]


@on_mock_time
async def test_a_host_that_cannot_be_told_ends_neither_sessions_nor_the_stop(
    memory: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    reports = Deaf()
    async with running(memory, Agent("a", will_not_stop), report=reports, stop_grace=0.1) as core:
        core.hooks.register(Fails())
        assert (await done(core, ANN, "a", "fail")).stop_reason == "error"
        await send(core, ANN, "b", "/new")
        await wait_all_tasks_blocked()
        assert (await done(core, ANN, "c", "fail")).stop_reason == "error"
        await send(core, BOB, "d", "stay")
        await wait_all_tasks_blocked()
        with trio.move_on_after(5, shield=True) as patience:
            await core.stop()
        assert not patience.cancelled_caught
    kinds = [type(each) for each in reports]
    assert kinds == [AgentFailed, HookFailed, AgentFailed, AgentWouldNotStop]
    assert caplog.text.count("report: expected a reporter that takes a record, met OSError") == len(kinds)


async def test_a_manager_ends_though_its_host_cannot_be_told() -> None:
    config = Config(limits=msgspec.convert({"drain": 0.05, "stop_grace": 0.05}, Limits))
    reports = Deaf()
    agent = Agent("a", will_not_stop)
    async with open_manager(
        config, store=InMemorySessionStore(), agent=agent, hooks=[Fails()], report=reports
    ) as manager:
        await manager.add_message(ANN, Message("user", "hello"))
        for _ in range(2):
            await manager.new_session(ANN)
            await manager.add_message(ANN, Message("user", "hello"))
        await manager.send(BOB, "hello")
    assert Counter(map(type, reports)) == {HookFailed: 2, AgentWouldNotStop: 1}


@on_mock_time
async def test_a_fault_in_the_stop_is_raised_and_keeps_nobody_waiting(memory: SessionStore) -> None:
    async with running(memory) as core:
        broken: Any = Breaks()
        twin = replace(core, clocks=broken, _stopping=trio.Event(), _stopped=trio.Event())
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="cannot stop")):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(twin.run_stop)
                with trio.move_on_after(
                    5, shield=True
                ) as patience:  # whoever stops it at its end is shielded, too
                    await twin.stop()
        assert not patience.cancelled_caught


async def _leave_unfinished(store: SessionStore, sessions: Sequence[SessionID]) -> None:
    """Have a runtime end in the middle of a turn of each."""
    puppet = Puppet()
    async with running(store, puppet.agent("retry")) as core:
        for session in sessions:
            await send(core, session, "a")
            await puppet.turn()


@on_mock_time
async def test_p12_what_a_start_on_a_full_disk_could_not_take_up_is_taken_up_once_there_is_room(
    memory: SessionStore,
) -> None:
    sessions = [sid(number) for number in range(3)]
    await _leave_unfinished(memory, sessions)
    store, puppet = RefusesCommits(memory, lambda _: True), Puppet()
    async with running(store, puppet.agent("retry")) as core:
        assert await core.recovery.wait() == 3
        await trio.sleep(100)
        assert store.refused >= 3
        assert not puppet.has_turn()
        store.refuses = _nothing
        await trio.sleep(10)  # and nobody asks
        for _ in sessions:
            assert puppet.has_turn()
            (await puppet.turn()).end()
        await trio.sleep(1)
    assert not memory.unfinished(0, 10)


def _nothing(_: Append) -> bool:
    return False


@on_mock_time
async def test_p12_work_of_a_session_that_crashed_while_the_store_refused_reads_is_taken_up_later(
    memory: SessionStore,
) -> None:
    store, puppet = CrashesAndRefuses(memory), Puppet()
    async with running(store, puppet.agent("retry")) as core:
        await send(core, ANN, "a")
        await puppet.turn()
        await send(core, ANN, "b")
        store.failing = True
        with pytest.raises(UnavailableError, match="outcome unknown"):
            await attach(core, ANN, Ear())
        await trio.sleep(100)
        assert not puppet.has_turn()
        store.failing = False
        await trio.sleep(10)  # and nobody asks
        for _ in range(2):
            assert puppet.has_turn()
            (await puppet.turn()).end()
            await trio.sleep(1)
    assert not memory.unfinished(0, 10)


@on_mock_time
async def test_p12_work_of_a_session_at_rest_is_taken_up_though_others_want_its_room(
    memory: SessionStore,
) -> None:
    store, puppet, reports = CrashesOnHistory(memory, ANN), Puppet(), Reports()
    async with running(store, puppet.agent("retry"), report=reports, live_sessions=2) as core:
        for client_id in "abc":  # a message that three crashes interrupt is set aside
            await send(core, ANN, client_id)
        for _ in range(6):
            await puppet.turn()
            with pytest.raises((UnavailableError, QuarantinedError)):
                await attach(core, ANN, Ear())
        assert reports.of(SessionQuarantined)
        for number in range(5):
            await record(core, sid(number), "x")
        await trio.sleep(60)
        assert puppet.has_turn()


@on_mock_time
async def test_what_a_session_refuses_leaves_nothing_behind(memory: SessionStore) -> None:
    store = RefusesReads(memory)
    store.failing = True
    async with running(store, NOBODY) as core:
        for number in range(100):
            with pytest.raises(UnavailableError):
                await send(core, sid(number), "a", "x" * 100_000)
        assert letters(core) == []
        assert len(core.registry) == 0


@on_mock_time
async def test_the_commands_of_a_crash_are_kept_with_its_error_and_can_be_replayed(
    memory: SessionStore,
) -> None:
    store = MovesHeads(memory)
    async with running(store, NOBODY) as core:
        await send(core, ANN, "a")
        store.times = 1

        async def ask(client_id: str) -> None:
            with pytest.raises(UnavailableError, match="outcome unknown"):
                await send(core, ANN, client_id, f"says {client_id}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "b")
            nursery.start_soon(ask, "c")
        kept = letters(core)
        assert {(each.actor, each.fate, type(each.error)) for each in kept} == {
            (str(ANN), "poison", StaleHeadError)
        }
        assert {each.message.client_id for each in kept if isinstance(each.message, Send)} == {"b", "c"}
        for each in kept:
            each.replay()
        await settle(core, ANN)
        assert letters(core) == []
    stored = {(entry.client_id, entry.seq) for entry in journal(memory, ANN)}
    assert {client_id for client_id, _ in stored} == {"a", "b", "c"}
    assert len(stored) == 3
