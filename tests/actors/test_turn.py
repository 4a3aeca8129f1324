"""One attempt to answer: what an agent may say, and each way it can end. Time is the mock clock's."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from greenroom.actors.turn import Agent, Outcome, Turn, TurnClosedError, TurnTooLongError, run_agent
from greenroom.persistence.records import Message, StopReason
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.actors.hand import ANN, on_mock_time

TIMEOUT = 60.0


class Said(list[tuple[int, str]]):
    """Deltas as they were told."""

    def tell(self, offset: int, text: str) -> None:
        self.append((offset, text))


def make_turn(said: Said | None = None, *, max_bytes: int = 100) -> Turn:
    tell = (said if said is not None else Said()).tell
    hello = Message("user", "hello")
    return Turn(ANN, "t1", 1, (hello,), context=lambda: (hello,), tell=tell, max_bytes=max_bytes)


async def waits_for_ever(_: Turn) -> None:
    await trio.sleep_forever()


async def run(agent: Callable[[Turn], Awaitable[None]], turn: Turn | None = None) -> Outcome:
    return await run_agent(Agent("tested", agent), turn or make_turn(), TIMEOUT)


async def test_what_is_said_is_told_with_its_offset_in_code_points() -> None:
    said = Said()
    turn = make_turn(said)
    for text in ("Grüße ", "👩‍👩‍👧", "", "!"):
        with assert_checkpoints():
            await turn.say(text)
    assert said == [(0, "Grüße "), (6, "👩‍👩‍👧"), (11, "!")]
    assert turn.text == "Grüße 👩‍👩‍👧!"
    assert make_turn().text == ""


async def test_an_answer_may_fill_its_limit_in_bytes_and_not_exceed_it() -> None:
    said = Said()
    turn = make_turn(said, max_bytes=5)
    await turn.say("üü")
    with pytest.raises(TurnTooLongError, match="expected at most 1 more bytes, met 2"):
        await turn.say("ü")
    await turn.say("u")
    assert turn.text == "üüu"
    assert len(said) == 2


async def test_a_closed_turn_says_nothing_more() -> None:
    said = Said()
    turn = make_turn(said)
    await turn.say("a")
    turn.close()
    with pytest.raises(TurnClosedError):
        await turn.say("b")
    assert (turn.text, said) == ("a", [(0, "a")])


def test_the_context_is_read_once_and_stays() -> None:
    read = 0

    def context() -> tuple[Message, ...]:
        nonlocal read
        read += 1
        return (Message("user", str(read)),)

    turn = Turn(ANN, "t1", 1, (), context=context, tell=Said().tell, max_bytes=10)
    assert read == 0
    assert turn.context == turn.context == (Message("user", "1"),)


async def test_an_agent_that_returns_ends_its_turn_and_the_turn_is_closed() -> None:
    turn = make_turn()

    async def agent(turn: Turn) -> None:
        await turn.say("hi")

    assert await run(agent, turn) == Outcome("end_turn")
    with pytest.raises(TurnClosedError):
        await turn.say("more")
    assert await run_agent(Agent("none", None), make_turn(), TIMEOUT) == Outcome("end_turn")


async def test_an_agent_that_raises_ends_its_turn_with_an_error_that_repeats_none_of_its_text() -> None:
    async def agent(turn: Turn) -> None:
        await turn.say("half")
        raise ValueError("the secret")

    outcome = await run(agent)
    assert outcome.stop_reason == "error"
    assert outcome.error is not None
    assert outcome.error.name == "agent_failed"
    assert "secret" not in outcome.error.message
    assert outcome.failure is not None
    assert outcome.failure[0] == "ValueError"
    assert "test_turn.py:" in outcome.failure[1]


async def test_an_agent_that_says_too_much_ends_as_max_tokens_and_keeps_what_fitted() -> None:
    turn = make_turn(max_bytes=10)

    async def agent(turn: Turn) -> None:
        for _ in range(3):
            await turn.say("1234")

    outcome = await run(agent, turn)
    assert (outcome.stop_reason, turn.text) == ("max_tokens", "12341234")
    assert outcome.error is not None
    assert outcome.error.name == "turn_too_long"


async def test_text_that_utf8_cannot_hold_fails_the_agent_and_is_not_said() -> None:
    turn = make_turn()
    outcome = await run(lambda turn: turn.say("\ud800"), turn)
    assert (outcome.stop_reason, turn.text) == ("error", "")


@on_mock_time
async def test_an_agent_that_takes_too_long_is_cut_off_in_time() -> None:
    begun = trio.current_time()
    outcome = await run(waits_for_ever)
    assert outcome == Outcome("timeout")
    assert trio.current_time() - begun == TIMEOUT


@pytest.mark.parametrize("reason", ["cancelled", "interrupted"])
async def test_stop_cancels_the_agent_and_the_first_reason_stands(reason: StopReason) -> None:
    turn, outcomes = make_turn(), list[Outcome]()

    async def agent(turn: Turn) -> None:
        await turn.say("half")
        await trio.sleep_forever()

    async def play() -> None:
        outcomes.append(await run(agent, turn))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        await wait_all_tasks_blocked()
        turn.stop(reason)
        turn.stop("budget")
    assert outcomes == [Outcome(reason)]
    assert turn.text == "half"


async def test_a_turn_stopped_before_its_agent_runs_ends_at_the_first_wait() -> None:
    turn = make_turn()
    turn.stop("cancelled")

    async def agent(turn: Turn) -> None:
        await turn.say("a")
        await turn.say("never")

    assert await run(agent, turn) == Outcome("cancelled")
    assert turn.text == "a"


async def test_an_agent_that_finishes_although_told_to_stop_has_finished() -> None:
    turn = make_turn()

    async def agent(turn: Turn) -> None:
        turn.stop("cancelled")

    assert await run(agent, turn) == Outcome("end_turn")


async def test_p11_an_agent_whose_helper_fails_while_it_is_stopped_ends_its_turn_only() -> None:
    """Its nursery raises the cancellation and the failure in one group: nobody outside may see either."""
    turn = make_turn()

    async def helper() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the clean-up")

    async def agent(turn: Turn) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper)
            nursery.start_soon(trio.sleep_forever)
            await wait_all_tasks_blocked()
            turn.stop("cancelled")

    outcome = await run(agent, turn)
    assert outcome.stop_reason == "cancelled"
    assert outcome.failure is not None
    assert outcome.failure[0] == "ValueError"


async def test_the_failure_of_a_helper_is_described_by_its_first_error() -> None:
    async def helper() -> None:
        raise ValueError("first")

    async def agent(_: Turn) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper)
            await trio.sleep_forever()

    outcome = await run(agent)
    assert outcome.failure is not None
    assert outcome.failure[0] == "ValueError"


async def test_the_cancellation_of_the_runtime_is_not_the_agents() -> None:
    with trio.CancelScope() as outside:
        outside.cancel()
        await run(waits_for_ever)
    assert outside.cancelled_caught
