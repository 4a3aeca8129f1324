"""Memory is saved before a context is compacted, and a failure to do so changes nothing else."""

from collections.abc import Sequence

import msgspec
import pytest
import trio
import trio.testing
from greenroom.actors.compaction import CompactionSettings
from greenroom.actors.compactor import ContextView, SessionCompactor
from greenroom.actors.memory_integration import CompactorMemoryIntegration, MemoryRefreshFailed
from greenroom.actors.outside import AskModel, ProviderError
from greenroom.actors.refresh import MemoryRefreshConfig, MemoryRefresher, default_memory_refresh_config
from greenroom.persistence.records import Message

from tests.actors.scribe import Notebook, Scribe, endless, failing


class TornNotebook:
    """A refresher that fails."""

    async def refresh_memory(self, extracted: str, session_id: str) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(f"{extracted} {session_id}")


KEEPS = "- Prefers tea\n- Prefers tea\n- Saved to /tmp/x"


def context(count: int) -> ContextView:
    """Each message is a hundredth of the budget."""
    messages = (Message("user", "?"),) * count
    return ContextView(messages=messages, tokens=(1,) * count, budget=100, session_id="echo:web:ann")


def integration(
    extract: AskModel,
    refresher: MemoryRefresher,
    config: MemoryRefreshConfig | None = None,
    reports: list[msgspec.Struct] | None = None,
) -> CompactorMemoryIntegration:
    told = [] if reports is None else reports
    settings = CompactionSettings(strategy="truncate", preserve_recent=2)

    async def summarize(prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
        await trio.lowlevel.checkpoint()
        return f"{prompt} {len(messages)} {max_tokens}"

    compactor = SessionCompactor(settings, len, summarize=summarize, report=told.append)
    return CompactorMemoryIntegration(
        compactor, refresher, extract, config or default_memory_refresh_config()
    )


@pytest.mark.parametrize(
    ("count", "refresh", "compact"),
    [(59, False, False), (60, True, False), (74, True, False), (75, False, True)],
)
def test_memory_is_due_below_where_compaction_is(count: int, *, refresh: bool, compact: bool) -> None:
    one = integration(KEEPS, Notebook())
    assert one.should_refresh_memory(context(count)) is refresh
    assert one.should_compact(context(count)) is compact


@pytest.mark.parametrize(
    ("previous", "count", "refresh", "compact"),
    [
        (0.59, 60, True, False),
        (0.6, 61, False, False),
        (0.5, 59, False, False),
        (0.74, 75, False, True),
        (0.75, 76, False, False),
        (0.59, 75, False, True),
    ],
)
def test_a_transition_is_the_step_across_a_threshold(
    previous: float, count: int, *, refresh: bool, compact: bool
) -> None:
    one = integration(KEEPS, Notebook())
    assert one.should_refresh_memory_on_transition(previous, context(count)) is refresh
    assert one.should_compact_on_transition(previous, context(count)) is compact


async def test_what_is_worth_keeping_is_normalised_and_saved_under_the_sessions_id() -> None:
    notebook, extract = Notebook(), Scribe(KEEPS)
    config = MemoryRefreshConfig(system_prompt="What stays true?", max_extract_tokens=77)
    assert await integration(extract, notebook, config).refresh_memory_before_compaction(context(60)) == 1
    assert notebook.pages == [("echo:web:ann", "- Prefers tea")]
    assert extract.asked == [("What stays true?", context(60).messages, 77)]


@pytest.mark.parametrize("answer", ["NO_MEMORY_NEEDED", "no_memory_needed", "", " \n", "- Saved to /tmp/x"])
async def test_an_answer_with_nothing_to_keep_saves_nothing(answer: str) -> None:
    notebook = Notebook()
    assert await integration(Scribe(answer), notebook).refresh_memory_before_compaction(context(60)) == 0
    assert notebook.pages == []


@pytest.mark.parametrize(("enabled", "count"), [(False, 60), (True, 2), (True, 0)])
async def test_nothing_is_asked_when_turned_off_or_of_fewer_than_three_messages(
    *, enabled: bool, count: int
) -> None:
    extract = Scribe(KEEPS)
    one = integration(extract, Notebook(), MemoryRefreshConfig(enabled=enabled))
    assert await one.refresh_memory_before_compaction(context(count)) == 0
    assert extract.asked == []


async def test_memory_is_saved_before_the_context_is_compacted() -> None:
    notebook = Notebook()
    done = await integration(Scribe(KEEPS), notebook).compact_with_memory_refresh(context(80))
    assert (done.result.removed_messages, len(notebook.pages)) == (78, 1)


async def test_a_custom_prompt_reaches_the_compactor() -> None:
    done = await integration(KEEPS, Notebook()).compact_with_memory_refresh(context(80), "In verse:")
    assert done.result.summary == "In verse: 78 500"


@pytest.mark.parametrize(
    ("extract", "refresher"), [(failing, Notebook()), (endless, Notebook()), (Scribe(KEEPS), TornNotebook())]
)
async def test_a_failing_extraction_is_reported_and_never_stops_a_compaction(
    extract: AskModel,
    refresher: MemoryRefresher,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports: list[msgspec.Struct] = []
    one = integration(extract, refresher, reports=reports)
    with pytest.raises(ProviderError):
        await one.refresh_memory_before_compaction(context(80))
    done = await one.compact_with_memory_refresh(context(80))
    assert done.result.removed_messages == 78
    (report,) = reports
    assert isinstance(report, MemoryRefreshFailed)
    assert (report.session_id, "expected an answer" in report.error) == ("echo:web:ann", True)
