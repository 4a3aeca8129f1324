"""Who is started again together, and in which order everybody starts and stops."""

import pytest
import trio
from greenroom.actors import ActorRef, Supervisor, open_supervisor
from greenroom.actors.actor_reports import ActorWouldNotStop
from greenroom.actors.errors import ActorCrashedError, SupervisorFailedError
from greenroom.actors.mending import Strategy
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import Break, Get, Increment, Log, Message, Note, Player, Reports, Stage, Wait


async def three(supervisor: Supervisor, stage: Stage) -> list[ActorRef[Message]]:
    players = [await supervisor.spawn(Player, stage, name, name=name) for name in "abc"]
    stage.diary.clear()
    return players


async def crash(actor: ActorRef[Message]) -> None:
    with pytest.raises(ActorCrashedError):
        await actor.ask(Break())


@pytest.mark.parametrize(
    ("strategy", "diary"),
    [
        ("one_for_one", ["b stopped", "b started"]),
        ("rest_for_one", ["c stopped", "b stopped", "b started", "c started"]),
        ("one_for_all", ["c stopped", "b stopped", "a stopped", "a started", "b started", "c started"]),
    ],
)
async def test_the_strategy_says_who_starts_again_in_the_order_of_the_first_start(
    strategy: Strategy,
    diary: list[str],
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor(strategy, report=Reports()) as supervisor:
        _, b, c = await three(supervisor, stage)
        await crash(b)
        await trio.sleep(1)
        assert stage.diary == diary
        assert (b.restarts, c.restarts) == (1, int("c started" in diary))


async def test_children_stop_in_the_reverse_of_the_order_they_started_in() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        await three(supervisor, stage)
    assert stage.diary == ["c stopped", "b stopped", "a stopped"]


async def test_those_that_start_again_together_keep_their_mail_and_finish_what_they_have_in_hand(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage, answers = Stage(), list[str]()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        a, b, _ = await three(supervisor, stage)

        async def ask() -> None:
            answers.append(await a.ask(Wait("in hand")))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        a.tell(Note("kept"))
        await crash(b)
        await trio.sleep(1)
        assert stage.diary == ["c stopped", "b stopped"]
        stage.gate("in hand").set()
        assert await a.ask(Log()) == ["kept"]
        assert answers == ["in hand"]
        assert await b.ask(Get()) == 0


async def test_a_crash_of_one_that_is_being_taken_down_counts_for_nothing(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()

    class Falling(Player):
        async def receive(self, message: Message) -> object:
            await super().receive(message)
            raise ValueError

    async with open_supervisor("one_for_all", intensity=1, report=Reports()) as supervisor:
        falling, weak = await supervisor.spawn(Falling, stage), await supervisor.spawn(Player, stage)
        falling.tell(Wait("gate"))
        await wait_all_tasks_blocked()
        weak.tell(Break())
        await wait_all_tasks_blocked()
        stage.gate("gate").set()
        assert await weak.ask(Get()) == 0
        assert (falling.restarts, weak.restarts) == (1, 1)
        assert [letter.fate for letter in supervisor.dead_letters] == ["poison", "poison"]
        nursery.cancel_scope.cancel()


async def test_temporary_siblings_end_when_the_others_start_again(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        weak = await supervisor.spawn(Player, stage)
        guest = await supervisor.spawn(Player, stage, restart="temporary")
        await crash(weak)
        assert (await guest.watch()).why == "stopped"
        assert await weak.ask(Get()) == 0
        assert weak.restarts == 1


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_start_that_fails_takes_down_again_whom_the_strategy_names(
    strategy: Strategy,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage, failures = Stage(), [0, 1, 1, 0]

    class Failing(Player):
        async def started(self) -> None:
            if failures.pop(0):
                raise LookupError
            await super().started()

    async with open_supervisor(strategy, report=Reports()) as supervisor:
        first = await supervisor.spawn(Player, stage, "first")
        failing = await supervisor.spawn(Failing, stage, "failing")
        last = await supervisor.spawn(Player, stage, "last")
        await crash(first)
        last.tell(Increment())
        assert await last.ask(Get()) == 1
        assert failing.restarts == 3
        assert first.restarts == (3 if strategy == "one_for_all" else 1)
        assert last.restarts == 1
        assert await first.ask(Get()) == 0


async def test_an_earlier_crash_during_the_wait_widens_the_group(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor("rest_for_one", report=Reports()) as supervisor:
        a, b, c = await three(supervisor, stage)
        await crash(c)
        await crash(b)
        await trio.sleep(1)
        assert stage.diary == ["c stopped", "b stopped", "b started", "c started"]
        assert (a.restarts, b.restarts, c.restarts) == (0, 1, 1)


async def test_those_taken_down_start_again_though_the_one_that_crashed_is_stopped_meanwhile(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        a, b, c = await three(supervisor, stage)
        await crash(a)
        await wait_all_tasks_blocked(0.001)
        await a.stop()
        await trio.sleep(1)
        assert [await actor.ask(Get()) for actor in (b, c)] == [0, 0]
        assert (b.restarts, c.restarts) == (1, 1)


async def test_one_that_is_taken_down_with_the_others_can_be_stopped_meanwhile(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage, answers = Stage(), list[str]()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        a, _, c = await three(supervisor, stage)

        async def ask() -> None:
            answers.append(await c.ask(Wait("gate")))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        a.tell(Break())
        await wait_all_tasks_blocked()
        nursery.start_soon(c.stop)
        await wait_all_tasks_blocked()
        stage.gate("gate").set()
        await trio.sleep(1)
        assert answers == ["gate"]
        assert stage.diary.count("c stopped") == 1
        assert stage.diary[-4:] == ["b stopped", "a stopped", "a started", "b started"]
        assert (c.is_alive, c.restarts) == (False, 0)


async def test_a_handler_that_will_not_stop_is_left_behind_and_its_actor_starts_without_it(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage, reports = Stage(), Reports()

    class Stubborn(Player):
        async def receive(self, message: Message) -> object:
            if isinstance(message, Wait):
                with trio.CancelScope(shield=True):
                    await self.stage.gate(message.gate).wait()
                raise LookupError("an old instance fails")  # noqa: TRY004 - the type is sound, the handler is not
            return await super().receive(message)

    async with open_supervisor("one_for_all", report=reports) as supervisor:
        stubborn = await supervisor.spawn(Stubborn, stage, name="stubborn", stop_within=1.0)
        weak = await supervisor.spawn(Player, stage)
        stubborn.tell(Wait("gate"))
        stubborn.tell(Increment())
        await wait_all_tasks_blocked(0.001)
        await crash(weak)
        await trio.sleep(10)
        assert reports.of(ActorWouldNotStop) == [ActorWouldNotStop("stubborn", "receive")]
        assert await stubborn.ask(Get()) == 1
        stage.gate("gate").set()
        await wait_all_tasks_blocked(0.001)
        assert await stubborn.ask(Get()) == 1
        assert stubborn.restarts == 1


async def test_groups_count_together_and_fail_together(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()

    async def live() -> None:
        async with open_supervisor("rest_for_one", intensity=2, report=Reports()) as supervisor:
            for actor in await three(supervisor, stage):
                await crash(actor)
                await trio.sleep(1)
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailedError):
        await live()
    assert stage.diary[-3:] == ["c stopped", "b stopped", "a stopped"]


def test_a_quarantine_is_refused_where_children_start_again_together() -> None:
    async def open_one() -> None:
        async with open_supervisor("one_for_all", quarantine=True):
            pass

    with pytest.raises(ValueError, match="expected the strategy one_for_one, met one_for_all"):
        trio.run(open_one)
