"""An end is stored with what ends, stays until it is erased, and what is removed is gone at once."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import StaleHeadError, StoreFormatError, UnstorableError
from greenroom.persistence.records import (
    Append,
    Ending,
    EndReason,
    Message,
    SessionFacts,
    SessionFilter,
    SessionState,
    StoreStats,
)

from . import hand


def ending(facts: SessionFacts, end_id: str = "e1", reason: EndReason = EndReason.RESET) -> Ending:
    return Ending(end_id, facts.id, reason, hand.NOW, facts, (Message("user", "hello"),))


def ended(facts: SessionFacts, end_id: str, *, removes: bool = False) -> Append:
    return Append(facts, facts.head_seq, ending=ending(facts, end_id), removes=removes)


def test_an_end_is_stored_with_its_append_and_kept_until_erased(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(tags=("a",), custom_data={"k": "v"}), "hello")
    hand.stored(store, ended(facts, "e1"))
    hand.stored(store, ended(facts, "e2"))
    ends = [(1, ending(facts, "e1")), (2, ending(facts, "e2"))]
    assert list(store.endings(0, 9)) == ends
    assert list(store.endings(0, 1)) == ends[:1]
    assert list(store.endings(1, 9)) == ends[1:]
    store.erase_ending("e2")
    store.erase_ending("e2")
    store.erase_ending("\ud800")
    assert list(store.endings(0, 9)) == ends[:1]
    hand.stored(store, ended(facts, "e3"))
    assert [number for number, _ in store.endings(0, 9)] == [1, 3]


def test_an_append_that_does_not_fit_leaves_no_end_behind(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "hello")
    hand.stored(store, ended(facts, "e1"))
    stale = msgspec.structs.replace(ended(facts, "e2"), base_seq=0, facts=hand.facts())
    bad = msgspec.structs.replace(ended(facts, "e3"), ending=ending(hand.facts(title="\ud800"), "e3"))
    again = msgspec.structs.replace(ended(facts, "e1"), entries=(hand.entry(2),))
    again = msgspec.structs.replace(again, facts=msgspec.structs.replace(facts, head_seq=2))
    answers = store.commit([stale, bad, again, ended(facts, "e4")])
    assert [type(answer) for answer in answers] == [
        StaleHeadError,
        UnstorableError,
        UnstorableError,
        SessionFacts,
    ]
    assert [one.end_id for _, one in store.endings(0, 9)] == ["e1", "e4"]
    assert store.facts(facts.id) == facts


def test_a_removal_takes_the_session_with_all_its_words_and_leaves_the_end(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "red", "red")
    other = hand.write(store, hand.facts("bob"), "red")
    store.index_messages(1)
    assert hand.stored(store, ended(facts, "e1", removes=True)) == facts
    assert store.facts(facts.id) is None
    assert list(store.entries(facts.id, 0, 9)) == []
    assert [hit.session for hit in store.search("red", SessionFilter(), None, 9)] == [other.id]
    assert [one.facts for _, one in store.endings(0, 9)] == [facts]
    (answer,) = store.commit([hand.append(facts, hand.entry(3))])
    assert isinstance(answer, StaleHeadError)


def test_p4_a_removal_built_on_another_head_removes_nothing(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "one", "two")
    wrong = (
        msgspec.structs.replace(facts, head_seq=1),
        msgspec.structs.replace(facts, key=facts.key + 1),
        msgspec.structs.replace(facts, chain=b"?" * 16),
        msgspec.structs.replace(facts, created_at=1),
        hand.facts("bob"),
    )
    for base in wrong:
        (answer,) = store.commit([ended(base, "e1", removes=True)])
        assert isinstance(answer, StaleHeadError)
    (answer,) = store.commit([msgspec.structs.replace(hand.append(facts, hand.entry(3)), removes=True)])
    assert isinstance(answer, UnstorableError)
    assert store.facts(facts.id) == facts
    assert list(store.endings(0, 9)) == []


def test_a_removal_keeps_its_place_in_the_batch(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "old")
    batch = [
        hand.append(facts, title="last words"),
        ended(facts, "e1", removes=True),
        hand.append(facts, hand.entry(2, "too late")),
        hand.append(hand.facts(tag="t2"), hand.entry(1, "new")),
        ended(facts, "e2", removes=True),
    ]
    kinds = [type(answer) for answer in store.commit(batch)]
    assert kinds == [SessionFacts, SessionFacts, StaleHeadError, SessionFacts, StaleHeadError]
    assert [entry.body for entry in store.entries(facts.id, 0, 9)] == [Message("user", "new")]
    assert [one.end_id for _, one in store.endings(0, 9)] == ["e1"]


def test_when_a_session_was_created_never_changes(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "one")
    (answer,) = store.commit([hand.append(facts, hand.entry(2), created_at=facts.created_at + 1)])
    assert isinstance(answer, StaleHeadError)


def test_numbers_of_ends_are_not_used_again_after_a_restart(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    hand.stored(sqlite_store, ended(facts, "e1"))
    sqlite_store.erase_ending("e1")
    sqlite_store.close()
    again = SQLiteSessionStore(place)
    hand.stored(again, ended(facts, "e2"))
    assert [number for number, _ in again.endings(0, 9)] == [2]
    again.close()


@pytest.mark.parametrize("body", ["replace(body, 'hello', 'hullo')", "'{}'"])
def test_a_damaged_end_is_not_given_out(sqlite_store: SQLiteSessionStore, body: str) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    hand.stored(sqlite_store, ended(facts, "e1"))
    with sqlite_store._db.conn as connection:
        connection.execute(f"UPDATE ending SET body = {body}")  # noqa: S608 - a constant
    with pytest.raises(StoreFormatError, match="end e1: damaged"):
        sqlite_store.endings(0, 9)


def test_the_silent_are_due_oldest_first(store: SessionStore) -> None:
    for number, peer in enumerate("abcde"):
        at = hand.NOW + number // 2
        state = SessionState.IDLE if peer == "b" else SessionState.ACTIVE
        hand.stored(store, hand.append(hand.facts(peer, at=at, state=state)))

    def peers(state: SessionState, before: int, limit: int = 9) -> str:
        return "".join(facts.id.peer_id for facts in store.due(state, before, limit))

    assert peers(SessionState.ACTIVE, hand.NOW + 9) == "adce"
    assert peers(SessionState.ACTIVE, hand.NOW + 2) == "adc"
    assert peers(SessionState.ACTIVE, hand.NOW + 9, 2) == "ad"
    assert peers(SessionState.IDLE, hand.NOW + 1) == "b"
    assert peers(SessionState.IDLE, hand.NOW) == peers(SessionState.SUSPENDED, 1 << 80) == ""
    assert peers(SessionState.ACTIVE, 1 << 80, 0) == peers(SessionState.ACTIVE, -(1 << 80)) == ""


def test_the_archived_are_due_by_when_they_were_archived(store: SessionStore) -> None:
    for peer, at in (("a", 7), ("b", 5), ("c", None)):
        hand.stored(store, hand.append(hand.facts(peer, state=SessionState.ARCHIVED, archived_at=at)))
    hand.stored(store, hand.append(hand.facts("d", archived_at=5)))
    due: Callable[[int], str] = lambda before: "".join(  # noqa: E731 - one expression
        facts.id.peer_id for facts in store.due(SessionState.ARCHIVED, before, 9)
    )
    assert (due(8), due(7), due(5)) == ("ba", "b", "")
    assert store.stats() == StoreStats(4, 1, 0, 3)
