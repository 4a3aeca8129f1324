"""What wakes a task is an outcome like any other of Trio's."""

from collections.abc import AsyncGenerator, Generator

import pytest
from greenroom.actors.asking import Ask
from greenroom.actors.waking import NUDGE


async def test_an_ask_is_the_outcome_of_its_answer() -> None:
    answered, refused = Ask("question"), Ask("question")
    answered.answer, refused.error = 7, ValueError("no")
    assert answered.unwrap() == 7
    assert answered.send(_echo()) == 7
    echo = _async_echo()
    await anext(echo)
    assert await answered.asend(echo) == 7
    await echo.aclose()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            refused.unwrap()
    assert answered != refused
    assert len({answered, refused}) == 2


def test_a_nudge_may_be_used_again_and_again() -> None:
    assert [NUDGE.send(_echo()) for _ in range(2)] == [None, None]


def _echo() -> Generator[object, object, None]:
    echo = _echoing()
    next(echo)
    return echo


def _echoing() -> Generator[object, object, None]:
    yield (yield)


async def _async_echo() -> AsyncGenerator[object, object]:  # noqa: ASYNC900 - what an outcome is sent to
    yield (yield)
