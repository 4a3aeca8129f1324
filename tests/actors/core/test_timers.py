"""Messages sent later."""

import pytest
import trio
from greenroom.actors import open_supervisor
from greenroom.actors.timers import SWEEP
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import Counter, Get, Increment, Log, Note, Player, Stage, Wait


async def test_after_tells_once_when_its_time_has_come(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        supervisor.timers.after(2.0, actor, Increment())
        await trio.sleep(1.9)
        assert await actor.ask(Get()) == 0
        await trio.sleep(0.2)
        assert await actor.ask(Get()) == 1
        await trio.sleep(10)
        assert await actor.ask(Get()) == 1


async def test_timers_fire_in_the_order_of_their_times_and_equal_ones_in_the_order_they_were_set(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        for seconds in (3, 1, 2, 1):
            supervisor.timers.after(seconds, actor, Note(f"{seconds}"))
        supervisor.timers.after(1, actor, Note("1 last"))
        assert len(supervisor.timers) == 5
        await trio.sleep(4)
        assert await actor.ask(Log()) == ["1", "1", "1 last", "2", "3"]
        assert len(supervisor.timers) == 0


async def test_every_tells_again_and_again_without_drifting_until_the_actor_ends(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        supervisor.timers.every(0.3, actor, Increment())
        await trio.sleep(3.01)
        assert await actor.ask(Get()) == 10
        await actor.stop()
        await trio.sleep(1)
        assert len(supervisor.timers) == 0
        assert not supervisor.dead_letters


async def test_a_cancelled_timer_sends_nothing_more(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        once = supervisor.timers.after(1, actor, Increment())
        often = supervisor.timers.every(1, actor, Increment())
        await trio.sleep(0.5)
        once.cancel()
        once.cancel()
        await trio.sleep(1)
        often.cancel()
        await trio.sleep(5)
        assert await actor.ask(Get()) == 1
        assert len(supervisor.timers) == 0
        assert not once.is_live


async def test_all_timers_share_one_task_which_lives_while_there_is_a_timer(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        assert await actor.ask(Get()) == 0
        before = trio.lowlevel.current_statistics().tasks_living
        for seconds in range(500):
            supervisor.timers.after(seconds, actor, Increment())
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= before + 2  # one of them a runner
        await trio.sleep(600)
        assert await actor.ask(Get()) == 500


async def test_cancelled_timers_are_swept_out(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        for timer in [supervisor.timers.after(1000, actor, Increment()) for _ in range(10 * SWEEP)]:
            timer.cancel()
        assert len(supervisor.timers._heap) <= 2 * SWEEP
        assert len(supervisor.timers) == 0


async def test_a_timer_that_is_refused_leaves_a_dead_letter_and_a_repeating_one_leaves_a_time_out(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        full, gone = await supervisor.spawn(Player, stage, mailbox=1), await supervisor.spawn(Counter)
        full.tell(Wait("gate"))
        supervisor.timers.after(1, full, Note("full"))
        supervisor.timers.after(1, gone, Note("gone"))
        supervisor.timers.every(0.6, full, Increment())
        await gone.stop()
        await trio.sleep(2)
        letters = [(letter.message, letter.fate) for letter in supervisor.dead_letters]
        assert letters == [(Note("full"), "refused"), (Note("gone"), "stopped")]
        stage.gate("gate").set()
        await wait_all_tasks_blocked(0.001)
        assert await full.ask(Get()) == 1
        await trio.sleep(0.5)
        assert await full.ask(Get()) == 2


async def test_an_earlier_timer_set_later_fires_first(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        supervisor.timers.after(100, actor, Note("late"))
        await trio.sleep(1)
        supervisor.timers.after(1, actor, Note("early"))
        await trio.sleep(1.5)
        assert await actor.ask(Log()) == ["early"]


async def test_times_that_make_no_sense_are_refused(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        with pytest.raises(ValueError, match="timer: expected no negative number of seconds, met -1"):
            supervisor.timers.after(-1, actor, Increment())
        with pytest.raises(ValueError, match="timer: expected a positive number of seconds, met 0"):
            supervisor.timers.every(0, actor, Increment())


async def test_timers_die_with_their_supervisor(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        supervisor.timers.every(1, actor, Increment())
        supervisor.timers.after(50, actor, Increment())
        began = trio.current_time()
    assert trio.current_time() == began
