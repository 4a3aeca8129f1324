"""Where turns run: guarded, known by name, and offering their end until it is stored."""

from collections.abc import AsyncGenerator

import pytest
import trio
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reports import AgentFailed, AgentWouldNotStop
from greenroom.actors.turn_host import RETRY_DELAYS
from trio.testing import wait_all_tasks_blocked

from tests.actors.hand import ANN, Puppet, on_mock_time
from tests.actors.stage import Stage, staged


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()


@pytest.fixture
async def stage(puppet: Puppet) -> AsyncGenerator[Stage]:
    async with staged(puppet.agent()) as stage:
        yield stage


async def test_the_end_of_a_turn_is_posted_with_all_it_has_said(stage: Stage, puppet: Puppet) -> None:
    stage.start()
    performance = await puppet.turn()
    await performance.say("a ")
    await performance.say("b")
    performance.end()
    end = await stage.end()
    assert (end.turn_id, end.text, end.stop_reason, end.error) == ("t1", "a b", "end_turn", None)


async def test_the_host_is_idle_when_every_end_is_stored_not_before(stage: Stage, puppet: Puppet) -> None:
    assert await stage.is_idle()
    stage.start("t1")
    stage.start("t2")
    for _ in range(2):
        (await puppet.turn()).end()
    assert not await stage.is_idle()
    ends = [await stage.end(), await stage.end()]
    assert sorted(end.turn_id for end in ends) == ["t1", "t2"]
    ends[0].reply.resolve(None)
    assert not await stage.is_idle()
    ends[1].reply.resolve(None)
    assert await stage.is_idle()


@on_mock_time
async def test_a_refused_end_is_offered_again_at_growing_intervals_until_it_is_stored(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start()
    (await puppet.turn()).end()
    intervals, end = list[float](), await stage.end()
    for _ in range(len(RETRY_DELAYS) + 3):
        refused_at = trio.current_time()
        end.reply.reject(UnavailableError("refused"))
        end = await stage.end()
        intervals.append(round(trio.current_time() - refused_at, 6))
    assert intervals == [*RETRY_DELAYS, 5.0, 5.0, 5.0]
    end.reply.resolve(None)
    assert await stage.is_idle()


async def test_an_end_is_offered_to_no_session_that_has_ended(stage: Stage, puppet: Puppet) -> None:
    stage.start()
    performance = await puppet.turn()
    await stage.desk.stop()
    performance.end()
    assert await stage.is_idle()


async def test_p11_a_failing_agent_is_reported_and_its_turn_ends_with_an_error(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start()
    (await puppet.turn()).end(ValueError("broken"))
    end = await stage.end()
    assert end.stop_reason == "error"
    assert end.error is not None
    (report,) = stage.reports.of(AgentFailed)
    assert isinstance(report, AgentFailed)
    assert (report.turn_id, report.error) == ("t1", "ValueError")


async def test_stopping_all_cuts_off_every_turn_and_keeps_what_each_has_said(
    stage: Stage, puppet: Puppet
) -> None:
    for turn_id in ("t1", "t2"):
        stage.start(turn_id)
        await (await puppet.turn()).say("half")
    stage.host.stop_all("interrupted")
    await wait_all_tasks_blocked()
    assert sorted((e.turn_id, e.text, e.stop_reason) for e in stage.ends()) == [
        ("t1", "half", "interrupted"),
        ("t2", "half", "interrupted"),
    ]
    stage.host.stop_all("interrupted")


async def test_agents_that_have_not_ended_are_reported_by_name(stage: Stage, puppet: Puppet) -> None:
    stage.start()
    await puppet.turn()
    stage.host.report_running()
    assert stage.reports == [AgentWouldNotStop(ANN, "t1", "puppet")]
