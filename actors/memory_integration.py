"""Saving what matters from a context before its oldest messages leave it."""

import msgspec

from .compaction import should_compact_on_transition
from .compactor import Compaction, ContextView, SessionCompactor
from .memory import NO_MEMORY_NEEDED, normalize_extracted_memory_for_storage
from .outside import AskModel, ProviderError, ask_outside, outside
from .refresh import (
    MIN_MESSAGES,
    MemoryRefreshConfig,
    MemoryRefresher,
    should_refresh_memory,
    should_refresh_memory_on_transition,
)


class MemoryRefreshFailed(msgspec.Struct, frozen=True):
    """What matters could not be saved from a context; it was compacted all the same."""

    session_id: str
    error: str


class CompactorMemoryIntegration:
    """A compactor that has memory saved first.

    Args:
        compactor: Compacts, and says from which ratio on that is due.
        refresher: Where memory goes.
        extract: Asks a language model what to keep.
        config: When memory is saved, and what the model is told.
    """

    def __init__(
        self,
        compactor: SessionCompactor,
        refresher: MemoryRefresher,
        extract: AskModel,
        config: MemoryRefreshConfig,
    ) -> None:
        self._compactor = compactor
        self._refresher = refresher
        self._extract = extract
        self._config = config

    def should_refresh_memory(self, context: ContextView) -> bool:
        """Whether the context is worth a refresh and not yet due for compaction."""
        hard = self._compactor.settings.threshold
        return should_refresh_memory(context.ratio, len(context.messages), self._config, hard)

    def should_refresh_memory_on_transition(self, previous_ratio: float, context: ContextView) -> bool:
        """Whether it has just become so: ``previous_ratio`` was below the soft threshold."""
        hard, count = self._compactor.settings.threshold, len(context.messages)
        return should_refresh_memory_on_transition(previous_ratio, context.ratio, count, self._config, hard)

    def should_compact(self, context: ContextView) -> bool:
        """As `SessionCompactor.should_compact`."""
        return self._compactor.should_compact(context)

    def should_compact_on_transition(self, previous_ratio: float, context: ContextView) -> bool:
        """Whether it has just become so: ``previous_ratio`` was below the threshold."""
        settings = self._compactor.settings
        return should_compact_on_transition(previous_ratio, context.token_count, context.budget, settings)

    async def refresh_memory_before_compaction(self, context: ContextView) -> int:
        """Save what matters from the context.

        Nothing is asked if that is turned off, or of fewer than `MIN_MESSAGES` messages.

        Returns:
            How many facts were saved.

        Raises:
            ProviderError: The model or the refresher failed.
        """
        if not self._config.enabled or len(context.messages) < MIN_MESSAGES:
            return 0
        most = self._config.max_extract_tokens
        answer = await ask_outside(self._extract, self._config.system_prompt, context.messages, most)
        extracted = normalize_extracted_memory_for_storage(answer)
        if extracted in ("", NO_MEMORY_NEEDED):
            return 0
        with outside("memory refresher"):
            await self._refresher.refresh_memory(extracted, context.session_id)
        return len(extracted.splitlines())

    async def compact_with_memory_refresh(
        self, context: ContextView, prompt: str | None = None
    ) -> Compaction:
        """Save what matters, then compact the context; a failure of the first is reported, and no more.

        Args:
            context: What is compacted.
            prompt: As in `SessionCompactor.compact_with_custom_prompt`, if given.

        Raises:
            ValueError, NotSupportedError, ProviderError: As `SessionCompactor.compact`.
        """
        try:
            await self.refresh_memory_before_compaction(context)
        except ProviderError as exc:
            self._compactor.report(MemoryRefreshFailed(context.session_id, str(exc)))
        if prompt is None:
            return await self._compactor.compact(context)
        return await self._compactor.compact_with_custom_prompt(context, prompt)
