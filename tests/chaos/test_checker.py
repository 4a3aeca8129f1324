"""The checker accepts good histories and finds each kind of damage; without that its silence is no proof."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import check
from tests.chaos.history import Ack, History, Log, Row, Sent

Damage = Callable[[History], None]


def good(script: list[tuple[int, int, bool]]) -> History:
    """A faultless run: each item is (client, session, whether the ack came twice)."""
    history = History()
    for number, (client_number, session_number, resent) in enumerate(script):
        client, session, client_id = f"c{client_number}", f"s{session_number}", f"m{number}"
        journal = history.stored.setdefault(session, [])
        history.sent.append(Sent(client, session, client_id, f"text {number}"))
        seq = len(journal) + 1
        journal.append(Row(session, seq, "1.a", f"text {number}", client_id))
        history.acks.append(Ack(client, session, client_id, seq, "1.a", duplicate=False))
        if resent:
            history.acks.append(Ack(client, session, client_id, seq, "1.a", duplicate=True))
    for session, journal in history.stored.items():
        history.logs.append(Log(session, list(journal)))
        middle = len(journal) // 2
        history.logs.append(Log(session, journal[middle:], [(0, middle)]))
    return history


def lose_row(history: History) -> None:
    history.stored["s0"].pop()


def store_twice(history: History) -> None:
    journal = history.stored["s0"]
    journal.append(replace(journal[0], seq=len(journal) + 1))


def store_twice_under_another_id(history: History) -> None:
    journal = history.stored["s0"]
    history.sent.append(Sent("c9", "s0", "other", journal[0].content))
    journal.append(replace(journal[0], seq=len(journal) + 1, client_id="other"))


def ack_twice_as_new(history: History) -> None:
    history.acks.append(history.acks[0])


def swap_rows(history: History) -> None:
    journal = history.stored["s0"]
    journal[0], journal[1] = replace(journal[1], seq=1), replace(journal[0], seq=2)


def skip_seq(history: History) -> None:
    journal = history.stored["s0"]
    journal[-1] = replace(journal[-1], seq=journal[-1].seq + 1)


def ack_wrong_seq(history: History) -> None:
    history.acks[0] = replace(history.acks[0], seq=history.acks[0].seq + 1)


def ack_wrong_epoch(history: History) -> None:
    history.acks[0] = replace(history.acks[0], epoch="2.a")


def change_content(history: History) -> None:
    history.stored["s0"][0] = replace(history.stored["s0"][0], content="other words")


def drop_event(history: History) -> None:
    history.logs[0].rows.pop(0)


def repeat_event(history: History) -> None:
    history.logs[0].rows.append(history.logs[0].rows[-1])


def see_other_content(history: History) -> None:
    history.logs[0].rows[0] = replace(history.logs[0].rows[0], content="other words")


def see_foreign_event(history: History) -> None:
    history.logs[0].rows.append(Row("elsewhere", 1, "1.a", "words", "m0"))


def store_foreign_row(history: History) -> None:
    journal = history.stored["s0"]
    journal.append(Row("s0", len(journal) + 1, "1.a", "words", "nobody"))


def lose_seen_answer(history: History) -> None:
    history.logs[0].rows.append(Row("s0", len(history.stored["s0"]) + 1, "1.a", "an answer"))


DAMAGES: list[tuple[Damage, str]] = [
    (lose_row, "lost"),
    (lose_seen_answer, "lost"),
    (store_twice, "duplicated"),
    (store_twice_under_another_id, "duplicated"),
    (ack_twice_as_new, "duplicated"),
    (swap_rows, "reordered"),
    (skip_seq, "gap"),
    (ack_wrong_seq, "seq mismatch"),
    (ack_wrong_epoch, "seq mismatch"),
    (change_content, "id mismatch"),
    (drop_event, "event gap"),
    (repeat_event, "event duplicated"),
    (see_other_content, "event mismatch"),
    (see_foreign_event, "foreign"),
    (store_foreign_row, "foreign"),
]

# Two messages of one client in s0 first, so that every damage has something to bite on.
scripts = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=30).map(
    lambda items: [(0, 0, False), (0, 0, True), *items]
)


@given(scripts)
def test_a_faultless_history_has_no_violation(script: list[tuple[int, int, bool]]) -> None:
    assert check(good(script)) == []


@pytest.mark.parametrize(("damage", "kind"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
@given(script=scripts)
def test_damage_is_found_and_named(damage: Damage, kind: str, script: list[tuple[int, int, bool]]) -> None:
    history = copy.deepcopy(good(script))
    damage(history)
    assert kind in {violation.kind for violation in check(history)}


def test_a_message_never_acked_may_be_stored_or_not() -> None:
    history = good([(0, 0, False), (0, 0, False)])
    history.sent.append(Sent("c0", "s0", "unanswered", "words"))
    assert check(history) == []
    history.stored["s0"].append(Row("s0", 3, "1.a", "words", "unanswered"))
    assert check(history) == []


def test_answers_take_seqs_and_no_client_id() -> None:
    history = good([(0, 0, False), (0, 0, False)])
    history.stored["s0"].append(Row("s0", 3, "1.a", "an answer"))
    history.logs[0].rows.append(Row("s0", 3, "1.a", "an answer"))
    assert check(history) == []


def test_each_message_is_answered_once() -> None:
    history = good([(0, 0, False), (0, 0, False)])
    history.stored["s0"].append(Row("s0", 3, "1.a", "end_turn", answers=(1,)))
    assert check(history) == []
    assert [violation.kind for violation in check(history, answered=True)] == ["unanswered"]
    history.stored["s0"].append(Row("s0", 4, "1.a", "end_turn", answers=(1, 2)))
    assert [violation.kind for violation in check(history, answered=True)] == ["answered twice"]
