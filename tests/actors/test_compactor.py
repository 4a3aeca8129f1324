"""What a compaction makes of a context, with a language model written by hand, or with none."""

import msgspec
import pytest
import trio
import trio.testing
from greenroom.actors.compaction import CompactionSettings, Strategy, find_cut
from greenroom.actors.compactor import SUMMARY_PROMPT, ContextView, SessionCompactor, SummaryFailed
from greenroom.actors.errors import NotSupportedError
from greenroom.actors.outside import ProviderError
from greenroom.persistence.records import Message, ToolCall
from hypothesis import given
from hypothesis import strategies as st

from tests.actors.scribe import Scribe, endless, failing


def words(text: str) -> int:
    """Counts words as tokens."""
    return len(text.split())


def context(count: int, *, tokens: int = 10, budget: int = 200, **facts: str | int) -> ContextView:
    messages = tuple(Message("user" if n % 2 == 0 else "assistant", f"m{n}") for n in range(count))
    return msgspec.convert(
        {"messages": messages, "tokens": (tokens,) * count, "budget": budget} | facts, ContextView
    )


def compactor(
    strategy: Strategy = "truncate",
    scribe: Scribe | None = None,
    *,
    preserve_recent: int = 4,
    reports: list[msgspec.Struct] | None = None,
) -> SessionCompactor:
    settings = CompactionSettings(strategy=strategy, preserve_recent=preserve_recent, summary_max_tokens=20)
    told = [] if reports is None else reports
    return SessionCompactor(settings, words, summarize=scribe, report=told.append)


def test_a_context_is_compacted_from_the_threshold_on() -> None:
    assert not compactor().should_compact(context(14))
    assert compactor().should_compact(context(15))
    assert compactor().should_compact(context(14, summary="so far", summary_tokens=10))


def test_every_message_of_a_context_has_its_tokens() -> None:
    with pytest.raises(ValueError, match=r"^tokens: expected one number for each of 1 messages, met 0$"):
        ContextView(messages=(Message("user", "?"),), tokens=(), budget=10)


async def test_truncating_needs_no_model_and_keeps_the_newest_messages() -> None:
    before = context(15)
    done = await compactor().compact(before)
    assert done.context.messages == before.messages[-4:]
    assert done.context.tokens == (10,) * 4
    result = msgspec.structs.asdict(done.result)
    assert result.pop("duration") >= 0
    assert result == {
        "summary": "",
        "preserved_messages": 4,
        "removed_messages": 11,
        "tokens_before": 150,
        "tokens_after": 40,
        "tokens_saved": 110,
    }


async def test_truncating_keeps_the_summary_of_what_left_before() -> None:
    done = await compactor().compact(context(15, summary="so far", summary_tokens=2))
    assert (done.context.summary, done.result.tokens_after) == ("so far", 42)


@pytest.mark.parametrize("strategy", ["truncate", "summarize", "hybrid"])
async def test_where_nothing_can_leave_nothing_is_asked_or_changed(strategy: Strategy) -> None:
    before, scribe = context(4), Scribe()
    done = await compactor(strategy, scribe).compact(before)
    assert done.context == before
    assert (done.result.removed_messages, done.result.tokens_saved, scribe.asked) == (0, 0, [])


@pytest.mark.parametrize("strategy", ["summarize", "hybrid"])
async def test_a_summary_stands_for_the_messages_that_left(strategy: Strategy) -> None:
    before, scribe = context(15), Scribe()
    done = await compactor(strategy, scribe).compact(before)
    assert scribe.asked == [(SUMMARY_PROMPT, before.messages[:11], 20)]
    assert (done.context.summary, done.context.summary_tokens) == ("They spoke of tea.", 4)
    assert done.result.summary == "They spoke of tea."
    assert (done.result.tokens_before, done.result.tokens_after) == (150, 44)


async def test_a_former_summary_is_part_of_the_next_one() -> None:
    scribe = Scribe()
    done = await compactor("summarize", scribe).compact(context(15, summary="MILK", summary_tokens=1))
    assert scribe.asked[0][0].startswith(SUMMARY_PROMPT)
    assert scribe.asked[0][0].endswith("MILK")
    assert done.context.summary == "They spoke of tea."


@pytest.mark.parametrize("strategy", ["truncate", "summarize", "hybrid"])
async def test_a_custom_prompt_is_used(strategy: Strategy) -> None:
    scribe = Scribe()
    done = await compactor(strategy, scribe).compact_with_custom_prompt(context(15), "In verse, please.")
    assert scribe.asked[0][0] == "In verse, please."
    assert done.result.summary == "They spoke of tea."


async def test_a_custom_prompt_says_something() -> None:
    with pytest.raises(ValueError, match="prompt: expected an instruction, met white space"):
        await compactor("summarize", Scribe()).compact_with_custom_prompt(context(15), " \n")


async def test_what_needs_a_model_is_refused_without_one() -> None:
    with pytest.raises(NotSupportedError) as caught:
        await compactor("summarize").compact(context(15))
    assert caught.value.field == "strategy"
    for strategy in ("truncate", "hybrid"):
        with pytest.raises(NotSupportedError):
            await compactor(strategy).compact_with_custom_prompt(context(15), "Briefly.")


async def test_hybrid_truncates_without_a_model() -> None:
    reports: list[msgspec.Struct] = []
    done = await compactor("hybrid", reports=reports).compact(context(15))
    assert (done.result.summary, done.result.removed_messages, reports) == ("", 11, [])


@pytest.mark.parametrize("model", [failing, endless, Scribe(" \n")])
async def test_without_a_summary_hybrid_truncates_and_says_so_and_summarize_fails(
    model: Scribe,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    reports: list[msgspec.Struct] = []
    before = context(15, session_id="a:b:c")
    done = await compactor("hybrid", model, reports=reports).compact(before)
    assert done.context == before.without_oldest(11, "", 0)
    (report,) = reports
    assert isinstance(report, SummaryFailed)
    assert (report.session_id, "language model: expected" in report.error) == ("a:b:c", True)
    with pytest.raises(ProviderError):
        await compactor("summarize", model).compact(before)


async def test_hybrid_takes_no_summary_that_saves_nothing() -> None:
    before, scribe = context(6, tokens=1), Scribe()
    done = await compactor("hybrid", scribe).compact(before)
    assert (done.result.summary, done.result.tokens_saved) == ("", 2)
    done = await compactor("summarize", scribe).compact(before)
    assert (done.result.summary, done.result.tokens_saved) == ("They spoke of tea.", -2)


async def test_a_summary_longer_than_asked_for_is_cut() -> None:
    done = await compactor("summarize", Scribe("a b " * 100)).compact(context(15))
    assert 1 <= done.context.summary_tokens <= 20
    assert done.context.summary == "a b " * (done.context.summary_tokens // 2 - 1) + "a b"


CALL = Message("assistant", "", (ToolCall("0", "search", "{}"),))
FOUND = Message("tool", "found", tool_call_id="0")
MESSAGES = st.lists(
    st.sampled_from([Message("user", "?"), Message("assistant", "!"), CALL, FOUND]), max_size=20
)


@given(MESSAGES, st.integers(1, 6), st.integers(0, 9))
def test_a_compaction_keeps_the_end_of_the_context_and_its_sums_are_right(
    messages: list[Message], preserve_recent: int, summary_tokens: int
) -> None:
    before = ContextView(
        messages=tuple(messages),
        tokens=tuple(range(len(messages))),
        budget=100,
        summary="s",
        summary_tokens=summary_tokens,
    )
    done = trio.run(compactor(preserve_recent=preserve_recent).compact, before)
    kept = done.context
    assert kept.messages == before.messages[find_cut(messages, preserve_recent) :]
    assert len(kept.messages) >= min(len(messages), preserve_recent)
    assert kept.tokens == before.tokens[len(messages) - len(kept.messages) :]
    assert done.result.removed_messages + done.result.preserved_messages == len(messages)
    assert (
        done.result.tokens_before - done.result.tokens_saved == done.result.tokens_after == kept.token_count
    )
