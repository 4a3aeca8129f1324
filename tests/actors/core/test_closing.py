"""The end of a supervisor: everybody ends, within bounds, and errors keep their shape."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorWouldNotStop
from greenroom.actors.errors import ActorStoppedError
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import Break, Counter, Get, Increment, Message, Note, Player, Reports, Stage, Wait


async def test_when_the_body_ends_messages_in_hand_may_finish(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        async with open_supervisor() as supervisor:
            player = await supervisor.spawn(Player, stage)
            player.tell(Wait("gate"))
            player.tell(Note("waits"))
            await wait_all_tasks_blocked()

            async def open_gate() -> None:
                await trio.sleep(1)
                stage.gate("gate").set()

            nursery.start_soon(open_gate)
        assert stage.diary == ["player started", "player passed gate", "player stopped"]
        assert (await player.watch()).why == "closed"


async def test_when_the_body_is_cancelled_messages_in_hand_are_cut_off_at_once(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            player = await supervisor.spawn(Player, stage)
            player.tell(Wait("gate"))
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert stage.diary == ["player started", "player cut", "player stopped"]
    assert trio.current_time() == began


async def test_the_bodys_own_error_comes_out_as_it_is() -> None:
    error = LookupError("mine")

    async def live() -> None:
        async with open_supervisor() as supervisor:
            await supervisor.spawn(Counter)
            raise error

    with pytest.raises(LookupError) as caught:
        await live()
    assert caught.value is error


async def test_closing_is_bounded_and_names_who_would_not_stop(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports, stage = Reports(), Stage()

    class Stubborn(Player):
        async def receive(self, message: Message) -> object:  # noqa: ARG002 - any
            with trio.CancelScope(shield=True):
                await self.stage.gate("let go").wait()
            return None

    closed: list[float] = []
    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        async with open_supervisor(report=reports, close_within=10.0) as supervisor:
            stubborn = [
                await supervisor.spawn(Stubborn, stage, name=f"stubborn {n}", stop_within=4.0)
                for n in range(5)
            ]
            for actor in stubborn:
                actor.tell(Increment())
            await wait_all_tasks_blocked(0.001)

            async def let_go() -> None:
                for actor in stubborn:
                    await actor.watch()
                closed.append(trio.current_time() - began)
                stage.gate("let go").set()

            nursery.start_soon(let_go)
    assert reports.all == [ActorWouldNotStop(f"stubborn {n}", "receive") for n in (4, 3, 2, 1, 0)]
    assert closed[0] <= 10.0 + 5 * 1.0 + 0.1


async def test_the_time_for_closing_also_bounds_stopped(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    class Slow(Counter):
        async def stopped(self) -> None:
            await trio.sleep(4)

    began = trio.current_time()
    async with open_supervisor(report=Reports(), close_within=6.0) as supervisor:
        for _ in range(5):
            await supervisor.spawn(Slow)
    assert trio.current_time() - began == pytest.approx(6.0)


async def test_a_retired_actor_may_say_goodbye_while_its_supervisor_closes(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    said: list[str] = []

    class Polite(Counter):
        async def stopped(self) -> None:
            await trio.sleep(1)
            said.append("goodbye")

    async with open_supervisor() as supervisor:
        polite = await supervisor.spawn(Polite)
        assert polite.retire_when_empty()
    assert said == ["goodbye"]


async def test_after_closing_every_reference_answers_that_its_actor_has_ended() -> None:
    async with open_supervisor() as supervisor:
        actors: list[ActorRef[Message]] = [
            await supervisor.spawn(Counter),
            await supervisor.spawn(Player, Stage()),
        ]
    for actor in actors:
        with pytest.raises(ActorStoppedError):
            actor.tell(Increment())
        with pytest.raises(ActorStoppedError):
            await actor.ask(Get())
        await actor.stop()


async def test_a_handler_that_raises_what_is_no_error_takes_the_supervisor_down_and_everybody_is_answered(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    class Interrupted(Player):
        async def receive(self, message: Message) -> object:  # noqa: ARG002 - any
            raise KeyboardInterrupt

    answers: list[str] = []

    async def ask(actor: ActorRef[Message]) -> None:
        with pytest.raises(ActorStoppedError) as caught:
            await actor.ask(Get())
        answers.append(str(caught.value))

    async def live(nursery: trio.Nursery) -> None:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Interrupted, Stage())
            nursery.start_soon(ask, actor)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        with pytest.RaisesGroup(KeyboardInterrupt, allow_unwrapped=False, flatten_subgroups=True):
            await live(nursery)
    assert len(answers) == 1


async def test_unless_told_otherwise_a_supervisor_reports_to_the_log(
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, name="weak")
        actor.tell(Break("secret"))
        assert await actor.ask(Get()) == 0
    assert [record.name for record in caplog.records] == ["greenroom.actors"]
    assert "ActorCrashed" in caplog.text
    assert "secret" not in caplog.text
