"""Places: at most so many agents at work at a time, the other turns wait in order."""

from collections.abc import AsyncGenerator

import pytest
import trio
from greenroom.actors.reports import AgentWouldNotStop
from greenroom.actors.turn import Agent, Turn
from trio.testing import wait_all_tasks_blocked

from tests.actors.hand import ANN, Puppet, on_mock_time
from tests.actors.stage import GRACE, SECONDS, Stage, staged


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()


@pytest.fixture
async def stage(puppet: Puppet) -> AsyncGenerator[Stage]:
    """One place."""
    async with staged(puppet.agent(), places=1) as stage:
        yield stage


async def test_no_more_agents_are_at_work_than_there_are_places(puppet: Puppet) -> None:
    async with staged(puppet.agent(), places=3) as stage:
        for number in range(10):
            stage.start(f"t{number}")
        await wait_all_tasks_blocked()
        assert (puppet.running, stage.host.at_work, stage.host.waiting) == (3, 3, 7)


async def test_turns_that_wait_are_called_in_the_order_in_which_they_came(
    stage: Stage, puppet: Puppet
) -> None:
    for turn_id in ("t1", "t2", "t3", "t4"):
        stage.start(turn_id)
    for turn_id in ("t1", "t2", "t3", "t4"):
        performance = await puppet.turn()
        assert performance.turn.turn_id == turn_id
        performance.end()


async def test_a_place_is_free_when_the_agent_has_returned_not_when_the_end_is_stored(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start("t1")
    stage.start("t2")
    (await puppet.turn()).end()
    assert (await puppet.turn()).turn.turn_id == "t2"
    assert [end.turn_id for end in stage.ends()] == ["t1"], "and nobody has taken this end"


@on_mock_time
async def test_the_time_limit_of_a_turn_begins_when_it_gets_its_place(stage: Stage, puppet: Puppet) -> None:
    stage.start("t1")
    stage.start("t2")
    performance = await puppet.turn()
    await trio.sleep(SECONDS - 1)
    performance.end()
    (await stage.end()).reply.resolve(None)
    began = trio.current_time()
    second = await stage.end()
    assert (second.turn_id, second.stop_reason) == ("t2", "timeout")
    assert trio.current_time() - began == SECONDS


async def test_p17_a_waiting_turn_that_is_stopped_ends_as_cancelled_and_its_agent_never_runs(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start("t1")
    waiting = stage.start("t2")
    stage.host.cancel(waiting)
    end = await stage.end()
    assert (end.turn_id, end.text, end.stop_reason, end.error) == ("t2", "", "cancelled", None)
    assert waiting.is_closed
    (await puppet.turn()).end()
    await wait_all_tasks_blocked()
    assert not puppet.has_turn()


async def test_a_waiting_turn_that_is_stopped_gives_its_place_in_line_to_those_behind_it(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start("t1")
    stopped = stage.start("t2")
    stage.start("t3")
    stage.host.cancel(stopped)
    (await puppet.turn()).end()
    assert (await puppet.turn()).turn.turn_id == "t3"


async def test_a_waiting_turn_whose_session_crashed_ends_when_it_is_called_and_its_agent_never_runs(
    stage: Stage, puppet: Puppet
) -> None:
    stage.start("t1")
    left = stage.start("t2")
    stage.start("t3")
    left.close()
    left.stop("interrupted")
    (await puppet.turn()).end()
    assert (await puppet.turn()).turn.turn_id == "t3"
    assert {end.turn_id: end.stop_reason for end in stage.ends()} == {"t1": "end_turn", "t2": "interrupted"}


async def test_p18_waiting_turns_can_be_ended_without_those_at_work(stage: Stage, puppet: Puppet) -> None:
    for turn_id in ("t1", "t2", "t3"):
        stage.start(turn_id)
    stage.host.stop_waiting("interrupted")
    await wait_all_tasks_blocked()
    assert sorted((end.turn_id, end.stop_reason) for end in stage.ends()) == [
        ("t2", "interrupted"),
        ("t3", "interrupted"),
    ]
    assert (puppet.running, stage.host.at_work, stage.host.waiting) == (1, 1, 0)


async def test_p18_stopping_all_ends_waiting_turns_too_and_their_agents_never_run(
    stage: Stage, puppet: Puppet
) -> None:
    for turn_id in ("t1", "t2", "t3"):
        stage.start(turn_id)
    await puppet.turn()
    stage.host.stop_all("interrupted")
    await wait_all_tasks_blocked()
    ends = stage.ends()
    assert sorted((end.turn_id, end.stop_reason) for end in ends) == [
        ("t1", "interrupted"),
        ("t2", "interrupted"),
        ("t3", "interrupted"),
    ]
    for end in ends:
        end.reply.resolve(None)
    assert await stage.is_idle()
    assert not puppet.has_turn()


async def stubborn(turn: Turn) -> None:  # noqa: ARG001  # an agent
    """Do not listen to any cancellation for a long time."""
    with trio.CancelScope(shield=True):
        await trio.sleep(10 * SECONDS)


@on_mock_time
async def test_f20_an_agent_that_ignores_its_cancellation_keeps_its_place_and_is_named_again_and_again() -> (
    None
):
    async with staged(Agent("stubborn", stubborn), places=1) as stage:
        turn = stage.start("t1")
        stage.start("t2")
        await wait_all_tasks_blocked()
        stage.host.cancel(turn)
        name = AgentWouldNotStop(ANN, "t1", "stubborn")
        await trio.sleep(1.5 * GRACE)
        assert stage.reports == [name]
        await trio.sleep(SECONDS)
        assert stage.reports == [name] * 2
        await trio.sleep(SECONDS + GRACE)
        assert stage.reports == [name] * 3
        assert (stage.host.at_work, stage.host.waiting) == (1, 1)
        stage.host.stop_waiting("interrupted")


@on_mock_time
async def test_f20_an_agent_that_goes_on_after_its_time_limit_is_named_though_nobody_stopped_it() -> None:
    async with staged(Agent("stubborn", stubborn), places=1) as stage:
        stage.start("t1")
        await trio.sleep(SECONDS + 0.5 * GRACE)
        assert stage.reports == []
        await trio.sleep(GRACE)
        assert stage.reports == [AgentWouldNotStop(ANN, "t1", "stubborn")]


@on_mock_time
async def test_agents_that_keep_their_time_are_not_named(stage: Stage, puppet: Puppet) -> None:
    for number in range(5):
        stage.start(f"t{number}")
        await trio.sleep(0.9 * SECONDS)
        (await puppet.turn()).end()
        (await stage.end()).reply.resolve(None)
    await trio.sleep(3 * SECONDS)
    assert stage.reports == []
