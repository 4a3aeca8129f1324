"""Starting: ready or not there at all."""

from collections.abc import Callable

import pytest
import trio
from greenroom.actors import open_supervisor
from greenroom.actors.errors import ActorStoppedError, ShuttingDownError
from trio.testing import wait_all_tasks_blocked

from tests.actors.core.cast import Counter, Get, Increment, Player, Stage, Starter, Wait


class Slow(Player):
    async def started(self) -> None:
        await self.stage.gate("start").wait()
        await super().started()


def fail() -> None:
    raise LookupError("no such thing")


async def test_spawn_returns_when_started_has_returned(nursery: trio.Nursery) -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:

        async def spawn() -> None:
            await supervisor.spawn(Slow, stage)
            stage.diary.append("spawned")

        nursery.start_soon(spawn)
        await wait_all_tasks_blocked()
        assert stage.diary == []
        stage.gate("start").set()
        await wait_all_tasks_blocked()
        assert stage.diary == ["player started", "spawned"]


@pytest.mark.parametrize("start", [(fail,), (lambda: None, fail)])
async def test_spawn_raises_what_the_start_raised_and_leaves_no_actor(
    start: tuple[Callable[[], object], ...],
) -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(LookupError, match="no such thing"):
            await supervisor.spawn(Starter, *start, name="one")
        assert len(supervisor) == 0
        assert supervisor.find("one") is None
        await supervisor.spawn(Counter, name="one")


async def test_a_spawn_that_is_cancelled_leaves_no_actor() -> None:
    async with open_supervisor() as supervisor:
        with trio.move_on_after(0):
            await supervisor.spawn(Slow, Stage(), name="slow")
        assert supervisor.find("slow") is None


async def test_mail_for_an_actor_that_starts_waits_for_its_start(nursery: trio.Nursery) -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        nursery.start_soon(lambda: supervisor.spawn(Slow, stage, name="slow"))
        await wait_all_tasks_blocked()
        slow = supervisor.find("slow")
        assert slow is not None
        slow.tell(Increment())
        await wait_all_tasks_blocked()
        assert slow.depth == 1
        stage.gate("start").set()
        assert await slow.ask(Get()) == 1


async def test_mail_for_an_actor_that_cannot_start_becomes_dead_letters(nursery: trio.Nursery) -> None:
    go = trio.Event()
    raised: list[Exception] = []

    class Failing(Counter):
        async def started(self) -> None:
            await go.wait()
            raise LookupError

    async with open_supervisor() as supervisor:

        async def spawn() -> None:
            with pytest.raises(LookupError):
                await supervisor.spawn(Failing, name="failing")

        async def ask() -> None:
            try:
                await failing.ask(Get())
            except ActorStoppedError as exc:
                raised.append(exc)

        nursery.start_soon(spawn)
        await wait_all_tasks_blocked()
        failing = supervisor.find("failing")
        assert failing is not None
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        go.set()
        assert (await failing.watch()).why == "unstarted"
        await wait_all_tasks_blocked()
        assert len(raised) == 1
        assert [letter.message for letter in supervisor.dead_letters] == [Get()]


async def test_an_actor_stopped_while_it_starts_is_cut_off_and_its_spawn_says_so(
    nursery: trio.Nursery,
) -> None:
    stage, said = Stage(), list[str]()
    async with open_supervisor() as supervisor:

        async def spawn() -> None:
            with pytest.raises(ActorStoppedError) as caught:
                await supervisor.spawn(Slow, stage, name="slow")
            said.append(str(caught.value))

        nursery.start_soon(spawn)
        await wait_all_tasks_blocked()
        slow = supervisor.find("slow")
        assert slow is not None
        await slow.stop()
        await wait_all_tasks_blocked()
        assert said == ["actor slow: expected to start, met its end"]
        assert stage.diary == []  # neither started nor stopped


async def test_an_actor_knows_its_own_reference_from_its_start_on() -> None:
    class Knowing(Counter):
        async def started(self) -> None:
            self.ref.tell(Increment())

    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Knowing, name="knowing")
        assert await actor.ask(Get()) == 1
        assert actor == supervisor.find("knowing")
        assert hash(actor) == hash(supervisor.find("knowing"))


async def test_names_are_unique_among_the_living_and_made_up_if_not_given() -> None:
    async with open_supervisor() as supervisor:
        first, second = await supervisor.spawn(Counter), await supervisor.spawn(Counter)
        assert first.name != second.name
        await supervisor.spawn(Counter, name="taken")
        with pytest.raises(ValueError, match="actor taken: expected a name that is free, met one in use"):
            await supervisor.spawn(Counter, name="taken")
        taken = supervisor.find("taken")
        assert taken is not None
        await taken.stop()
        await supervisor.spawn(Counter, name="taken")


async def test_made_up_names_avoid_those_given() -> None:
    async with open_supervisor() as supervisor:
        await supervisor.spawn(Counter, name="actor-1")
        assert (await supervisor.spawn(Counter)).name != "actor-1"


async def test_what_cannot_be_an_actor_is_refused() -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(TypeError, match="expected an Actor, met dict"):
            await supervisor.spawn(dict)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mailbox: expected room for one message at least, met 0"):
            await supervisor.spawn(Counter, mailbox=0)


async def test_nothing_is_spawned_while_the_supervisor_closes() -> None:
    stage, refused = Stage(), list[str]()

    class Late(Player):
        async def stopped(self) -> None:
            with pytest.raises(ShuttingDownError) as caught:
                await supervisor.spawn(Counter)
            refused.append(str(caught.value))

    async with open_supervisor() as supervisor:
        await supervisor.spawn(Late, stage)
    assert refused == ["supervisor: expected to be open, met a spawn while it closes"]


async def test_an_idle_actor_has_no_task_of_its_own() -> None:
    async with open_supervisor() as supervisor:
        before = trio.lowlevel.current_statistics().tasks_living
        players = [await supervisor.spawn(Player, Stage()) for _ in range(500)]
        for player in players:
            assert await player.ask(Get()) == 0
        assert trio.lowlevel.current_statistics().tasks_living <= before + 2


async def test_after_a_burst_of_waiting_handlers_few_tasks_are_kept() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        before = trio.lowlevel.current_statistics().tasks_living
        for player in [await supervisor.spawn(Player, stage) for _ in range(200)]:
            player.tell(Wait("all"))
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living >= before + 200
        stage.gate("all").set()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= before + 65
