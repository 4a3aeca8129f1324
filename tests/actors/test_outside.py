"""What the host brought along is called under a deadline, and its failures get a name."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing
from greenroom.actors.outside import CHARACTERS_PER_TOKEN, DEADLINE, ProviderError, ask_outside, outside
from greenroom.persistence.records import Message


async def guarded(call: Callable[[], Awaitable[None]]) -> None:
    with outside("clerk"):
        await call()


async def fails() -> None:
    await trio.lowlevel.checkpoint()
    raise OSError("what Ann said")


async def fails_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails)
        nursery.start_soon(trio.sleep_forever)


async def fails_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise OSError


async def test_what_ends_in_time_is_left_alone() -> None:
    await guarded(trio.lowlevel.checkpoint)


async def test_a_call_without_end_is_cut_off_at_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    began = autojump_clock.current_time()
    with pytest.raises(ProviderError, match=r"^clerk: expected an answer within 60 s, met none$"):
        await guarded(trio.sleep_forever)
    assert autojump_clock.current_time() - began == DEADLINE


@pytest.mark.parametrize("call", [fails, fails_in_a_nursery, fails_when_cancelled])
async def test_a_failure_is_named_by_its_class_and_never_by_its_text(
    call: Callable[[], Awaitable[None]],
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    with pytest.raises(ProviderError, match=r"^clerk: expected an answer, met OSError$") as caught:
        await guarded(call)
    assert caught.value.retryable


async def test_the_caller_can_still_be_cancelled() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await guarded(trio.sleep_forever)
    assert scope.cancelled_caught


async def test_an_answer_is_trimmed_and_cut_at_what_its_tokens_can_hold() -> None:
    async def talkative(prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
        await trio.lowlevel.checkpoint()
        return f"  {prompt} {len(messages)} {max_tokens} " + "x" * 1000

    answer = await ask_outside(talkative, "Say", [Message("user", "?")], 3)
    assert answer.startswith("Say 1 3 x")
    assert len(answer) == 3 * CHARACTERS_PER_TOKEN - 2


async def test_an_answer_that_is_no_text_is_a_failure() -> None:
    async def mute(*_: object) -> str:
        await trio.lowlevel.checkpoint()
        return None  # type: ignore[return-value]  # what a careless host does

    with pytest.raises(ProviderError, match="met TypeError"):
        await ask_outside(mute, "Say", [], 3)
