"""No entry that was changed on the disk is given out, and no read costs more for a longer history."""

from collections.abc import Callable
from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.chain import HASH_BYTES, link
from greenroom.persistence.errors import StoreFormatError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import QueueRemoved, SessionFacts, SessionFilter, SessionState
from sqlite_utils.utils import sqlite3

from . import hand

ANN = SessionID("echo", "web", "ann")

DAMAGE = {
    "a changed text": "UPDATE journal SET body = replace(body, 'm3', 'M3') WHERE seq = 3",
    "a changed time": "UPDATE journal SET at = at + 1 WHERE seq = 3",
    "a changed client id": "UPDATE journal SET client_id = 'x' WHERE seq = 3",
    "a changed token count": "UPDATE journal SET tokens = 1 WHERE seq = 3",
    "a changed hash": "UPDATE journal SET hash = x'00' WHERE seq = 3",
    "a missing row": "DELETE FROM journal WHERE seq = 3",
    "a missing tail": "DELETE FROM journal WHERE seq > 3",
    # Negative seqs keep the rows apart while the two journals change places.
    "another session's journal": "UPDATE journal SET session = 3 - session, seq = -seq;"
    "UPDATE journal SET seq = abs(seq)",
    "an older head": "UPDATE session SET chain = (SELECT hash FROM journal WHERE seq = 3)",
    "a body of no kind": "UPDATE journal SET body = '{}' WHERE seq = 3",
}


@pytest.fixture
def facts(sqlite_store: SQLiteSessionStore) -> SessionFacts:
    bob = hand.write(sqlite_store, hand.facts("bob"), *[f"b{n}" for n in range(1, 6)])
    ann = hand.write(sqlite_store, hand.facts(), *[f"m{n}" for n in range(1, 6)])
    assert (bob.key, ann.key) == (1, 2)
    return ann


@pytest.mark.parametrize("what", DAMAGE)
def test_p8_a_journal_changed_on_disk_is_never_given_out(
    sqlite_store: SQLiteSessionStore, facts: SessionFacts, what: str
) -> None:
    with sqlite_store._db.conn as connection:
        for statement in DAMAGE[what].split(";"):
            connection.execute(statement)
    reads: list[Callable[[], object]] = [
        lambda: sqlite_store.load(facts.id),
        lambda: sqlite_store.entries(facts.id, 0, 9),
        lambda: sqlite_store.history(facts.id, 1, None, 9),
    ]
    for read in reads:
        with pytest.raises(StoreFormatError, match=f"{facts.id}.*entry"):
            read()


def test_a_text_changed_in_the_file_itself_is_noticed(
    sqlite_store: SQLiteSessionStore, facts: SessionFacts, place: Path
) -> None:
    sqlite_store.close()
    data = place.read_bytes()
    assert data.count(b'"m4"') == 1
    place.write_bytes(data.replace(b'"m4"', b'"w4"'))
    store = SQLiteSessionStore(place)
    with pytest.raises(StoreFormatError, match="entry 4"):
        store.load(facts.id)
    assert store.load(SessionID("echo", "web", "bob")) is not None
    store.close()


def test_a_session_row_of_no_kind_is_noticed(sqlite_store: SQLiteSessionStore, facts: SessionFacts) -> None:
    for change in ("state = 9", "tags = '{'", "pending = '[\"a\"]'", "peer_id = ''"):
        with sqlite_store._db.conn as connection:
            connection.execute(f"UPDATE session SET {change} WHERE key = ?", (facts.key,))  # noqa: S608 - constants
        with pytest.raises(StoreFormatError, match=f"session row {facts.key}"):
            sqlite_store.facts(facts.id)
        with sqlite_store._db.conn as connection:
            undo = "UPDATE session SET state = 0, tags = '[]', pending = '[]', peer_id = 'ann' WHERE key = ?"
            connection.execute(undo, (facts.key,))
    with sqlite_store._db.conn as connection:
        connection.execute("UPDATE session SET head_seq = 0")
    with pytest.raises(StoreFormatError, match="empty chain"):
        sqlite_store.load(facts.id)


def test_every_column_counts_in_the_hash() -> None:
    columns = (1, 1, 0, 5, 7, None, "t", "{}")
    other = (2, 2, 1, 6, 8, "c", None, "[]")
    hashes = {link(b"", ANN, columns), link(b"x", ANN, columns), link(b"", SessionID("a", "b", "c"), columns)}
    for position, value in enumerate(other):
        changed = list(columns)
        changed[position] = value
        hashes.add(link(b"", ANN, tuple(changed)))  # type: ignore[arg-type]
    assert len(hashes) == 3 + len(columns)
    assert {len(one) for one in hashes} == {HASH_BYTES}


def test_neighbouring_texts_do_not_run_together() -> None:
    assert link(b"", ANN, (1, 1, 0, 5, 7, "ab", "c", "")) != link(b"", ANN, (1, 1, 0, 5, 7, "a", "bc", ""))


def plans(store: SQLiteSessionStore, read: Callable[[], object]) -> str:
    """How SQLite carries out the statements of one read."""
    statements: list[str] = []
    connections = store._readers._free
    for connection in connections:
        connection.set_trace_callback(statements.append)
    read()
    for connection in connections:
        connection.set_trace_callback(None)
    selects = [sql for sql in statements if sql.lstrip().startswith(("SELECT", "WITH"))]
    assert selects
    return "\n".join(
        row[3] for sql in selects for row in connections[0].execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    )


@pytest.mark.parametrize(
    ("name", "read", "index"),
    [
        ("list", lambda s: s.list(SessionFilter(limit=9)), "session_by_activity"),
        ("state", lambda s: s.list(SessionFilter(state=SessionState.IDLE, limit=9)), "session_by_state"),
        ("agent", lambda s: s.list(SessionFilter(agent_id="echo", limit=9)), "session_by_agent"),
        ("peer", lambda s: s.list(SessionFilter(peer_id="ann")), "session_by_peer"),
        ("channel", lambda s: s.list(SessionFilter(channel_id="web")), "session_by_channel"),
        ("created", lambda s: s.list(SessionFilter(created_after=5)), "session_by_creation"),
        ("due", lambda s: s.due(SessionState.IDLE, 5, 9), "session_by_state"),
        ("due, archived", lambda s: s.due(SessionState.ARCHIVED, 5, 9), "session_by_archiving"),
        ("stats", lambda s: s.stats(), "COVERING INDEX session_by_state"),
        ("unfinished", lambda s: s.unfinished(0, 9), "session_unfinished"),
        ("history", lambda s: s.history(ANN, 1, None, 9), "sqlite_autoindex_journal_1"),
        ("load", lambda s: s.load(ANN), "sqlite_autoindex_journal_1"),
        ("outcome", lambda s: s.outcome(ANN, 1), "journal_turns"),
        ("epochs", lambda s: s.epochs(ANN, 9), "sqlite_autoindex_journal_1"),
    ],
)
def test_reads_use_an_index(
    sqlite_store: SQLiteSessionStore,
    facts: SessionFacts,
    name: str,
    read: Callable[[SQLiteSessionStore], object],
    index: str,
) -> None:
    plan = plans(sqlite_store, lambda: read(sqlite_store))
    assert index in plan, facts
    assert "SCAN journal" not in plan
    sorts = plan.count("TEMP B-TREE")
    assert sorts == {"list": 1, "state": 1, "agent": 2, "channel": 2, "peer": 2, "created": 2}.get(name, 0)
    assert all("USING" in line for line in plan.splitlines() if "SCAN session" in line)


def test_reading_an_epoch_costs_no_more_in_a_long_history(sqlite_store: SQLiteSessionStore) -> None:
    def steps(peer: str, length: int) -> int:
        facts = hand.write(sqlite_store, hand.facts(peer), "first epoch")
        facts = hand.write(sqlite_store, facts, *["second epoch"] * length, epoch=2)
        facts = hand.write(sqlite_store, facts, "third epoch", epoch=3)
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        for connection in sqlite_store._readers._free:
            connection.set_progress_handler(step, 10)
        for epoch in (1, 3):
            assert len(sqlite_store.history(facts.id, epoch, None, 9)) == 1
        record = sqlite_store.load(facts.id)
        assert record is not None
        assert len(record.context) == 1
        for connection in sqlite_store._readers._free:
            connection.set_progress_handler(None, 0)
        return count

    assert steps("long", 10_000) < 5 * steps("short", 10)


def test_what_became_of_a_message_costs_no_more_in_a_long_history(sqlite_store: SQLiteSessionStore) -> None:
    def rows(peer: str, length: int) -> int:
        said = ["said"] * length
        facts = hand.write(
            sqlite_store, hand.facts(peer), *said, "q1", "q2", *said, QueueRemoved((length + 2,))
        )
        facts = hand.write(sqlite_store, facts, hand.finished(length + 1), *said)
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        for connection in sqlite_store._readers._free:
            connection.set_progress_handler(step, 10)
        for seq in (length + 1, length + 2):
            assert sqlite_store.outcome(facts.id, seq) is not None
        for connection in sqlite_store._readers._free:
            connection.set_progress_handler(None, 0)
        return count

    assert rows("long", 10_000) < 5 * rows("short", 10)


def test_a_changed_end_of_a_turn_is_not_given_out(
    sqlite_store: SQLiteSessionStore, facts: SessionFacts
) -> None:
    facts = hand.write(sqlite_store, facts, QueueRemoved((2,)))
    with sqlite_store._db.conn as connection:
        connection.execute("UPDATE journal SET body = replace(body, '2', '3') WHERE session = 2 AND seq = 6")
    assert sqlite_store.outcome(facts.id, 2) is None
    with pytest.raises(StoreFormatError, match="entry 6"):
        sqlite_store.outcome(facts.id, 3)


def test_an_index_that_sqlite_finds_damaged_is_reported(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), *["text " * 100] * 200)
    sqlite_store.close()
    connection = sqlite3.connect(place)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal'").fetchone()
    connection.close()
    data = bytearray(place.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    place.write_bytes(data)
    store = SQLiteSessionStore(place)
    with pytest.raises(StoreFormatError, match="damaged"):
        store.load(facts.id)
    store.close()
