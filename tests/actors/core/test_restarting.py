"""What follows from a crash: the same mailbox, a new instance, and exact counts."""

import pytest
import trio
from greenroom.actors import ActorRef, Finished, Question, open_supervisor
from greenroom.actors.actor_reports import ActorCrashed, ActorEnded
from greenroom.actors.cell import Restart
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorStoppedError,
    SupervisorFailedError,
)
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Finish,
    Get,
    Increment,
    Log,
    Make,
    Message,
    Note,
    Player,
    Reports,
    Stage,
    Starter,
    Wait,
)


async def crash(actor: ActorRef[Message]) -> None:
    with pytest.raises(ActorCrashedError):
        await actor.ask(Break())


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_a_crashed_actor_starts_again_with_new_state_and_the_mail_it_had(
    make: Make,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make)
        for message in (Increment(), Note("before"), Break(), Note("after"), Increment()):
            actor.tell(message)
        assert await actor.ask(Log()) == ["after"]
        assert await actor.ask(Get()) == 1
        assert actor.restarts == 1


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_the_message_that_crashed_it_is_set_aside_with_its_error_and_can_be_replayed(
    make: Make,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make, name="weak")
        actor.tell(Break("poison"))
        await trio.sleep(1)
        (letter,) = supervisor.dead_letters
        assert (letter.actor, letter.message, letter.fate) == ("weak", Break("poison"), "poison")
        assert isinstance(letter.error, ValueError)
        assert letter.at == pytest.approx(trio.current_time() - 1)
        letter.replay()
        await trio.sleep(1)
        assert actor.restarts == 2
        (again,) = supervisor.dead_letters
        assert again.message is letter.message


async def test_a_crash_is_reported_by_its_class_and_place_and_never_by_its_text(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports = Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor = await supervisor.spawn(Counter, name="weak")
        actor.tell(Break("secret"))
        await wait_all_tasks_blocked()
    (report,) = reports.all
    assert isinstance(report, ActorCrashed)
    assert (report.actor, report.error) == ("weak", "ValueError")
    assert "cast.py:" in report.where
    assert "secret" not in repr(report)


async def test_restarts_back_off_from_twenty_milliseconds_doubling_with_up_to_a_quarter_more(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    delays: list[float] = []
    began = 0.0

    def note() -> None:
        delays.append(trio.current_time() - began)

    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Starter, lambda: None, note)
        delays.clear()
        for _ in range(5):
            await crash(actor)
            began = trio.current_time()
            await actor.ask(Get())
    for delay, least in zip(delays, [0.02, 0.04, 0.08, 0.16, 0.32], strict=True):
        assert least <= delay <= least * 1.25 + 1e-9


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("message", [Break(), Finish()])
async def test_permanent_always_starts_again_transient_after_a_crash_temporary_never(
    restart: Restart,
    message: Message,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter, restart=restart)
        actor.tell(message)
        await trio.sleep(1)
        again = restart == "permanent" or (restart == "transient" and isinstance(message, Break))
        assert (actor.is_alive, actor.restarts) == (again, int(again))


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
@pytest.mark.parametrize("waits", [False, True])
async def test_finished_answers_the_asker_and_ends_the_actor_normally(
    make: Make,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
    *,
    waits: bool,
) -> None:
    reports = Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make, name="done", restart="transient")
        if waits:
            actor.tell(Increment())  # so that the question waits in the mailbox
        assert await actor.ask(Finish("done")) == "done"
        assert await actor.watch() == ActorEnded("done", "finished")
        assert reports.all == []
        assert not supervisor.dead_letters
    assert str(Finished("answer")) == "answer"


async def test_what_waits_for_a_temporary_actor_that_crashes_is_dead_letters(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter, restart="temporary")
        for message in (Break(), Note("waits")):
            actor.tell(message)
        end = await actor.watch()
        assert (end.why, type(end.error)) == ("crashed", ValueError)
        assert [letter.fate for letter in supervisor.dead_letters] == ["poison", "stopped"]


async def test_each_started_that_returned_has_one_stopped_also_after_a_crash(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor(report=Reports()) as supervisor:
        player = await supervisor.spawn(Player, stage)
        player.tell(Break())
        assert await player.ask(Get()) == 0
        player.tell(Break())
    assert stage.diary == ["player started", "player stopped"] * 2


async def test_a_start_that_fails_again_counts_as_a_crash(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports, left = Reports(), [0, 1, 1, 1, 0]

    def fail_sometimes() -> None:
        if left.pop(0):
            raise LookupError

    async with open_supervisor(report=reports) as supervisor:
        actor = await supervisor.spawn(Starter, lambda: None, fail_sometimes)
        actor.tell(Break())
        assert await actor.ask(Get()) == 0
        assert actor.restarts == 4
        assert len(reports.of(ActorCrashed)) == 4


async def test_more_crashes_than_intensity_in_period_fail_the_supervisor(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports = Reports()

    async def live() -> None:
        async with open_supervisor(intensity=3, period=10.0, report=reports) as supervisor:
            one, two = await supervisor.spawn(Counter, name="one"), await supervisor.spawn(Counter)
            for actor in (one, two, two):
                await crash(actor)
                await trio.sleep(1)
            assert (one.restarts, two.restarts) == (1, 2)
            one.tell(Break())
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailedError, match="too many crashes, the last of one") as caught:
        await live()
    assert isinstance(caught.value.__cause__, ValueError)
    assert len(reports.of(ActorCrashed)) == 4


async def test_crashes_further_apart_than_the_period_allows_never_fail_the_supervisor(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(intensity=2, period=10.0, report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        for _ in range(20):
            await crash(actor)
            await trio.sleep(5.0)
        assert actor.restarts == 20


async def test_asks_of_a_failed_supervisor_are_all_answered(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    answers, children = list[Exception](), list[ActorRef[Message]]()
    opened = trio.Event()

    async def live() -> None:
        async with open_supervisor(intensity=0, report=Reports()) as supervisor:
            children.append(await supervisor.spawn(Player, Stage()))
            children.append(await supervisor.spawn(Counter))
            opened.set()
            await trio.sleep_forever()

    async def keep() -> None:
        with pytest.raises(SupervisorFailedError):
            await live()

    async def ask(question: Question[object]) -> None:
        with pytest.raises(ActorStoppedError) as caught:
            await children[0].ask(question)
        answers.append(caught.value)

    nursery.start_soon(keep)
    await opened.wait()
    for question in (Wait("never"), Get(), Log()):
        nursery.start_soon(ask, question)
        await wait_all_tasks_blocked()
    children[1].tell(Break())
    await children[0].watch()
    await wait_all_tasks_blocked()
    assert len(answers) == 3


async def test_an_actor_between_two_instances_can_be_stopped(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        await crash(actor)
        actor.tell(Note("waits"))
        await actor.stop()
        await trio.sleep(1)
        assert actor.restarts == 0
        assert [letter.fate for letter in supervisor.dead_letters] == ["poison", "stopped"]


async def test_asks_that_meet_a_crashed_actor_wait_for_its_next_instance(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        for _ in range(3):
            await crash(actor)  # the second and third in the mailbox of an actor that is down
        assert await actor.ask(Get()) == 0
        assert actor.restarts == 3
