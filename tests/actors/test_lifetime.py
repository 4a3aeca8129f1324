"""Sessions come and go, runtimes end and begin again: no ack is lost, no turn is told twice."""

import random
from collections.abc import Callable

import pytest
import trio
from greenroom.actors.commands import Ack
from greenroom.actors.errors import BusyError, ShuttingDownError, UnavailableError
from greenroom.actors.reports import AgentWouldNotStop
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import SessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, TurnFinished
from greenroom.runtime.core import Core
from greenroom.runtime.manager import SessionManager
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import RefusesCommits, says
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    Reports,
    contents,
    done,
    ends,
    journal,
    on_mock_time,
    running,
    send,
    sid,
)

Stores = Callable[[], SessionStore]


async def send_until_taken(core: Core, session: SessionID, client_id: str) -> Ack:
    while True:
        try:
            return await send(core, session, client_id)
        except BusyError:
            await trio.sleep(0.01)  # as any client would, though not for so short a time


@pytest.mark.parametrize("agent", [NOBODY, None], ids=["nobody", "echo"])
async def test_p16_putting_sessions_away_loses_nothing_that_was_acked(
    store: SessionStore, agent: Agent | None
) -> None:
    chance = random.Random(16)  # noqa: S311 - a test's schedule
    acked: dict[SessionID, dict[str, int]] = {sid(number): {} for number in range(50)}
    most = 0

    async def talk(sender: int) -> None:
        nonlocal most
        for number in range(20):
            session = sid(chance.randrange(50))
            client_id = f"{sender}-{number}"
            acked[session][client_id] = (await send_until_taken(core, session, client_id)).seq
            most = max(most, len(core.registry))

    async with running(store, *([agent] if agent else []), live_sessions=5, drain=10) as core:
        async with trio.open_nursery() as nursery:
            for sender in range(10):
                nursery.start_soon(talk, sender)
        for session, acks in acked.items():
            entries = journal(store, session)
            assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
            assert {e.client_id: e.seq for e in entries if e.client_id} == acks
    assert most == 5


async def test_a_session_with_a_running_turn_or_a_waiting_sender_is_not_put_away(
    memory: SessionStore,
) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), live_sessions=1) as core:
        await send(core, ANN, "a")
        performance = await puppet.turn()
        with pytest.raises(BusyError):
            await send(core, BOB, "b")
        performance.end()
        await done(core, ANN, "a")
        assert (await send(core, BOB, "b")).seq == 1


@on_mock_time
async def test_p18_draining_gives_running_turns_their_time_and_stores_their_answers(
    memory: SessionStore,
) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), drain=30) as core:
        await send(core, ANN, "a")
        await send(core, ANN, "b")
        performance = await puppet.turn()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.stop)
            await trio.sleep(29)
            await performance.say("in time")
            performance.end()
        assert trio.current_time() < 30
        assert not puppet.has_turn()
        with pytest.raises(ShuttingDownError):
            await send(core, ANN, "c")
    (_, _, answer, end) = journal(memory, ANN)
    assert answer.body == Message("assistant", "in time")
    assert end.body == TurnFinished((1,), "end_turn")
    facts = memory.facts(ANN)
    assert facts is not None
    assert (facts.pending, facts.turn) == ((2,), None)


@on_mock_time
@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p18_a_turn_that_is_cut_off_keeps_what_it_has_said_marked_partial(
    memory: SessionStore, on_interrupt: str
) -> None:
    puppet, reports = Puppet(), Reports()
    agent = puppet.agent("retry" if on_interrupt == "retry" else "finish")
    async with running(memory, agent, report=reports, drain=30) as core:
        await send(core, ANN, "a")
        await (await puppet.turn()).say("half an ans")
        await core.stop()
        assert trio.current_time() == 30
    (_, answer, end) = journal(memory, ANN)
    assert answer.body == Message("assistant", "half an ans", partial=True)
    assert end.body == TurnFinished((1,), "interrupted", will_retry=on_interrupt == "retry")
    assert reports == []


@on_mock_time
async def test_p18_whoever_waits_for_a_turn_that_will_be_run_again_is_told_to_come_back(
    memory: SessionStore,
) -> None:
    puppet = Puppet()
    async with trio.open_nursery() as nursery, running(memory, puppet.agent("retry")) as core:

        async def ask() -> None:
            with pytest.raises(UnavailableError) as caught:
                await done(core, ANN, "a")
            assert caught.value.retry_after == 1.0

        nursery.start_soon(ask)
        await puppet.turn()
    assert [end.will_retry for end in ends(journal(memory, ANN))] == [True]


@on_mock_time
async def test_p18_stopping_is_idempotent_and_a_second_stop_waits_for_the_first(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), drain=30) as core:
        manager = SessionManager(core)
        await send(core, ANN, "a")
        await puppet.turn()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.stop)
            await wait_all_tasks_blocked()
            await manager.stop()
            assert trio.current_time() == 30
        await manager.stop()
        assert trio.current_time() == 30
    assert len(ends(journal(memory, ANN))) == 1


@on_mock_time
async def test_p18_told_to_hurry_turns_get_no_more_time(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), drain=30) as core:
        await send(core, ANN, "a")
        await puppet.turn()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.stop)
            await trio.sleep(1)
            core.hurry()
        assert trio.current_time() == 1
    assert [end.stop_reason for end in ends(journal(memory, ANN))] == ["interrupted"]


@on_mock_time
async def test_p18_an_agent_that_will_not_stop_is_named_and_its_turn_is_finished_by_the_next_start(
    memory: SessionStore,
) -> None:
    reports = Reports()

    async def stubborn(turn: Turn) -> None:
        await turn.say("half")
        with trio.move_on_after(100, shield=True):
            await trio.sleep_forever()

    async with running(memory, Agent("stubborn", stubborn), report=reports, drain=5, stop_grace=2) as core:
        ack = await send(core, ANN, "a")
        await core.stop()
        assert trio.current_time() == 7
        assert ack.turn_id is not None
        assert reports == [AgentWouldNotStop(ANN, ack.turn_id, "stubborn")]
    assert len(journal(memory, ANN)) == 1
    async with running(memory, Agent("other", stubborn)) as core:
        await core.recovery.wait()
    assert [e.stop_reason for e in ends(journal(memory, ANN))] == ["interrupted"]


@pytest.mark.parametrize("seed", range(10))
async def test_p18_every_message_that_meets_a_shutdown_is_stored_or_refused(
    make_store: Stores, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's schedule
    acked, refused = dict[str, int](), set[str]()
    async with running(make_store(), drain=5) as core, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            for _ in range(chance.randrange(40)):
                await trio.lowlevel.checkpoint()
            try:
                acked[f"a{number}"] = (await send(core, ANN, f"a{number}")).seq
            except ShuttingDownError:
                refused.add(f"a{number}")

        for number in range(30):
            nursery.start_soon(ask, number)
        for _ in range(chance.randrange(40)):
            await trio.lowlevel.checkpoint()
        await core.stop()
    assert len(acked) + len(refused) == 30
    async with running(store := make_store(), NOBODY):
        assert {e.client_id: e.seq for e in journal(store, ANN) if e.client_id} == acked


@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p12_a_new_process_finishes_interrupted_turns_once_and_runs_what_is_pending(
    make_store: Stores, on_interrupt: str
) -> None:
    puppet = Puppet()
    agent = puppet.agent("retry" if on_interrupt == "retry" else "finish")
    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        # The process dies: no drain, and not one commit more.
        async with running(RefusesCommits(make_store(), says("answer")), agent, stop_grace=0.001) as core:
            for number in range(3):
                await send(core, sid(number), "a", "first")
                await send(core, sid(number), "b", "second")
            raise RuntimeError
    async with running(store := make_store(), agent, drain=5) as core:
        expected = 6 if on_interrupt == "retry" else 3
        while expected:
            performance = await puppet.turn()
            if performance.was_cancelled:
                continue
            expected -= 1
            performance.end()
    async with running(store := make_store(), agent, drain=5) as core:
        await wait_all_tasks_blocked()
        assert not puppet.has_turn()
        for number in range(3):
            finished = ends(journal(store, sid(number)))
            used_up = [end.message_seqs for end in finished if not end.will_retry]
            assert used_up == [(1,), (2,)]
            assert [end.stop_reason for end in finished].count("interrupted") == 1


async def test_a_new_process_starts_more_unfinished_sessions_than_may_live_at_once(
    make_store: Stores,
) -> None:
    async with running(make_store(), NOBODY) as core:
        for number in range(30):
            await send(core, sid(number), "a", "hello")
    async with running(store := make_store(), live_sessions=3) as core:
        ears = [Ear() for _ in range(30)]
        for number, ear in enumerate(ears):
            core.topics.subscribe(sid(number), ear)
        for number in range(30):
            await send_until_taken(core, sid(number), "b")
        while store.unfinished(0, 1):
            await wait_all_tasks_blocked()
    async with running(store := make_store(), NOBODY):
        for number in range(30):
            assert contents(journal(store, sid(number)))[-1] == "hello"


async def test_p17_a_stop_whose_caller_is_cancelled_goes_on_and_keeps_what_was_said(
    memory: SessionStore,
) -> None:
    async def slow(turn: Turn) -> None:
        await turn.say("half")
        await trio.sleep_forever()

    async with running(memory, Agent("slow", slow), drain=0.3) as core:
        await send(core, ANN, "a")
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.05) as scope:
            await core.stop()
        assert scope.cancelled_caught
        with trio.fail_after(5):
            await core.stop()
    assert [e.stop_reason for e in ends(journal(memory, ANN))] == ["interrupted"]
    assert contents(journal(memory, ANN)) == ["hello", "half"]
