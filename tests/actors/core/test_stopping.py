"""Stopping: bounded, said once, and nothing is lost on the way."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorCrashed, ActorStoppedBadly, ActorWouldNotStop
from greenroom.actors.errors import ActorStoppedError
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import Break, Counter, Get, Increment, Message, Note, Player, Reports, Stage, Wait


async def test_what_waits_becomes_dead_letters_and_the_message_in_hand_may_finish(
    nursery: trio.Nursery,
) -> None:
    stage, answers = Stage(), list[str]()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)

        async def ask() -> None:
            answers.append(await player.ask(Wait("in hand")))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        player.tell(Note("waits"))
        nursery.start_soon(player.stop)
        await wait_all_tasks_blocked()
        assert not player.is_alive
        assert [(letter.message, letter.fate) for letter in supervisor.dead_letters] == [
            (Note("waits"), "stopped")
        ]
        stage.gate("in hand").set()
        await player.stop()
        await wait_all_tasks_blocked()
        assert answers == ["in hand"]
        assert stage.diary == ["player started", "player passed in hand", "player stopped"]


async def test_a_message_in_hand_is_cut_off_after_stop_within(autojump_clock: MockClock) -> None:  # noqa: ARG001
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage, stop_within=3.0)
        player.tell(Wait("never"))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await player.stop()
        assert trio.current_time() - began == pytest.approx(3.0)
        assert stage.diary == ["player started", "player cut", "player stopped"]
        assert [(letter.message, letter.fate) for letter in supervisor.dead_letters] == [
            (Wait("never"), "cut off")
        ]


async def test_cutting_one_actor_off_touches_no_other(nursery: trio.Nursery) -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        players = [await supervisor.spawn(Player, stage, str(n), stop_within=0.0) for n in range(10)]
        for turn in range(3):
            for player in players:
                player.tell(Wait(f"turn {turn}"))
        await wait_all_tasks_blocked()
        for player in players[::2]:
            nursery.start_soon(player.stop)
        stage.gate("turn 0").set()
        stage.gate("turn 1").set()
        stage.gate("turn 2").set()
        await wait_all_tasks_blocked()
        for n in range(1, 10, 2):
            assert [line for line in stage.diary if line.startswith(f"{n} ")] == [
                f"{n} started",
                *(f"{n} passed turn {turn}" for turn in range(3)),
            ]


async def test_stop_is_idempotent_and_may_be_called_by_many(nursery: trio.Nursery) -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        for _ in range(5):
            nursery.start_soon(player.stop)
        await player.stop()
        await player.stop()
        assert stage.diary == ["player started", "player stopped"]


async def test_a_stop_whose_caller_is_cancelled_goes_on() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        player.tell(Wait("gate"))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await player.stop()
        stage.gate("gate").set()
        await player.watch()
        assert stage.diary[-1] == "player stopped"


async def test_stopped_is_shielded_from_cancellation_and_cut_off_after_stop_within(
    autojump_clock: MockClock,  # noqa: ARG001
) -> None:
    reports, lasted = Reports(), list[float]()

    class Long(Counter):
        async def stopped(self) -> None:
            began = trio.current_time()
            try:
                await trio.sleep_forever()
            finally:
                lasted.append(trio.current_time() - began)

    with trio.CancelScope() as scope:
        async with open_supervisor(report=reports) as supervisor:
            await supervisor.spawn(Long, name="long", stop_within=2.0)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert lasted == [pytest.approx(2.0)]
    (report,) = reports.of(ActorStoppedBadly)
    assert (report.actor, report.error) == ("long", "TooSlowError")  # type: ignore[attr-defined]


async def test_an_error_in_stopped_is_reported_and_the_actor_has_ended() -> None:
    reports = Reports()

    class Bad(Counter):
        async def stopped(self) -> None:
            raise ValueError("secret")

    async with open_supervisor(report=reports) as supervisor:
        bad = await supervisor.spawn(Bad, name="bad")
        await bad.stop()
        assert not bad.is_alive
    assert [type(report) for report in reports.all] == [ActorStoppedBadly]
    assert "secret" not in repr(reports.all)


async def test_an_actor_that_will_not_stop_is_named_and_left_behind(
    autojump_clock: MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    reports, stage, told = Reports(), Stage(), list[str]()

    class Stubborn(Player):
        async def receive(self, message: Message) -> object:  # noqa: ARG002 - any
            with trio.CancelScope(shield=True):
                await self.stage.gate("let go").wait()
            return "too late"

    async with open_supervisor(report=reports) as supervisor:
        stubborn = await supervisor.spawn(Stubborn, stage, name="stubborn", stop_within=1.0)

        async def ask() -> None:
            try:
                await stubborn.ask(Get())
            except ActorStoppedError as exc:
                told.append(str(exc))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await stubborn.stop()
        await wait_all_tasks_blocked(0.1)
        assert reports.all == [ActorWouldNotStop("stubborn", "receive")]
        assert told == ["actor stubborn: expected an answer, met the actor's end"]
        other = await supervisor.spawn(Player, stage, name="stubborn")
        assert await other.ask(Get()) == 0
        stage.gate("let go").set()
        await wait_all_tasks_blocked(0.1)
        assert await other.ask(Get()) == 0


async def test_an_actor_that_waits_for_its_own_end_is_told_so() -> None:
    said: list[str] = []

    class Suicidal(Player):
        async def receive(self, message: Message) -> object:  # noqa: ARG002 - any
            with pytest.raises(RuntimeError) as caught:
                await self.ref.stop()
            said.append(str(caught.value))
            return None

    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Suicidal, Stage(), name="own")
        await actor.ask(Get())
    assert said == ["actor own: expected its own handler to raise Finished, met a wait for its own end"]


async def test_a_crash_while_an_actor_is_stopped_is_reported_and_not_mended(nursery: trio.Nursery) -> None:
    reports, stage = Reports(), Stage()

    class Falling(Player):
        async def receive(self, message: Message) -> object:
            await super().receive(message)
            raise ValueError

    async with open_supervisor(report=reports) as supervisor:
        falling = await supervisor.spawn(Falling, stage, name="falling")
        falling.tell(Wait("gate"))
        await wait_all_tasks_blocked()
        nursery.start_soon(falling.stop)
        await wait_all_tasks_blocked()
        stage.gate("gate").set()
        assert (await falling.watch()).why == "stopped"
        assert [type(report) for report in reports.all] == [ActorCrashed]
        assert falling.restarts == 0


async def test_a_handler_that_raises_when_it_is_cut_off_harms_nobody_else() -> None:
    reports, stage = Reports(), Stage()

    class Group(Player):
        async def receive(self, message: Message) -> object:
            async def fail() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError

            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await super().receive(message)
            return None

    async with open_supervisor(report=reports) as supervisor:
        group = await supervisor.spawn(Group, stage, stop_within=0.0)
        other: ActorRef[Message] = await supervisor.spawn(Player, stage)
        group.tell(Wait("never"))
        await wait_all_tasks_blocked()
        await group.stop()
        other.tell(Increment())
        assert await other.ask(Get()) == 1
        assert [type(report) for report in reports.all] == [ActorCrashed]


async def test_stop_overtakes_a_full_mailbox() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=3)
        for _ in range(3):
            actor.tell(Break())
        await actor.stop()
        assert [letter.fate for letter in supervisor.dead_letters] == ["stopped"] * 3
