"""An actor that crashes too often rests, alone."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorQuarantined
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorQuarantinedError,
)
from trio.testing import MockClock

from tests.actors.core.cast import (
    Break,
    Counter,
    Get,
    Increment,
    Message,
    Note,
    Player,
    Reports,
    Stage,
)


async def crash(actor: ActorRef[Message]) -> None:
    with pytest.raises(ActorCrashedError):
        await actor.ask(Break())


async def test_the_sixth_crash_in_thirty_seconds_is_a_quarantine_of_that_child_alone(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports = Reports()
    async with open_supervisor(quarantine=True, report=reports) as supervisor:
        bad, good = await supervisor.spawn(Counter, name="bad"), await supervisor.spawn(Counter)
        for _ in range(6):
            await crash(bad)
            await trio.sleep(1)
        assert bad.restarts == 5
        (report,) = reports.of(ActorQuarantined)
        assert 15.0 <= report.seconds <= 15.0 * 1.25  # type: ignore[attr-defined]
        for _ in range(5):
            await crash(good)
            await trio.sleep(1)
        assert await good.ask(Get()) == 0
        assert good.restarts == 5


async def test_an_actor_at_rest_refuses_at_once_with_the_time_left(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, report=Reports()) as supervisor:
        bad = await supervisor.spawn(Counter, name="bad")
        await quarantine(bad)
        await trio.sleep(5)
        began = trio.current_time()
        with pytest.raises(ActorQuarantinedError, match="actor bad: expected a sound actor") as caught:
            await bad.ask(Get())
        with pytest.raises(ActorQuarantinedError):
            bad.tell(Increment())
        assert trio.current_time() == began
        assert caught.value.retry_after is not None
        assert 9.4 <= caught.value.retry_after <= 13.3  # 15 to 18.75 less 5.5
        assert bad.is_alive


async def quarantine(actor: ActorRef[Message]) -> None:
    for _ in range(6):
        await crash(actor)
        await trio.sleep(0.5)


async def test_what_waits_for_an_actor_laid_to_rest_is_answered_and_dead_letters(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad = await supervisor.spawn(Counter)
        bad.tell(Break())
        bad.tell(Note("waits"))
        with pytest.raises(ActorQuarantinedError):
            await bad.ask(Get())
        assert [letter.fate for letter in supervisor.dead_letters] == ["poison", "quarantined", "quarantined"]


async def test_after_its_rest_an_actor_starts_by_itself_and_rests_twice_as_long_the_next_time(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports = Reports()
    async with open_supervisor(quarantine=True, intensity=0, report=reports) as supervisor:
        bad = await supervisor.spawn(Counter)
        for _ in range(6):
            await crash(bad)
            await trio.sleep(400)
            assert await bad.ask(Get()) == 0
    rests = [report.seconds for report in reports.of(ActorQuarantined)]  # type: ignore[attr-defined]
    for seconds, least in zip(rests, [15, 30, 60, 120, 240, 300], strict=True):
        assert least <= seconds <= least * 1.25


async def test_an_actor_at_rest_can_be_stopped(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad = await supervisor.spawn(Player, Stage())
        with pytest.raises(ActorCrashedError):
            await bad.ask(Break())
        await bad.stop()
        await trio.sleep(30)
        assert (bad.is_alive, bad.restarts) == (False, 0)
