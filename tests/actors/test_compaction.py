"""When a context is compacted, where it is cut, and when another attempt is worth it."""

from typing import get_args

import msgspec
import pytest
from greenroom.actors.compaction import (
    LONGEST_WAIT,
    CompactionResult,
    CompactionSettings,
    Retries,
    Strategy,
    find_cut,
    made_progress,
    should_compact,
    should_compact_on_transition,
    usage_ratio,
)
from greenroom.persistence.records import Message, ToolCall
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = CompactionSettings()
USER, ANSWER = Message("user", "?"), Message("assistant", "!")


def call(*ids: str) -> Message:
    return Message("assistant", "", tuple(ToolCall(i, "search", "{}") for i in ids))


def result(call_id: str) -> Message:
    return Message("tool", "found", tool_call_id=call_id)


def outcome(before: int, after: int, removed: int = 5) -> CompactionResult:
    return CompactionResult(
        summary="so far",
        preserved_messages=10,
        removed_messages=removed,
        tokens_before=before,
        tokens_after=after,
        tokens_saved=before - after,
        duration=0.5,
    )


def test_the_defaults_are_the_published_ones() -> None:
    assert msgspec.structs.asdict(CompactionSettings()) == {
        "threshold": 0.75,
        "strategy": "summarize",
        "preserve_recent": 10,
        "summary_max_tokens": 500,
    }
    assert get_args(Strategy) == ("summarize", "truncate", "hybrid")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("threshold", 0.0, "threshold: expected a number above 0 and at most 1, met 0.0"),
        ("threshold", 1.1, "threshold: expected a number above 0 and at most 1, met 1.1"),
        ("threshold", float("nan"), "threshold: expected a number above 0 and at most 1, met nan"),
        ("strategy", "shrink", "strategy: expected summarize, truncate or hybrid, met shrink"),
        ("preserve_recent", 0, "preserve_recent: expected at least 1, met 0"),
        ("summary_max_tokens", 0, "summary_max_tokens: expected at least 1, met 0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(setting: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="expected") as refusal:
        CompactionSettings(**{setting: value})
    assert str(refusal.value) == sentence


def test_a_result_has_its_published_json_names() -> None:
    assert msgspec.json.decode(msgspec.json.encode(outcome(900, 300))) == {
        "summary": "so far",
        "preserved_messages": 10,
        "removed_messages": 5,
        "tokens_before": 900,
        "tokens_after": 300,
        "tokens_saved": 600,
        "duration": 0.5,
    }


def test_the_ratio_is_the_used_share_and_may_exceed_one() -> None:
    assert [usage_ratio(tokens, 1000) for tokens in (0, 750, 1000, 2500)] == [0.0, 0.75, 1.0, 2.5]


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_is_not_positive_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match=f"^budget: expected more than 0 tokens, met {budget}$"):
        usage_ratio(1, budget)


@pytest.mark.parametrize(("tokens", "due"), [(0, False), (749, False), (750, True), (5000, True)])
def test_compaction_is_due_from_the_threshold_on(tokens: int, *, due: bool) -> None:
    assert should_compact(tokens, 1000, SETTINGS) is due


@pytest.mark.parametrize(
    ("previous", "tokens", "due"),
    [(0.74, 750, True), (0.0, 5000, True), (0.75, 760, False), (0.9, 800, False), (0.9, 700, False)],
)
def test_the_transition_is_the_step_from_below_the_threshold(
    previous: float, tokens: int, *, due: bool
) -> None:
    assert should_compact_on_transition(previous, tokens, 1000, SETTINGS) is due


@given(st.integers(1, 100), st.integers(1, 10**6))
def test_a_threshold_in_per_cent_is_reached_exactly_there(percent: int, hundredth: int) -> None:
    settings = CompactionSettings(threshold=percent / 100)
    assert should_compact(percent * hundredth, 100 * hundredth, settings)
    assert not should_compact(percent * hundredth - 1, 100 * hundredth, settings)


@pytest.mark.parametrize(
    ("messages", "preserve_recent", "cut"),
    [
        ([], 10, 0),
        ([USER, ANSWER], 10, 0),
        ([USER, ANSWER] * 5, 10, 0),
        ([USER, ANSWER] * 6, 10, 2),
        ([USER, ANSWER] * 6, 1, 11),
        # whole pairs leave; a pair across the line stays
        ([USER, call("a"), result("a"), ANSWER], 1, 3),
        ([USER, call("a"), result("a"), ANSWER], 2, 1),
        ([USER, call("a"), result("a"), ANSWER], 3, 1),
        ([call("a"), result("a"), ANSWER], 2, 0),
        # two calls of one message are one knot, as are calls whose results interleave
        ([USER, call("a", "b"), result("b"), result("a"), ANSWER], 2, 1),
        ([USER, call("a"), call("b"), result("a"), result("b"), ANSWER], 2, 1),
        ([USER, call("a"), call("b"), result("a"), result("b"), ANSWER], 1, 5),
        # a message in between stays with them
        ([USER, call("a"), USER, result("a"), ANSWER], 2, 1),
        # a second result of the same call
        ([USER, call("a"), result("a"), result("a"), ANSWER], 2, 1),
        # an answered call waits for nothing
        ([USER, call("a"), result("a"), USER], 1, 3),
        # a call that waits stays with all that follows it
        ([USER, call("a")], 0, 1),
        ([USER, call("a", "b"), result("a"), USER], 1, 1),
        # one that was given up does not hold the rest
        ([USER, call("a"), USER, ANSWER, USER], 1, 4),
        # ids that begin anew in each answer
        ([call("0"), result("0"), call("0"), result("0"), ANSWER], 2, 2),
        ([call("0"), ANSWER, call("0"), result("0"), ANSWER], 2, 2),
        # a result without its call
        ([result("lost"), USER, ANSWER], 1, 2),
    ],
)
def test_the_cut_leaves_calls_and_results_together(
    messages: list[Message], preserve_recent: int, cut: int
) -> None:
    assert find_cut(messages, preserve_recent) == cut


class Conversation:
    """Draws a context with calls answered late, in any order, twice, or never, under ids that repeat."""

    IDS = st.sampled_from(["0", "1", "2"])
    STEP = st.one_of(
        st.just(USER),
        st.just(ANSWER),
        st.lists(IDS, min_size=1, max_size=3, unique=True).map(lambda ids: call(*ids)),
        IDS.map(result),
    )
    CONTEXT = st.lists(STEP, max_size=25)


def allowed_cuts(messages: list[Message]) -> set[int]:
    """Every cut that parts no result from its call and leaves no waiting call behind, the slow way."""
    allowed = set(range(len(messages) + 1))
    for at, message in enumerate(messages):
        if message.tool_call_id is not None:
            callers = [
                n for n in range(at) if any(c.id == message.tool_call_id for c in messages[n].tool_calls)
            ]
            allowed -= set(range(callers[-1] + 1, at + 1)) if callers else set()
        later = messages[at + 1 :]
        answered = {m.tool_call_id for m in later}
        given_up = any(m.role == "assistant" for m in later)
        if not given_up and any(c.id not in answered for c in message.tool_calls):
            allowed -= set(range(at + 1, len(messages) + 1))
    return allowed


@given(Conversation.CONTEXT, st.integers(0, 12))
def test_the_cut_is_the_largest_that_keeps_the_newest_and_parts_nothing(
    messages: list[Message], preserve_recent: int
) -> None:
    limit = max(0, len(messages) - preserve_recent)
    assert find_cut(messages, preserve_recent) == max(c for c in allowed_cuts(messages) if c <= limit)


@given(Conversation.CONTEXT, st.integers(0, 12))
def test_what_stays_after_a_cut_is_not_cut_again(messages: list[Message], preserve_recent: int) -> None:
    kept = messages[find_cut(messages, preserve_recent) :]
    assert find_cut(kept, preserve_recent) == 0


@pytest.mark.parametrize(
    ("before", "after", "progress"),
    [
        (900, 300, True),
        (300, 299, True),
        (300, 300, False),
        (300, 310, False),
        (900, 900, False),
        (900, 950, False),
        (900, 760, False),
    ],
)
def test_progress_is_a_smaller_context_that_is_not_due_again(
    before: int, after: int, *, progress: bool
) -> None:
    assert made_progress(outcome(before, after), 1000, SETTINGS) is progress


def test_a_fruitless_compaction_is_not_tried_again_before_something_new_came() -> None:
    retries = Retries()
    assert retries.allowed(0)
    retries = retries.after(100, progress=False)
    assert not retries.allowed(100)
    assert retries.allowed(101)


def test_the_wait_doubles_with_each_attempt_in_vain_up_to_the_longest() -> None:
    retries, waits = Retries(), []
    for _ in range(7):
        retries = retries.after(100, progress=False)
        waits.append(next(n for n in range(100) if retries.allowed(100 + n)))
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    assert max(waits) == LONGEST_WAIT


def test_progress_ends_the_wait() -> None:
    retries = Retries().after(100, progress=False).after(101, progress=False)
    assert retries.after(103, progress=True) == Retries()
