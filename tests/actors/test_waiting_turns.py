"""Sessions whose turns wait for a place: they are running turns that have said nothing yet."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
import trio
from greenroom.actors.commands import RunningTurn
from greenroom.actors.events import TurnDelta, TurnStarted
from greenroom.actors.reply import ReplySlot
from greenroom.persistence import SessionStore, SQLiteSessionStore

from tests.actors.hand import ANN, BOB, Ear, Puppet, attach, done, ends, journal, running, send, settle, sid


async def test_a_waiting_turn_is_acked_told_and_shown_as_one_that_has_said_nothing(
    memory: SessionStore,
) -> None:
    puppet, ear, late = Puppet(), Ear(), Ear()
    async with running(memory, puppet.agent(), turns=1) as core:
        await send(core, ANN, "m1")
        await attach(core, BOB, ear)
        ack = await send(core, BOB, "m1")
        assert ack.status == "accepted"
        assert ack.turn_id is not None
        assert ear.live[-1] == TurnStarted(ack.turn_id, (1,))
        assert (await attach(core, BOB, late)).turn == RunningTurn(ack.turn_id, "", 0)
        (await puppet.turn()).end()
        performance = await puppet.turn()
        assert performance.turn.turn_id == ack.turn_id
        await performance.say("hi")
        assert ear.live[-1] == TurnDelta(ack.turn_id, 0, "hi")
        performance.end()


async def test_p17_stop_is_answered_at_once_while_a_turn_waits_and_its_agent_never_runs(
    memory: SessionStore,
) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), turns=1) as core:
        await send(core, ANN, "m1")
        waiting = await send(core, BOB, "m1")
        slot: ReplySlot[tuple[str, ...]] = ReplySlot()
        with trio.fail_after(1):
            core.router.cancel(BOB, None, slot)
            assert await slot.wait() == (waiting.turn_id,)
        await settle(core, BOB)
        (end,) = ends(journal(memory, BOB))
        assert (end.stop_reason, end.message_seqs) == ("cancelled", (1,))
        (await puppet.turn()).end()
        await send(core, BOB, "m2")
        assert [message.content for message in (await puppet.turn()).turn.messages] == ["hello"]
        assert not puppet.has_turn()


async def test_sessions_take_turns_however_much_one_of_them_has_to_say(memory: SessionStore) -> None:
    puppet, order = Puppet(), list[str]()
    async with running(memory, puppet.agent(), turns=1) as core:
        for number in range(4):
            await send(core, ANN, f"m{number}")
        for number in range(3):
            await send(core, sid(number), "m1")
        for _ in range(7):
            performance = await puppet.turn()
            order.append(performance.turn.session.peer_id)
            performance.end()
    assert order[:5] == ["ann", "peer0", "peer1", "peer2", "ann"], "ann comes again behind all others"


async def test_a_thousand_sessions_are_all_answered_by_a_few_places(memory: SessionStore) -> None:
    async with running(memory, turns=3) as core, trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(done, core, sid(number), "m1")


@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p18_a_drain_leaves_waiting_turns_to_the_next_start_whatever_their_agent_may_do_twice(
    memory: SessionStore, on_interrupt: Literal["retry", "finish"]
) -> None:
    puppet = Puppet()
    async with (
        running(memory, puppet.agent(on_interrupt), turns=1, drain=60) as core,
        trio.open_nursery() as nursery,
    ):
        await send(core, ANN, "m1")
        await send(core, BOB, "m1")
        performance = await puppet.turn()
        nursery.start_soon(core.stop)
        while not ends(journal(memory, BOB)):  # noqa: ASYNC110  # the store tells nobody
            await trio.sleep(0.01)
        performance.end()
    assert [(end.stop_reason, end.will_retry) for end in ends(journal(memory, ANN))] == [("end_turn", False)]
    assert [(end.stop_reason, end.will_retry) for end in ends(journal(memory, BOB))] == [
        ("interrupted", True)
    ]
    async with running(memory, puppet.agent(on_interrupt), turns=1):
        performance = await puppet.turn()
        assert (performance.turn.session, performance.turn.attempt) == (BOB, 1)
        assert not puppet.has_turn()


@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p12_a_kill_uses_up_no_message_that_no_agent_has_seen(
    tmp_path: Path, on_interrupt: Literal["retry", "finish"]
) -> None:
    puppet = Puppet()
    async with running(life(tmp_path, 1), puppet.agent(on_interrupt), turns=1) as core:
        await send(core, ANN, "m1")
        await send(core, BOB, "m1")
        await puppet.turn()
        kill(tmp_path, 1)
    async with running(life(tmp_path, 2), puppet.agent(on_interrupt), turns=2) as core:
        turns = [await puppet.turn() for _ in range(2 if on_interrupt == "retry" else 1)]
        (bobs,) = [performance.turn for performance in turns if performance.turn.session == BOB]
        assert (bobs.attempt, [message.content for message in bobs.messages]) == (1, ["hello"])
        kill(tmp_path, 2)
    assert was_to_be_run_again(life(tmp_path, 3)) == [True]
    async with running(life(tmp_path, 3), puppet.agent(on_interrupt)) as core:
        await core.recovery.wait()
        await settle(core, BOB)
        kill(tmp_path, 3)
    assert was_to_be_run_again(life(tmp_path, 4)) == [True, on_interrupt == "retry"]


@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p12_a_turn_that_has_waited_counts_once_its_agent_is_called(
    tmp_path: Path, on_interrupt: Literal["retry", "finish"]
) -> None:
    puppet = Puppet()
    async with running(life(tmp_path, 1), puppet.agent(on_interrupt), turns=1) as core:
        await send(core, ANN, "m1")
        await send(core, BOB, "m1")
        (await puppet.turn()).end()
        assert (await puppet.turn()).turn.session == BOB
        kill(tmp_path, 1)
    async with running(life(tmp_path, 2), puppet.agent(on_interrupt)) as core:
        await core.recovery.wait()
        await settle(core, BOB)
        kill(tmp_path, 2)
    assert was_to_be_run_again(life(tmp_path, 3)) == [on_interrupt == "retry"]


def life(folder: Path, number: int) -> SQLiteSessionStore:
    return SQLiteSessionStore(folder / f"{number}.db")


def kill(folder: Path, number: int) -> None:
    """Leave what a kill at this moment leaves to the next life."""
    with (
        closing(sqlite3.connect(folder / f"{number}.db")) as now,
        closing(sqlite3.connect(folder / f"{number + 1}.db")) as then,
    ):
        now.backup(then)


def was_to_be_run_again(store: SQLiteSessionStore) -> list[bool]:
    """Of each of Bob's turns that was cut off, in order."""
    try:
        return [end.will_retry for end in ends(journal(store, BOB)) if end.stop_reason == "interrupted"]
    finally:
        store.close()
