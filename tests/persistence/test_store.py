"""The contract of a session store, held against both stores."""

from collections.abc import Callable

import msgspec
import pytest
from greenroom.persistence import SessionStore
from greenroom.persistence.errors import (
    DuplicateClientIdError,
    StaleHeadError,
    StoreClosedError,
    UnstorableError,
)
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Append,
    Message,
    SessionFacts,
    SessionFilter,
    SessionRecord,
    SessionState,
    StoreStats,
    ToolCall,
    TurnError,
    TurnMark,
)

from . import hand

MISSING = SessionID("no", "such", "session")


def test_what_was_committed_is_read_back_whole(store: SessionStore) -> None:
    call = ToolCall("c1", "clock", '{"zone": "UTC"}')
    entries = (
        hand.entry(1, "naïve \0 👩‍👩‍👧", tokens=7, client_id="m-1"),
        hand.entry(2, Message("assistant", "", (call,)), turn_id="t1"),
        hand.entry(3, Message("tool", "12:00", tool_call_id="c1"), turn_id="t1"),
        hand.entry(4, hand.finished(1, usage={"in": 3}, error=TurnError("e", "m")), turn_id="t1"),
    )
    given = hand.facts(
        state=SessionState.IDLE,
        title="Title",
        summary="Sum",
        system_prompt="Be brief",
        tags=("b", "a"),
        custom_data={"k": "v"},
        message_count=3,
        token_count=7,
        compaction_count=1,
        pending=(1,),
        turn=TurnMark("t2", 2, (1,)),
        compacted_at=5,
    )
    facts = hand.stored(store, hand.append(given, *entries))
    assert facts.key > 0
    assert len(facts.chain) == 16
    assert facts == msgspec.structs.replace(given, key=facts.key, chain=facts.chain, head_seq=4)
    assert store.facts(given.id) == facts
    assert list(store.entries(given.id, 0, 10)) == list(entries)
    assert store.load(given.id) == SessionRecord(facts, entries[:3], entries[:1])


def test_p4_seqs_are_dense_and_a_gap_is_refused(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "one", "two")
    gap = Append(msgspec.structs.replace(facts, head_seq=4), 2, (hand.entry(4),))
    short = Append(msgspec.structs.replace(facts, head_seq=4), 2, (hand.entry(3),))
    absent = hand.append(facts, hand.entry(3), pending=(9,))
    for answer in store.commit([gap, short, absent]):
        assert isinstance(answer, UnstorableError)
    assert store.facts(facts.id) == facts


def test_p5_a_client_id_used_before_answers_the_first_entry(store: SessionStore) -> None:
    first = hand.entry(1, "hi", client_id="m-1")
    facts = hand.stored(store, hand.append(hand.facts(), first))
    facts = hand.write(store, facts, "later", epoch=2)
    (answer,) = store.commit(
        [hand.append(facts, hand.entry(3, client_id="m-2"), hand.entry(4, client_id="m-1"))]
    )
    assert isinstance(answer, DuplicateClientIdError)
    assert answer.entry == first
    assert store.facts(facts.id) == facts
    assert len(store.entries(facts.id, 0, 9)) == 2


def test_client_ids_are_each_sessions_own(store: SessionStore) -> None:
    for peer in ("ann", "bob"):
        hand.stored(store, hand.append(hand.facts(peer), hand.entry(1, client_id="m-1")))
    (answer,) = store.commit(
        [hand.append(hand.facts("cy"), hand.entry(1, client_id="x"), hand.entry(2, client_id="x"))]
    )
    assert isinstance(answer, UnstorableError)


def test_appends_of_a_batch_stand_or_fail_one_by_one(store: SessionStore) -> None:
    ann = hand.stored(store, hand.append(hand.facts("ann"), hand.entry(1, client_id="m-1")))
    bob = hand.write(store, hand.facts("bob"), "hello")
    batch = [
        hand.append(hand.facts("cy"), hand.entry(1)),
        hand.append(ann, hand.entry(2, client_id="m-1"), title="not kept"),
        hand.append(hand.facts("bob"), hand.entry(1, "second creation")),
        hand.append(hand.facts("dee"), hand.entry(1, "\ud800")),
        hand.append(bob, hand.entry(2, "fits")),
        hand.append(bob, hand.entry(2, "stale now")),
    ]
    kinds = [type(answer) for answer in store.commit(batch)]
    assert kinds == [
        SessionFacts,
        DuplicateClientIdError,
        StaleHeadError,
        UnstorableError,
        SessionFacts,
        StaleHeadError,
    ]
    assert store.facts(ann.id) == ann
    assert [e.body for e in store.entries(bob.id, 1, 9)] == [Message("user", "fits")]
    assert store.facts(SessionID("echo", "web", "dee")) is None


@pytest.mark.parametrize(
    "changes",
    [{"title": "\ud800"}, {"token_count": 1 << 63}, {"tags": ("\ud800",)}, {"custom_data": {"k": "\udfff"}}],
)
def test_what_no_store_can_keep_fails_alone(store: SessionStore, changes: dict[str, object]) -> None:
    bad = hand.append(hand.facts("ann", **changes), hand.entry(1))
    good = hand.append(hand.facts("bob"), hand.entry(1))
    refused, stored = store.commit([bad, good])
    assert isinstance(refused, UnstorableError)
    assert isinstance(stored, SessionFacts)
    with pytest.raises(UnstorableError):
        store.save(SessionRecord(hand.facts("cy", **changes)))
    assert store.stats().total_sessions == 1


def test_p4_an_append_built_on_another_head_or_chain_is_stale(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "one")
    wrong = (
        hand.facts(head_seq=0),
        msgspec.structs.replace(facts, key=facts.key + 1),
        msgspec.structs.replace(facts, head_seq=5),
        msgspec.structs.replace(facts, chain=b"?" * 16),
        msgspec.structs.replace(facts, key=0),
        hand.facts("bob", head_seq=3),
        hand.facts("bob", chain=b"?"),
    )
    for base in wrong:
        (answer,) = store.commit([hand.append(base, hand.entry(base.head_seq + 1))])
        assert isinstance(answer, StaleHeadError)
    assert store.stats().total_sessions == 1
    assert len(store.entries(facts.id, 0, 9)) == 1


def test_a_deleted_sessions_late_append_reaches_nobody(store: SessionStore) -> None:
    old = hand.write(store, hand.facts(), "old")
    assert store.delete(old.id)
    assert not store.delete(old.id)
    new = hand.write(store, hand.facts(tag="t2"), "new")
    other = hand.stored(store, hand.append(hand.facts("bob")))
    (answer,) = store.commit([hand.append(old, hand.entry(2))])
    assert isinstance(answer, StaleHeadError)
    assert len({old.key, new.key, other.key}) == 3
    assert [entry.body for entry in store.entries(old.id, 0, 9)] == [Message("user", "new")]


def test_an_empty_batch_and_an_append_without_entries_are_fine(store: SessionStore) -> None:
    assert list(store.commit([])) == []
    facts = hand.stored(store, hand.append(hand.facts()))
    assert (facts.head_seq, facts.chain) == (0, b"")
    assert hand.stored(store, hand.append(facts, title="named")).title == "named"


def test_save_replaces_facts_and_leaves_the_journal_alone(store: SessionStore) -> None:
    store.save(SessionRecord(hand.facts(title="first", head_seq=7, chain=b"x", key=9)))
    facts = store.facts(hand.facts().id)
    assert facts is not None
    assert (facts.title, facts.head_seq, facts.chain) == ("first", 0, b"")
    facts = hand.write(store, facts, "hello")
    store.save(SessionRecord(hand.facts(title="second", tag="t9")))
    record = store.load(facts.id)
    assert record is not None
    assert record.facts == msgspec.structs.replace(facts, title="second", tag="t9")
    assert len(record.context) == 1
    with pytest.raises(UnstorableError):
        store.save(SessionRecord(hand.facts(pending=(5,))))


def test_archive_sets_the_state(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "hello")
    assert store.archive(facts.id)
    assert store.facts(facts.id) == msgspec.structs.replace(facts, state=SessionState.ARCHIVED)
    assert not store.archive(MISSING)


def test_the_context_is_the_newest_messages_of_the_epoch_within_the_budget(
    make_store: Callable[..., SessionStore],
) -> None:
    store = make_store(max_tokens=30)
    facts = hand.write(store, hand.facts(), "old epoch")
    facts = hand.write(store, facts, *"abcde", epoch=2)
    facts = hand.stored(store, hand.append(facts, hand.entry(7, hand.finished(2), epoch=2, turn_id="t")))
    record = store.load(facts.id)
    assert record is not None
    assert [entry.seq for entry in record.context] == [4, 5, 6]
    facts = hand.stored(store, hand.append(facts, hand.entry(8, "long", epoch=2, tokens=31)))
    record = store.load(facts.id)
    assert record is not None
    assert [entry.seq for entry in record.context] == [8]
    facts = hand.stored(store, hand.append(facts, epoch=3))
    assert store.load(facts.id) == SessionRecord(facts)


def test_pending_entries_come_from_any_epoch(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "a", "b")
    facts = hand.write(store, facts, "c", epoch=2, pending=(2, 1, 3))
    record = store.load(facts.id)
    assert record is not None
    assert [entry.seq for entry in record.pending] == [2, 1, 3]
    assert [entry.seq for entry in record.context] == [3]


def test_history_pages_back_through_one_epochs_messages(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "a", hand.finished(1), "b", hand.finished(3), "c")
    facts = hand.write(store, facts, "d", "e", epoch=2)

    def seqs(epoch: int, before: int | None, limit: int) -> list[int]:
        return [entry.seq for entry in store.history(facts.id, epoch, before, limit)]

    assert seqs(1, None, 9) == [1, 3, 5]
    assert seqs(1, None, 2) == [3, 5]
    assert seqs(1, 5, 2) == [1, 3]
    assert seqs(1, 1, 2) == []
    assert seqs(2, None, 9) == [6, 7]
    assert seqs(2, 7, 9) == [6]
    assert seqs(3, None, 9) == seqs(0, None, 9) == seqs(1, None, 0) == []
    assert list(store.history(MISSING, 1, None, 9)) == []


def test_entries_are_read_forward_from_a_seq(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), *"abcd")
    assert [entry.seq for entry in store.entries(facts.id, 1, 2)] == [2, 3]
    assert [entry.seq for entry in store.entries(facts.id, -5, 1)] == [1]
    assert list(store.entries(facts.id, 4, 9)) == list(store.entries(facts.id, 0, 0)) == []
    assert list(store.entries(MISSING, 0, 9)) == []


def test_an_outcome_is_the_end_of_the_turn_that_used_the_message_up(store: SessionStore) -> None:
    entries = [
        hand.entry(1, "q1"),
        hand.entry(2, "q2"),
        hand.entry(3, hand.finished(1, will_retry=True), turn_id="t1"),
        hand.entry(4, Message("assistant", "a1"), turn_id="t2"),
        hand.entry(5, hand.finished(1), turn_id="t2"),
        hand.entry(6, hand.finished(4)),
    ]
    facts = hand.stored(store, hand.append(hand.facts(), *entries, pending=(2,)))
    outcome = store.outcome(facts.id, 1)
    assert outcome is not None
    assert (outcome[0], list(outcome[1])) == (entries[4], [entries[3]])
    assert store.outcome(facts.id, 4) == (entries[5], [])
    for seq in (2, 3, 0, -1, 99, 1 << 70):
        assert store.outcome(facts.id, seq) is None
    assert store.outcome(MISSING, 1) is None


def test_an_outcome_is_found_past_many_turns(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "q1", *[hand.finished(0) for _ in range(100)], hand.finished(1))
    outcome = store.outcome(facts.id, 1)
    assert outcome is not None
    assert outcome[0].seq == 102


def test_epochs_are_listed_newest_first(store: SessionStore) -> None:
    facts = hand.facts()
    for epoch in (1, 2, 5, 9):
        facts = hand.write(store, facts, *"ab" * epoch, epoch=epoch)
    assert list(store.epochs(facts.id, 9)) == [9, 5, 2, 1]
    assert list(store.epochs(facts.id, 2)) == [9, 5]
    assert list(store.epochs(facts.id, 0)) == list(store.epochs(MISSING, 9)) == []


def test_listing_filters_and_orders(store: SessionStore) -> None:
    for number, peer in enumerate("abcdef"):
        at = hand.NOW + number // 2
        state = SessionState.ARCHIVED if peer == "c" else SessionState.ACTIVE
        session = SessionID("echo" if number % 2 else "llm", "web", peer, "t" * number)
        hand.stored(store, hand.append(hand.facts(peer, at=at, state=state, id=session)))

    def peers(**where: object) -> str:
        return "".join(facts.id.peer_id for facts in store.list(SessionFilter(**where)))  # type: ignore[arg-type]

    assert peers() == "fedcba"
    assert peers(limit=2) == "fe"
    assert peers(limit=2, offset=3) == "cb"
    assert peers(offset=4) == "ba"
    assert peers(agent_id="llm") == "eca"
    assert peers(peer_id="b", channel_id="web") == "b"
    assert peers(channel_id="mail") == ""
    assert peers(state=SessionState.ARCHIVED) == "c"
    assert peers(created_after=hand.NOW) == "fedc"
    assert peers(created_before=hand.NOW + 2, created_after=hand.NOW) == "dc"
    assert peers(created_before=1 << 80, limit=1 << 80) == "fedcba"
    assert (
        peers(created_after=1 << 80)
        == peers(peer_id="\ud800")
        == peers(peer_id="'; DROP TABLE session;--")
        == ""
    )
    assert peers(peer_id="%") == ""
    assert peers(limit=-1, offset=-1) == "fedcba"


def test_unfinished_rows_are_paged_by_key(store: SessionStore) -> None:
    waiting = hand.write(store, hand.facts("a"), "q", pending=(1,))
    hand.write(store, hand.facts("b"), "q")
    marked = hand.write(store, hand.facts("c"), "q", turn=TurnMark("t", 1, (1,)))
    assert list(store.unfinished(0, 9)) == [waiting, marked]
    assert list(store.unfinished(0, 1)) == [waiting]
    assert list(store.unfinished(waiting.key, 9)) == [marked]
    done = hand.stored(store, hand.append(waiting, pending=()))
    assert list(store.unfinished(0, 9)) == [marked]
    assert done.pending == ()


def test_stats_count_every_session(store: SessionStore) -> None:
    assert store.stats() == StoreStats()
    for number, state in enumerate(SessionState):
        changes = {"state": state, "message_count": number, "token_count": 10 * number}
        hand.stored(store, hand.append(hand.facts(str(state), **changes)))
    assert store.stats() == StoreStats(5, 2, 2, 1, 10, 100)


def test_a_session_never_stored_is_none(store: SessionStore) -> None:
    assert store.load(MISSING) is None
    assert store.facts(MISSING) is None


def test_a_closed_store_says_so(store: SessionStore) -> None:
    facts = hand.write(store, hand.facts(), "hello")
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.commit([]),
        lambda: store.save(SessionRecord(facts)),
        lambda: store.load(facts.id),
        lambda: store.delete(facts.id),
        lambda: store.archive(facts.id),
        lambda: store.list(SessionFilter()),
        lambda: store.facts(facts.id),
        lambda: store.entries(facts.id, 0, 1),
        lambda: store.history(facts.id, 1, None, 1),
        lambda: store.outcome(facts.id, 1),
        lambda: store.epochs(facts.id, 1),
        lambda: store.unfinished(0, 1),
        store.stats,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError):
            call()
