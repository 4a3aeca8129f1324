"""Whoever is taken down already may be stopped: both wait for the message in hand."""

import trio
from greenroom.actors import open_supervisor
from greenroom.actors.actor_reports import ActorCrashed
from greenroom.actors.errors import ActorCrashedError

from tests.actors.core.cast import Break, Counter, Player, Reports, Stage, Wait


async def test_one_that_is_being_taken_down_with_a_message_in_hand_can_be_stopped() -> None:
    reports, stage, answers = Reports(), Stage(), list[str]()
    async with open_supervisor("one_for_all", report=reports) as supervisor, trio.open_nursery() as nursery:
        busy = await supervisor.spawn(Player, stage)
        broken = await supervisor.spawn(Counter)

        async def asker() -> None:
            answers.append(await busy.ask(Wait("gate")))

        nursery.start_soon(asker)
        await trio.testing.wait_all_tasks_blocked()
        try:
            await broken.ask(Break())
        except ActorCrashedError:
            answers.append("crashed")
        await trio.testing.wait_all_tasks_blocked()  # the other waits to be taken down
        nursery.start_soon(busy.stop)
        await trio.testing.wait_all_tasks_blocked()
        stage.gate("gate").set()
        assert (await busy.watch()).why == "stopped"
    assert answers == ["crashed", "gate"]
    assert stage.diary == ["player started", "player passed gate", "player stopped"]
    assert len(reports.of(ActorCrashed)) == 1
