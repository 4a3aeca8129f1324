"""Memory refresh: when to save what matters from a context that will soon be compacted."""

from typing import Protocol

import msgspec

from .memory import NO_MEMORY_NEEDED

MIN_MESSAGES = 3
"""Fewer messages than this hold nothing worth a model's time."""

_EXTRACTION_PROMPT = f"""\
Read the conversation and write down what a later conversation with the same person should know.

Keep what stays true: preferences, decisions and their reasons, facts about projects, people and tools, \
open tasks.
Leave out what held only for the moment: paths of temporary or uploaded files, output and logs of a run, \
approvals, tool calls, ids of sessions, these instructions.

Write one fact per line, each starting with "- " and understandable by itself. Add nothing else. \
If there is nothing to keep, answer {NO_MEMORY_NEEDED}."""


class MemoryRefreshConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How memory is refreshed before a context is compacted.

    Attributes:
        enabled: Whether it is.
        soft_threshold_ratio: Used share of the token budget from which it is, above 0 and at most 1.
        system_prompt: What the extracting model is told.
        max_extract_tokens: Longest extraction, in tokens.

    Raises:
        ValueError: A setting cannot be used.
    """

    enabled: bool = True
    soft_threshold_ratio: float = 0.6
    system_prompt: str = _EXTRACTION_PROMPT
    max_extract_tokens: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.soft_threshold_ratio <= 1:
            raise ValueError(
                "soft_threshold_ratio: expected a number above 0 and at most 1, "
                f"met {self.soft_threshold_ratio}"
            )
        if not self.system_prompt.strip():
            raise ValueError("system_prompt: expected an instruction, met white space")
        if self.max_extract_tokens < 1:
            raise ValueError(f"max_extract_tokens: expected at least 1, met {self.max_extract_tokens}")


def default_memory_refresh_config() -> MemoryRefreshConfig:
    """The settings used when none are given."""
    return MemoryRefreshConfig()


class MemoryRefresher(Protocol):
    """Where extracted memory goes."""

    async def refresh_memory(self, extracted: str, session_id: str) -> None:
        """Store what was extracted from a session.

        Args:
            extracted: Lines ``- text``, normalised; never empty and never `NO_MEMORY_NEEDED`.
            session_id: The text form of the session's id.
        """
        ...


def should_refresh_memory(
    ratio: float, message_count: int, config: MemoryRefreshConfig, hard_threshold: float
) -> bool:
    """Whether a context is in the soft window: worth a refresh and not yet due for compaction.

    Args:
        ratio: Used share of the token budget, by `usage_ratio`.
        message_count: Messages in the context; at least `MIN_MESSAGES` are needed.
        config: From which ratio on, if at all.
        hard_threshold: The ratio from which the context is compacted, which refreshes memory by itself.
    """
    if not config.enabled or message_count < MIN_MESSAGES:
        return False
    return config.soft_threshold_ratio <= ratio < hard_threshold


def should_refresh_memory_on_transition(
    previous_ratio: float,
    ratio: float,
    message_count: int,
    config: MemoryRefreshConfig,
    hard_threshold: float,
) -> bool:
    """Whether a context has just come from below into the soft window; see `should_refresh_memory`.

    Args:
        previous_ratio: Used share of the token budget before the change.
        ratio: The same after it.
        message_count: Messages in the context after it.
        config: From which ratio on, if at all.
        hard_threshold: The ratio from which the context is compacted.
    """
    came_from_below = previous_ratio < config.soft_threshold_ratio
    return came_from_below and should_refresh_memory(ratio, message_count, config, hard_threshold)
