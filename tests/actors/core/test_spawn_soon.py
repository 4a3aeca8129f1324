"""Starting without waiting for it: mail waits, and a start that fails is a crash."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorCrashed, ActorEnded, ActorQuarantined
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorQuarantinedError,
    ActorStoppedError,
    ShuttingDownError,
    SupervisorFailedError,
)
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Get,
    Increment,
    Log,
    Message,
    Note,
    Player,
    Reports,
    Stage,
    Starter,
    Wait,
)


class Slow(Player):
    async def started(self) -> None:
        await self.stage.gate("start").wait()
        await super().started()


class Failing:
    """Raises the first so many times it is called, and notes when."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times = times
        self.error = error or OSError("not yet")
        self.at: list[float] = []

    def __call__(self) -> None:
        self.at.append(trio.current_time())
        if len(self.at) <= self.times:
            raise self.error


def nothing() -> None:
    """Goes well."""


async def test_spawn_soon_returns_a_reference_at_once_and_mail_waits_for_the_start() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        slow = supervisor.spawn_soon(Slow, stage, name="slow")
        assert (supervisor.find("slow"), slow.is_alive, slow.depth) == (slow, True, 0)
        for text in ("first", "second"):
            slow.tell(Note(text))
        await wait_all_tasks_blocked()
        slow.tell_control(Note("control"))
        assert (slow.depth, stage.diary) == (3, [])
        assert not slow.retire_when_empty()
        stage.gate("start").set()
        assert await slow.ask(Log()) == ["control", "first", "second"]
        assert slow.restarts == 0


async def test_nothing_is_constructed_in_the_step_of_spawn_soon_nor_after_a_stop() -> None:
    made = Failing(0)
    async with open_supervisor() as supervisor:
        actor, other = supervisor.spawn_soon(Starter, made), supervisor.spawn_soon(Starter, made)
        assert made.at == []
        actor.tell(Increment())
        await actor.stop()
        assert await other.ask(Get()) == 0
        assert len(made.at) == 1
        assert [letter.fate for letter in supervisor.dead_letters] == ["stopped"]


async def test_spawn_soon_refuses_what_spawn_refuses() -> None:
    stage, refused = Stage(), list[str]()

    class Late(Player):
        async def stopped(self) -> None:
            with pytest.raises(ShuttingDownError) as caught:
                supervisor.spawn_soon(Counter)
            refused.append(str(caught.value))

    async with open_supervisor() as supervisor:
        supervisor.spawn_soon(Late, stage, name="taken")
        with pytest.raises(ValueError, match="actor taken: expected a name that is free, met one in use"):
            supervisor.spawn_soon(Counter, name="taken")
        with pytest.raises(ValueError, match="mailbox: expected room for one message at least, met 0"):
            supervisor.spawn_soon(Counter, mailbox=0)
        assert supervisor.spawn_soon(Counter).name != supervisor.spawn_soon(Counter).name
        await wait_all_tasks_blocked()
    assert refused == ["supervisor: expected to be open, met a spawn while it closes"]


@pytest.mark.parametrize("in_start", [False, True])
async def test_a_first_start_that_fails_counts_as_a_crash(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
    *,
    in_start: bool,
) -> None:
    fail, reports = Failing(3), Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor = supervisor.spawn_soon(Starter, *((nothing, fail) if in_start else (fail,)))
        actor.tell(Increment())
        assert await actor.ask(Get()) == 1
        assert actor.restarts == 3
        waits = [after - before for before, after in zip(fail.at, fail.at[1:], strict=False)]
        for wait, least in zip(waits, [0.02, 0.04, 0.08], strict=True):
            assert least <= wait <= least * 1.25 + 1e-9
        assert len(reports.of(ActorCrashed)) == 3
        assert not supervisor.dead_letters


async def test_first_starts_that_fail_too_often_are_a_quarantine(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    fail, reports = Failing(6), Reports()
    async with open_supervisor(quarantine=True, report=reports) as supervisor:
        actor = supervisor.spawn_soon(Starter, fail)
        with pytest.raises(ActorQuarantinedError):
            await actor.ask(Get())
        assert len(fail.at) == 6
        assert len(reports.of(ActorQuarantined)) == 1
        await trio.sleep(20)
        assert await actor.ask(Get()) == 0


async def test_first_starts_that_fail_too_often_fail_a_supervisor_without_quarantine(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    fail = Failing(100)

    async def live() -> None:
        async with open_supervisor(report=Reports()) as supervisor:
            supervisor.spawn_soon(Starter, fail)
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailedError) as caught:
        await live()
    assert caught.value.__cause__ is fail.error
    assert len(fail.at) == 6


async def test_a_temporary_actor_whose_first_start_fails_ends(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    fail, reports = Failing(1), Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor = supervisor.spawn_soon(Starter, fail, restart="temporary", name="brief")
        with pytest.raises(ActorStoppedError):
            await actor.ask(Get())
        assert await actor.watch() == ActorEnded("brief", "crashed", fail.error)
        await trio.sleep(1)
        assert len(fail.at) == 1
        assert len(reports.of(ActorCrashed)) == 1
        assert supervisor.find("brief") is None


async def test_a_start_beyond_repair_ends_the_actor_unreported_and_askers_get_that_error(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    fail, reports, told = Failing(1, LookupError("no such thing")), Reports(), list[Exception]()
    async with open_supervisor(report=reports) as supervisor:
        actor = supervisor.spawn_soon(
            Starter, nothing, fail, name="one", beyond_repair=(KeyError, LookupError)
        )

        async def ask() -> None:
            with pytest.raises(LookupError) as caught:
                await actor.ask(Get())
            told.append(caught.value)

        actor.tell(Increment())
        for _ in range(2):
            nursery.start_soon(ask)
        assert await actor.watch() == ActorEnded("one", "unstarted", fail.error)
        await wait_all_tasks_blocked()
        assert told == [fail.error, fail.error]
        assert [(letter.fate, letter.answer) for letter in supervisor.dead_letters] == [
            ("stopped", fail.error)
        ] * 3
        assert reports.all == []
        supervisor.spawn_soon(Counter, name="one")
        await trio.sleep(1)
        assert len(fail.at) == 1
        with pytest.raises(ActorStoppedError):
            actor.tell(Increment())


async def test_a_restart_may_be_beyond_repair_too_and_other_errors_are_crashes(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    errors: list[Exception | None] = [OSError("not yet"), None, OSError("again"), LookupError("gone")]

    def start() -> None:
        error = errors.pop(0)
        if error is not None:
            raise error

    reports = Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor: ActorRef[Message] = supervisor.spawn_soon(Starter, start, beyond_repair=(LookupError,))
        assert await actor.ask(Get()) == 0
        with pytest.raises(ActorCrashedError):
            await actor.ask(Break())
        with pytest.raises(LookupError):
            await actor.ask(Get())
        assert (await actor.watch()).why == "unstarted"
        assert [report.error for report in reports.of(ActorCrashed)] == ["OSError", "ValueError", "OSError"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("close", [False, True])
async def test_a_start_under_way_is_cut_off_by_stop_and_by_the_end_of_its_supervisor(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
    *,
    close: bool,
) -> None:
    stage, reports = Stage(), Reports()
    began = trio.current_time()
    async with open_supervisor(report=reports) as supervisor:
        slow = supervisor.spawn_soon(Slow, stage, beyond_repair=(ActorStoppedError,))
        slow.tell(Increment())
        await wait_all_tasks_blocked()
        if not close:
            await slow.stop()
    assert (await slow.watch()).why == ("closed" if close else "stopped")
    assert [letter.fate for letter in supervisor.dead_letters] == ["stopped"]
    assert trio.current_time() == began
    assert (stage.diary, reports.all) == ([], [])


async def test_a_start_that_meets_the_end_of_another_actor_is_a_crash_like_any_other(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    fail, reports = Failing(2, ActorStoppedError("another")), Reports()
    async with open_supervisor(report=reports) as supervisor:
        actor = supervisor.spawn_soon(Starter, nothing, fail)
        with trio.fail_after(60):
            assert await actor.ask(Get()) == 0
        assert actor.restarts == 2
        assert len(reports.of(ActorCrashed)) == 2


async def test_a_start_under_way_goes_on_while_others_start_again_together(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        bad, slow = await supervisor.spawn(Counter), supervisor.spawn_soon(Slow, stage)
        slow.tell(Increment())
        await wait_all_tasks_blocked()
        bad.tell(Break())
        assert await bad.ask(Get()) == 0
        assert (slow.depth, stage.diary) == (1, [])
        stage.gate("start").set()
        assert await slow.ask(Get()) == 1
        assert (slow.restarts, stage.diary) == (0, ["player started"])


async def test_one_that_comes_up_and_crashes_while_others_start_again_says_goodbye_first(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage, mine = Stage(), Stage()
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        bad, busy = await supervisor.spawn(Counter), await supervisor.spawn(Player, stage)
        slow = supervisor.spawn_soon(Slow, mine)
        busy.tell(Wait("gate"))
        await wait_all_tasks_blocked()
        bad.tell(Break())
        await wait_all_tasks_blocked()
        mine.gate("start").set()
        slow.tell(Break())
        await wait_all_tasks_blocked()
        stage.gate("gate").set()
        assert await slow.ask(Get()) == 0
        assert mine.diary == ["player started", "player stopped", "player started"]
        assert await busy.ask(Get()) == 0
