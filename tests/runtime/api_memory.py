"""The rows of the API table about compaction, memory, token budgets, configuration, and what a host runs."""

from typing import Final

import greenroom.actors
import greenroom.runtime
import msgspec
from greenroom.actors.compaction import CompactionSettings
from greenroom.actors.compactor import ContextView
from greenroom.runtime import (
    DEFAULT_CONTEXT_TOKEN_BUDGET,
    LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET,
    CompactionResult,
    CompactorMemoryIntegration,
    Config,
    MemoryRefreshConfig,
    SessionCompactor,
    TokenCounter,
    default_memory_refresh_config,
    normalize_extracted_memory_for_storage,
    normalize_memory_fingerprint,
    normalize_token_budget,
)

from .api_actors import ACTORS
from .api_place import ADA, Place, Row, context

_RESULT = "summary preserved_messages removed_messages tokens_before tokens_after tokens_saved duration"


def _fields(record: str, names: str) -> str:
    return " ".join(f"{record}.{name}" for name in names.split())


def without_duration(result: CompactionResult) -> dict[str, object]:
    fields = msgspec.structs.asdict(result)
    assert fields.pop("duration") >= 0
    return fields


async def compacted(p: Place) -> dict[str, object]:
    return without_duration((await p.compactor.compact(context(80))).result)


async def compacted_by(p: Place, prompt: str) -> str:
    return (await p.compactor.compact_with_custom_prompt(context(80), prompt)).result.summary


async def refreshed(p: Place) -> list[object]:
    saved = await p.integration.refresh_memory_before_compaction(context(60))
    return [saved, p.notebook.pages]


async def compacted_with_refresh(p: Place) -> list[object]:
    done = await p.integration.compact_with_memory_refresh(context(80))
    return [done.result.removed_messages, len(p.notebook.pages)]


COMPACTION: Final = [
    Row(
        "SessionCompactor NewSessionCompactor strategy threshold preserve_recent summary_max_tokens",
        "SessionCompactor SessionCompactor.settings CompactionSettings.strategy CompactionSettings.threshold "
        "CompactionSettings.preserve_recent CompactionSettings.summary_max_tokens",
        lambda p: (isinstance(p.compactor, SessionCompactor), p.compactor.settings, CompactionSettings()),
        (
            True,
            CompactionSettings(threshold=0.75, strategy="truncate", preserve_recent=2),
            CompactionSettings(
                threshold=0.75, strategy="summarize", preserve_recent=10, summary_max_tokens=500
            ),
        ),
    ),
    Row(
        "summarize truncate hybrid",
        "CompactionSettings CompactionSettings CompactionSettings",
        lambda _: [
            CompactionSettings(strategy=name).strategy for name in ("summarize", "truncate", "hybrid")
        ],
        ["summarize", "truncate", "hybrid"],
    ),
    Row("report", "SessionCompactor.report", lambda p: p.compactor.report(CompactionSettings()), None),
    Row(
        "SessionCompactor.ShouldCompact",
        "SessionCompactor.should_compact",
        lambda p: [p.compactor.should_compact(context(count)) for count in (74, 75)],
        [False, True],
    ),
    Row("context", "ContextView", lambda _: (context(80).ratio, type(context(80))), (0.8, ContextView)),
    Row(
        f"SessionCompactor.Compact CompactionResult {_fields('CompactionResult', _RESULT)}",
        f"SessionCompactor.compact CompactionResult {_fields('CompactionResult', _RESULT)}",
        compacted,
        {
            "summary": "",
            "preserved_messages": 2,
            "removed_messages": 78,
            "tokens_before": 80,
            "tokens_after": 2,
            "tokens_saved": 78,
        },
    ),
    Row(
        "SessionCompactor.CompactWithCustomPrompt",
        "SessionCompactor.compact_with_custom_prompt",
        lambda p: compacted_by(p, "Sing!"),
        "Likes tea. Sing! 78 500",
    ),
]

MEMORY: Final = [
    Row(
        "CompactorMemoryIntegration NewCompactorMemoryIntegration",
        "CompactorMemoryIntegration CompactorMemoryIntegration",
        lambda p: isinstance(p.integration, CompactorMemoryIntegration),
        expected=True,
    ),
    Row(
        "CompactorMemoryIntegration.ShouldRefreshMemory CompactorMemoryIntegration.ShouldCompact",
        "CompactorMemoryIntegration.should_refresh_memory CompactorMemoryIntegration.should_compact",
        lambda p: [
            (
                p.integration.should_refresh_memory(context(count)),
                p.integration.should_compact(context(count)),
            )
            for count in (59, 60, 75)
        ],
        [(False, False), (True, False), (False, True)],
    ),
    Row(
        "CompactorMemoryIntegration.ShouldRefreshMemoryOnTransition",
        "CompactorMemoryIntegration.should_refresh_memory_on_transition",
        lambda p: [
            p.integration.should_refresh_memory_on_transition(ratio, context(65)) for ratio in (0.5, 0.6)
        ],
        [True, False],
    ),
    Row(
        "CompactorMemoryIntegration.ShouldCompactOnTransition",
        "CompactorMemoryIntegration.should_compact_on_transition",
        lambda p: [p.integration.should_compact_on_transition(ratio, context(80)) for ratio in (0.7, 0.75)],
        [True, False],
    ),
    Row(
        "CompactorMemoryIntegration.RefreshMemoryBeforeCompaction MemoryRefresher "
        "MemoryRefresher.RefreshMemory",
        "CompactorMemoryIntegration.refresh_memory_before_compaction MemoryRefresher "
        "MemoryRefresher.refresh_memory",
        refreshed,
        [1, [(str(ADA), "- Likes tea. Read 60 500")]],
    ),
    Row(
        "CompactorMemoryIntegration.CompactWithMemoryRefresh",
        "CompactorMemoryIntegration.compact_with_memory_refresh",
        compacted_with_refresh,
        [78, 1],
    ),
    Row(
        "DefaultMemoryRefreshConfig MemoryRefreshConfig MemoryRefreshConfig.Enabled "
        "MemoryRefreshConfig.SoftThresholdRatio MemoryRefreshConfig.SystemPrompt "
        "MemoryRefreshConfig.MaxExtractTokens",
        "default_memory_refresh_config MemoryRefreshConfig MemoryRefreshConfig.enabled "
        "MemoryRefreshConfig.soft_threshold_ratio MemoryRefreshConfig.system_prompt "
        "MemoryRefreshConfig.max_extract_tokens",
        lambda _: default_memory_refresh_config(),
        lambda config: (
            isinstance(config, MemoryRefreshConfig)
            and (config.enabled, config.soft_threshold_ratio, config.max_extract_tokens) == (True, 0.6, 500)
            and "NO_MEMORY_NEEDED" in config.system_prompt
        ),
    ),
    Row(
        "NormalizeExtractedMemoryForStorage NO_MEMORY_NEEDED",
        "normalize_extracted_memory_for_storage normalize_extracted_memory_for_storage",
        lambda _: [normalize_extracted_memory_for_storage(text) for text in ("* Likes tea", "stdout", " ")],
        ["- Likes tea", "NO_MEMORY_NEEDED", ""],
    ),
    Row(
        "NormalizeMemoryFingerprint",
        "normalize_memory_fingerprint",
        lambda _: normalize_memory_fingerprint("2) `Likes TEA.`"),
        "likes tea",
    ),
    Row(
        "NormalizeTokenBudget LegacyDefaultContextTokenBudget DefaultContextTokenBudget",
        "normalize_token_budget LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET DEFAULT_CONTEXT_TOKEN_BUDGET",
        lambda _: [
            normalize_token_budget(budget)
            for budget in (0, LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET, 8001, DEFAULT_CONTEXT_TOKEN_BUDGET)
        ],
        [128_000, 128_000, 8001, 128_000],
    ),
]

CONFIG: Final = [
    Row(
        "Config max_tokens idle_timeout persistence.enabled persistence.path",
        "Config Limits.max_tokens Cleanup.idle_after Config.db Config.db",
        lambda _: (Config().limits.max_tokens, Config().cleanup.idle_after, Config().db),
        (128_000, 300.0, "./greenroom.db"),
    ),
    Row(
        "isolation.by_agent isolation.by_channel isolation.by_peer isolation.by_thread",
        "Isolation.by_agent Isolation.by_channel Isolation.by_peer Isolation.by_thread",
        lambda _: msgspec.structs.astuple(Config().isolation),
        (True,) * 4,
    ),
    Row(
        "cleanup.enabled suspend_after cleanup.archive_after cleanup.delete_after cleanup.cleanup_interval",
        "Cleanup.enabled Cleanup.suspend_after Cleanup.archive_after Cleanup.delete_after Cleanup.interval",
        lambda _: msgspec.structs.astuple(Config().cleanup),
        (True, 300.0, 1800.0, 30 * 86_400.0, 0.0, 60.0),
    ),
]

NOT_YET: Final = {
    "max_messages = 9": "max_messages",
    "compaction = {enabled = true}": "compaction",
    "auto_compact = true": "auto_compact",
    "auto_compact_interval = 300": "auto_compact_interval",
}
"""Published settings of what sessions do not do yet, as a file would have them; each is refused by name."""

HOST: Final = [
    *(
        Row(name, name, lambda _, name=name: getattr(greenroom.runtime, name).__name__, name)
        for name in [
            "Ack",
            "Agent",
            "Attachment",
            "Ending",
            "Expected",
            "SlowHostError",
            "Turn",
            "open_client",
            "short_collections",
        ]
    ),
    Row("TokenCounter", "TokenCounter", lambda _: TokenCounter()("hello world"), 2),
]

ROWS: Final = [*COMPACTION, *MEMORY, *CONFIG, *ACTORS, *HOST]
