"""The live context: the newest messages within a token budget."""

from greenroom.actors.context import LiveContext
from greenroom.persistence.records import Entry, Message, TurnFinished
from hypothesis import given
from hypothesis import strategies as st


def message(seq: int, tokens: int = 10) -> Entry:
    return Entry(seq, 1, 0, Message("user", str(seq)), tokens=tokens)


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [m.content for m in messages]


def test_messages_come_oldest_first_and_other_entries_are_ignored() -> None:
    context = LiveContext(100)
    context.add(message(1))
    context.add(Entry(2, 1, 0, TurnFinished((1,), "end_turn")))
    context.add(message(3))
    assert texts(context.before(3, ())) == ["1", "3"]


def test_the_oldest_leave_when_the_budget_is_exceeded() -> None:
    context = LiveContext(30)
    for seq in range(1, 6):
        context.add(message(seq))
    assert texts(context.before(9, ())) == ["3", "4", "5"]


def test_one_message_stays_however_large() -> None:
    context = LiveContext(30)
    context.add(message(1))
    context.add(message(2, tokens=1000))
    assert texts(context.before(9, ())) == ["2"]


def test_pending_messages_and_those_after_the_head_are_left_out() -> None:
    context = LiveContext(100)
    for seq in range(1, 7):
        context.add(message(seq))
    assert texts(context.before(5, {2, 4})) == ["1", "3", "5"]


@given(st.integers(1, 200), st.lists(st.integers(0, 80), max_size=30))
def test_it_is_always_the_longest_tail_that_fits(budget: int, sizes: list[int]) -> None:
    context = LiveContext(budget)
    for seq, tokens in enumerate(sizes, 1):
        context.add(message(seq, tokens))
    fits = [n for n in range(1, len(sizes) + 1) if sum(sizes[-n:]) <= budget]
    kept = texts(context.before(len(sizes), ()))
    expected = max(fits, default=min(1, len(sizes)))
    assert len(kept) == expected
    assert kept == [str(seq) for seq in range(len(sizes) - expected + 1, len(sizes) + 1)]
