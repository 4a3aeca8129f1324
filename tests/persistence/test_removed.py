"""What was taken out of the queue is said no more to an agent, and stays where people look."""

from collections.abc import Callable

from greenroom.persistence import SessionStore
from greenroom.persistence.records import Message, QueueRemoved, SessionFilter

from . import hand


def test_messages_taken_out_of_the_queue_leave_the_context_and_stay_in_history_and_search(
    make_store: Callable[..., SessionStore],
) -> None:
    store = make_store(max_tokens=30)
    facts = hand.write(store, hand.facts(), "old epoch")
    facts = hand.write(store, facts, *"abcde", QueueRemoved((3, 5, 1)), epoch=2)
    facts = hand.stored(store, hand.append(facts, hand.entry(8, "later", epoch=2, tokens=10)))

    def context() -> list[int]:
        record = store.load(facts.id)
        assert record is not None
        return [entry.seq for entry in record.context]

    assert context() == [4, 6, 8]  # what was removed takes no room from the others
    assert [entry.seq for entry in store.history(facts.id, 2, None, 9)] == [2, 3, 4, 5, 6, 8]
    assert [hit.seq for hit in store.search("b", SessionFilter(), None, 9)] == [3]
    facts = hand.write(store, facts, QueueRemoved((4, 6, 8)))
    assert context() == [2]
    facts = hand.write(store, facts, QueueRemoved((2, 12)))  # a removal is of what came before it
    assert context() == []
    facts = hand.write(store, facts, "eleven", "twelve", QueueRemoved((11,)), epoch=3)
    assert context() == [12]


def test_the_outcome_of_a_message_taken_out_of_the_queue_is_its_removal(store: SessionStore) -> None:
    entries = [
        hand.entry(1, "q1"),
        hand.entry(2, "q2"),
        hand.entry(3, QueueRemoved((2,)), turn_id="t1"),
        hand.entry(4, Message("assistant", "a1"), turn_id="t1"),
        hand.entry(5, hand.finished(1), turn_id="t1"),
        hand.entry(6, QueueRemoved((1,))),
    ]
    facts = hand.stored(store, hand.append(hand.facts(), *entries))
    assert store.outcome(facts.id, 2) == (entries[2], [])
    assert store.outcome(facts.id, 1) == (entries[4], [entries[3]])
