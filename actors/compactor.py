"""Compacting a context: what it becomes when its oldest messages leave it.

It works on values. A context goes in, another comes out, and whoever owns the session decides what to do with
it; the messages that left are still in the journal.
"""

from collections.abc import Callable, Sequence
from typing import Self

import msgspec
import trio

from ..persistence.records import Message
from .compaction import CompactionResult, CompactionSettings, find_cut, should_compact, usage_ratio
from .errors import NotSupportedError
from .outside import AskModel, ProviderError, ask_outside
from .reports import Reporter

SUMMARY_PROMPT = """\
Summarise the conversation so that it can go on without these messages.

Keep names, numbers, decisions and their reasons, what was agreed, what is still open, and what the person \
prefers. Leave out greetings and whatever was settled and does not matter any more. Write plain sentences in \
the language of the conversation, and add nothing that was not said."""

_FORMER_SUMMARY = """

The conversation began before these messages. Its summary so far, which yours replaces and must cover too:

"""


class SummaryFailed(msgspec.Struct, frozen=True):
    """No summary could be had; the messages left the context without one."""

    session_id: str
    error: str


class ContextView(msgspec.Struct, frozen=True, kw_only=True):
    """A session's context as a value.

    Attributes:
        messages: Oldest first.
        tokens: Of each of the messages.
        budget: Tokens that the context may have; above 0.
        summary: What stands for messages that left before.
        summary_tokens: Tokens of the summary.
        session_id: Whose it is, as text.

    Raises:
        ValueError: There are not as many ``tokens`` as messages.
    """

    messages: tuple[Message, ...]
    tokens: tuple[int, ...]
    budget: int
    summary: str = ""
    summary_tokens: int = 0
    session_id: str = ""

    def __post_init__(self) -> None:
        if len(self.messages) != len(self.tokens):
            expected = f"one number for each of {len(self.messages)} messages"
            raise ValueError(f"tokens: expected {expected}, met {len(self.tokens)}")

    @property
    def token_count(self) -> int:
        """Tokens of the messages and the summary."""
        return sum(self.tokens) + self.summary_tokens

    @property
    def ratio(self) -> float:
        """The used share of the budget; above 1 if it is exceeded."""
        return usage_ratio(self.token_count, self.budget)

    def without_oldest(self, count: int, summary: str, summary_tokens: int) -> Self:
        """The context when ``count`` messages have left it and a summary stands for all that did."""
        return msgspec.structs.replace(
            self,
            messages=self.messages[count:],
            tokens=self.tokens[count:],
            summary=summary,
            summary_tokens=summary_tokens,
        )


class Compaction(msgspec.Struct, frozen=True):
    """What a compaction did, and the context afterwards."""

    result: CompactionResult
    context: ContextView


class SessionCompactor:
    """Decides when a context is compacted, and does it.

    Args:
        settings: How.
        count_tokens: Counts the tokens of a summary.
        summarize: Writes summaries; needed by the strategy ``summarize``, and used by ``hybrid`` if given.
        report: Told when ``hybrid`` does without a summary that it had asked for.
    """

    def __init__(
        self,
        settings: CompactionSettings,
        count_tokens: Callable[[str], int],
        *,
        summarize: AskModel | None = None,
        report: Reporter,
    ) -> None:
        self.settings = settings
        self.report = report
        self._count_tokens = count_tokens
        self._summarize = summarize

    def should_compact(self, context: ContextView) -> bool:
        """Whether the context has reached the threshold."""
        return should_compact(context.token_count, context.budget, self.settings)

    async def compact(self, context: ContextView) -> Compaction:
        """Let the oldest messages leave the context, as the strategy says; without effect if none can.

        Raises:
            NotSupportedError: The strategy needs a language model and there is none.
            ProviderError: No summary can be had, and the strategy does not do without.
        """
        strategy = self.settings.strategy
        summarizes = strategy == "summarize" or (strategy == "hybrid" and self._summarize is not None)
        return await self._compact(context, SUMMARY_PROMPT if summarizes else None)

    async def compact_with_custom_prompt(self, context: ContextView, prompt: str) -> Compaction:
        """As `compact`, with another instruction for the summary; ``truncate`` writes one, too, then.

        Raises:
            ValueError: ``prompt`` is only white space.
            NotSupportedError, ProviderError: As `compact`.
        """
        if not prompt.strip():
            raise ValueError("prompt: expected an instruction, met white space")
        return await self._compact(context, prompt)

    async def _compact(self, context: ContextView, prompt: str | None) -> Compaction:
        """Compact with a summary by this prompt, or without one."""
        began = trio.current_time()
        cut = find_cut(context.messages, self.settings.preserve_recent)
        after = context
        if cut and prompt is not None:
            after = await self._summarized(context, cut, prompt)
        elif cut:
            after = context.without_oldest(cut, context.summary, context.summary_tokens)
        result = CompactionResult(
            summary=after.summary,
            preserved_messages=len(after.messages),
            removed_messages=cut,
            tokens_before=context.token_count,
            tokens_after=after.token_count,
            tokens_saved=context.token_count - after.token_count,
            duration=trio.current_time() - began,
        )
        return Compaction(result, after)

    async def _summarized(self, context: ContextView, cut: int, prompt: str) -> ContextView:
        if self._summarize is None:
            raise NotSupportedError("strategy: expected a language model, met none", field="strategy")
        truncated = context.without_oldest(cut, context.summary, context.summary_tokens)
        is_hybrid = self.settings.strategy == "hybrid"
        try:
            summary = await self._ask(self._summarize, context, context.messages[:cut], prompt)
        except ProviderError as exc:
            if not is_hybrid:
                raise
            self.report(SummaryFailed(context.session_id, str(exc)))
            return truncated
        after = context.without_oldest(cut, summary, self._count_tokens(summary))
        return truncated if is_hybrid and after.token_count >= context.token_count else after

    async def _ask(
        self, summarize: AskModel, context: ContextView, messages: Sequence[Message], prompt: str
    ) -> str:
        if context.summary:
            prompt += _FORMER_SUMMARY + context.summary
        most = self.settings.summary_max_tokens
        summary = await ask_outside(summarize, prompt, messages, most)
        # A provider may count tokens differently: what is too long by our count is cut, not thrown away.
        while (tokens := self._count_tokens(summary)) > most:
            summary = summary[: len(summary) * most // tokens].rstrip()
        if not summary:
            raise ProviderError("language model: expected a summary, met white space")
        return summary
