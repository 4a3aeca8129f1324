"""Calls of what the host brought along: under a deadline, and their failures named."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from ..persistence.records import Message
from .errors import GreenroomError
from .reports import describe

DEADLINE: Final = 60.0
"""Seconds for one call."""

CHARACTERS_PER_TOKEN: Final = 16
"""More of an answer is not looked at; English has about 4, and few tokens have more than this."""

AskModel = Callable[[str, Sequence[Message], int], Awaitable[str]]
"""Asks a language model: an instruction, the messages it is about, and the most tokens of the answer."""


class ProviderError(GreenroomError):
    """What the host brought along failed or took too long."""

    name = "provider_error"
    retryable = True


@contextmanager
def outside(what: str) -> Generator[None]:
    """Guard a call for the length of a ``with``.

    Args:
        what: Who is called, for the error.

    Raises:
        ProviderError: It raised, or had not ended after `DEADLINE`. Of its error only the class is named: the
            text may repeat what people said.
    """
    scope = trio.CancelScope(deadline=trio.current_time() + DEADLINE)
    # The guard stands outside the scope: what has a nursery of its own may fail while it is cancelled.
    try:
        with scope:
            yield
    except Exception as exc:
        raise ProviderError(f"{what}: expected an answer, met {describe(exc)[0]}") from exc
    if scope.cancelled_caught:
        raise ProviderError(f"{what}: expected an answer within {DEADLINE:g} s, met none")


async def ask_outside(ask: AskModel, prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
    """The model's answer, without the white space around it, cut at `CHARACTERS_PER_TOKEN` for each token.

    Raises:
        ProviderError: There is none.
    """
    with outside("language model"):
        return (await ask(prompt, messages, max_tokens))[: max_tokens * CHARACTERS_PER_TOKEN].strip()
