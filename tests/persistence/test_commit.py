"""What is answered as stored is stored, and nothing else is."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.errors import (
    DuplicateClientIdError,
    StoreError,
    StoreFormatError,
    StoreUnavailableError,
    UnstorableError,
)
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Message, SessionFacts, SessionFilter, SessionRecord
from sqlite_utils.utils import sqlite3

from . import hand

TEXT = "x" * 20_000


def fill(store: SQLiteSessionStore, pages: int) -> None:
    """Leave the database room for so many pages, and SQLite too little memory to hold a batch back."""
    connection = store._db.conn
    (used,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute("PRAGMA cache_size = 5")
    connection.execute(f"PRAGMA max_page_count = {used + pages}")


def batch_of(facts: Sequence[SessionFacts]) -> list[Append]:
    return [hand.append(one, hand.entry(one.head_seq + 1, TEXT)) for one in facts]


def texts(store: SQLiteSessionStore) -> list[str]:
    found = [
        entry.body for facts in store.list(SessionFilter()) for entry in store.entries(facts.id, 0, 10_000)
    ]
    return [body.content for body in found if isinstance(body, Message)]


def test_p7_a_disk_that_fills_in_mid_batch_stores_exactly_what_was_acked(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    facts = [hand.write(sqlite_store, hand.facts(f"p{n}"), TEXT) for n in range(20)]
    fill(sqlite_store, 250)
    acked = len(facts)
    while True:
        answers = sqlite_store.commit(batch_of(facts))
        if not all(isinstance(answer, SessionFacts) for answer in answers):
            break
        facts = [answer for answer in answers if isinstance(answer, SessionFacts)]
        acked += len(facts)
    assert acked > len(facts)
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    assert "full" in str(answers[0])
    assert texts(sqlite_store) == [TEXT] * acked
    sqlite_store._db.conn.execute("PRAGMA max_page_count = 100000")
    answers = sqlite_store.commit(batch_of(facts))
    assert all(isinstance(answer, SessionFacts) for answer in answers)
    sqlite_store.close()
    again = SQLiteSessionStore(place)
    assert texts(again) == [TEXT] * (acked + len(facts))
    again.close()


def test_p7_a_disk_that_fills_while_appends_are_written_singly_stores_none_of_them(
    sqlite_store: SQLiteSessionStore,
) -> None:
    first = hand.stored(sqlite_store, hand.append(hand.facts(), hand.entry(1, client_id="m-1")))
    facts = [hand.write(sqlite_store, hand.facts(f"p{n}"), "start") for n in range(20)]
    duplicate = hand.append(first, hand.entry(2, client_id="m-1"))
    fill(sqlite_store, 30)
    answers = sqlite_store.commit([duplicate, *batch_of(facts), duplicate])
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    assert sorted(texts(sqlite_store)) == ["hello"] + ["start"] * 20
    sqlite_store._db.conn.execute("PRAGMA max_page_count = 100000")
    answers = sqlite_store.commit([duplicate, *batch_of(facts), duplicate])
    assert [type(answer) for answer in answers] == [
        DuplicateClientIdError,
        *[SessionFacts] * 20,
        DuplicateClientIdError,
    ]


def test_a_held_write_lock_fails_the_batch_and_then_heals(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    sqlite_store._db.conn.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (answer,) = sqlite_store.commit([hand.append(facts, hand.entry(2))])
    assert isinstance(answer, StoreUnavailableError)
    assert "locked" in str(answer)
    for write in (sqlite_store.archive, sqlite_store.delete):
        with pytest.raises(StoreUnavailableError):
            write(facts.id)
    assert sqlite_store.facts(facts.id) == facts
    other.execute("ROLLBACK")
    other.close()
    assert hand.stored(sqlite_store, hand.append(facts, hand.entry(2))).head_seq == 2


def test_a_transaction_left_open_is_not_built_upon(sqlite_store: SQLiteSessionStore) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    connection = sqlite_store._db.conn
    connection.execute("BEGIN")
    connection.execute("DELETE FROM journal")
    assert hand.write(sqlite_store, facts, "again").head_seq == 2
    assert len(sqlite_store.entries(facts.id, 0, 9)) == 2


def watch(store: SQLiteSessionStore, sessions: list[SessionID], done: Event, wrong: list[object]) -> None:
    """Read until done; note every read that is not one whole commit, or older than the one before."""
    heads = dict.fromkeys(sessions, 0)
    while not done.is_set() and not wrong:
        for session in sessions:
            try:
                record = store.load(session)
                (listed,) = store.list(SessionFilter(peer_id=session.peer_id))
            except StoreError as error:
                wrong.append(error)
                return
            assert record is not None
            head = record.facts.head_seq
            context = [entry.seq for entry in record.context]
            if not heads[session] <= head <= listed.head_seq or context != list(range(1, head + 1)):
                wrong.append((head, context, listed))
            heads[session] = head


def test_readers_on_many_threads_see_whole_commits_only(sqlite_store: SQLiteSessionStore) -> None:
    facts = [hand.write(sqlite_store, hand.facts(f"p{n}"), "first") for n in range(5)]
    sessions = [one.id for one in facts]
    done, wrong = Event(), list[object]()
    threads = [Thread(target=watch, args=(sqlite_store, sessions, done, wrong)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(99):
        answers = sqlite_store.commit([hand.append(one, hand.entry(one.head_seq + 1)) for one in facts])
        facts = [answer for answer in answers if isinstance(answer, SessionFacts)]
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [one.head_seq for one in facts] == [100] * 5


def test_a_journal_that_goes_on_after_its_head_is_damage(sqlite_store: SQLiteSessionStore) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "one", "two")
    other = hand.write(sqlite_store, hand.facts("bob"), "one")
    with sqlite_store._db.conn as connection:
        connection.execute("UPDATE session SET head_seq = 0, chain = x'' WHERE key = ?", (facts.key,))
    broken = hand.append(hand.facts(key=facts.key), hand.entry(1))
    answers = sqlite_store.commit([broken, hand.append(other, hand.entry(2))])
    assert [type(answer) for answer in answers] == [StoreFormatError, SessionFacts]


def test_a_damaged_first_message_is_not_given_back_as_the_duplicate(sqlite_store: SQLiteSessionStore) -> None:
    facts = hand.stored(sqlite_store, hand.append(hand.facts(), hand.entry(1, client_id="m-1")))
    with sqlite_store._db.conn as connection:
        connection.execute("UPDATE journal SET body = replace(body, 'hello', 'hullo')")
    (answer,) = sqlite_store.commit([hand.append(facts, hand.entry(2, client_id="m-1"))])
    assert isinstance(answer, StoreFormatError)


def test_a_write_that_is_not_one_append_is_rolled_back_whole(sqlite_store: SQLiteSessionStore) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    with pytest.raises(UnstorableError):
        sqlite_store.save(SessionRecord(hand.facts(title="\ud800")))
    assert not sqlite_store._db.conn.in_transaction
    assert sqlite_store.facts(facts.id) == facts


def test_nothing_is_written_after_sqlite_ended_the_transaction_by_itself(
    sqlite_store: SQLiteSessionStore,
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    other = hand.write(sqlite_store, hand.facts("bob"), "hello")
    sqlite_store._db.conn.execute(
        "CREATE TEMP TRIGGER ends BEFORE INSERT ON journal WHEN NEW.turn_id = 'ends' "
        "BEGIN SELECT RAISE(ROLLBACK, 'ended'); END"
    )
    batch = [
        hand.append(facts, hand.entry(2)),
        hand.append(hand.facts("cy"), hand.entry(1, turn_id="ends")),
        hand.append(other, hand.entry(2)),
    ]
    answers = sqlite_store.commit(batch)
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    assert sqlite_store.facts(facts.id) == facts
    assert sqlite_store.stats().total_sessions == 2
    assert texts(sqlite_store) == ["hello", "hello"]
