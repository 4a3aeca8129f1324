"""When a context is compacted, which messages leave it, when another attempt is worth it: pure rules."""

from collections.abc import Sequence
from typing import Literal, Self

import msgspec

from ..persistence.records import Message

Strategy = Literal["summarize", "truncate", "hybrid"]

LONGEST_WAIT = 16
"""Seqs; the most new journal entries that automatic compaction waits for after fruitless attempts."""


class CompactionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a context is compacted.

    Attributes:
        threshold: Used share of the token budget from which it is due, above 0 and at most 1.
        strategy: ``summarize`` replaces the messages that leave with a summary, ``truncate`` with nothing,
            ``hybrid`` with a summary if one can be had and saves tokens, else with nothing.
        preserve_recent: Newest messages that always stay, at least 1.
        summary_max_tokens: Longest summary, in tokens.

    Raises:
        ValueError: A setting cannot be used.
    """

    threshold: float = 0.75
    strategy: Strategy = "summarize"
    preserve_recent: int = 10
    summary_max_tokens: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold: expected a number above 0 and at most 1, met {self.threshold}")
        if self.strategy not in ("summarize", "truncate", "hybrid"):
            raise ValueError(f"strategy: expected summarize, truncate or hybrid, met {self.strategy}")
        if self.preserve_recent < 1:
            raise ValueError(f"preserve_recent: expected at least 1, met {self.preserve_recent}")
        if self.summary_max_tokens < 1:
            raise ValueError(f"summary_max_tokens: expected at least 1, met {self.summary_max_tokens}")


class CompactionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one compaction did.

    Attributes:
        summary: The text that now stands for all messages that left; empty if there is none.
        preserved_messages: Messages that stayed in the context.
        removed_messages: Messages that left it; they can still be read, searched and brought back.
        tokens_before: Tokens of the context before.
        tokens_after: Tokens of the context after, summary included.
        tokens_saved: The difference; below 0 if the context grew.
        duration: Seconds it took.
    """

    summary: str
    preserved_messages: int
    removed_messages: int
    tokens_before: int
    tokens_after: int
    tokens_saved: int
    duration: float


class Retries(msgspec.Struct, frozen=True):
    """Keeps automatic compaction from running for ever without a gain.

    Only the threshold and the periodic look ask it; a person, or a provider that refuses the context as too
    long, does not have to wait. It counts seqs instead of seconds: until the session has new entries another
    attempt would end as the last one did.

    Attributes:
        fruitless: Attempts without progress since the last one with.
        wait_until: The seq that the newest message must have reached before the next attempt.
    """

    fruitless: int = 0
    wait_until: int = 0

    def allowed(self, newest_seq: int) -> bool:
        """Whether to try now; ``newest_seq`` is the seq of the context's newest message."""
        return newest_seq >= self.wait_until

    def after(self, newest_seq: int, *, progress: bool) -> Self:
        """What holds after an attempt on the context up to ``newest_seq``; each in vain doubles the wait."""
        if progress:
            return type(self)()
        wait = min(2**self.fruitless, LONGEST_WAIT)
        return type(self)(self.fruitless + 1, newest_seq + wait)


def usage_ratio(tokens: int, budget: int) -> float:
    """The used share of a token budget; above 1 if it is exceeded.

    Raises:
        ValueError: ``budget`` is not above 0.
    """
    if budget <= 0:
        raise ValueError(f"budget: expected more than 0 tokens, met {budget}")
    return tokens / budget


def should_compact(tokens: int, budget: int, settings: CompactionSettings) -> bool:
    """Whether ``tokens`` of ``budget`` have reached the threshold."""
    return usage_ratio(tokens, budget) >= settings.threshold


def should_compact_on_transition(
    previous_ratio: float, tokens: int, budget: int, settings: CompactionSettings
) -> bool:
    """Whether the threshold was just reached: ``previous_ratio`` was below it, the present one is not."""
    return previous_ratio < settings.threshold and should_compact(tokens, budget, settings)


def made_progress(result: CompactionResult, budget: int, settings: CompactionSettings) -> bool:
    """Whether a compaction was worth it: it made the context smaller, and is not due again at once."""
    return result.tokens_after < result.tokens_before and not should_compact(
        result.tokens_after, budget, settings
    )


def find_cut(messages: Sequence[Message], preserve_recent: int) -> int:
    """Decide which of a context's messages leave it.

    Args:
        messages: The context, oldest first.
        preserve_recent: How many of the newest must stay.

    Returns:
        How many of the oldest leave: as many as possible so that ``preserve_recent`` stay, each result of a
        tool stays or leaves with its call, and a call that may yet be answered stays. 0 if none can leave.
    """
    ends = _ends(messages)
    cut = open_until = 0
    for index in range(len(messages) - preserve_recent):
        open_until = max(open_until, ends[index])
        if open_until == index:
            cut = index + 1
    return cut


def _ends(messages: Sequence[Message]) -> list[int]:
    """For each message the index of the last one that must be on its side of the cut.

    That is a call's last result; its own index for what has none; past the end for a call that still waits.
    """
    ends = list(range(len(messages)))
    # Some models count their calls from 0 in every answer: a result belongs to the latest call of its id.
    callers: dict[str, int] = {}
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "assistant":
            # A model that speaks again has gone on without the results that are still missing.
            waiting = {call.id for call in message.tool_calls}
            callers.update(dict.fromkeys(waiting, index))
        elif message.tool_call_id in callers:
            ends[callers[message.tool_call_id]] = index
            waiting.discard(message.tool_call_id)
    for call_id in waiting:
        ends[callers[call_id]] = len(messages)
    return ends
