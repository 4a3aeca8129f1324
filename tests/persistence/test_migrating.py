"""An older database is brought up to date whole, or stays what it was."""

import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore, migrations
from greenroom.persistence.errors import StoreFormatError, StoreOpenError
from greenroom.persistence.records import Append, SessionFacts, SessionFilter, SessionState
from greenroom.persistence.rows import journal_rows, mutable_values
from sqlite_utils import Database
from sqlite_utils.utils import sqlite3

from . import hand

FIRST_COLUMNS = (
    "id, agent_id, channel_id, peer_id, thread_id, created_at, state, epoch, head_seq, message_count, "
    "token_count, compaction_count, updated_at, last_active_at, compacted_at, tag, chain, pending, turn, "
    "title, tags, custom_data, system_prompt, summary"
)


def put(connection: sqlite3.Connection, append: Append) -> None:
    """Store a session's first append as the first schema had it."""
    facts, rows = append.facts, journal_rows(append)
    name = facts.id
    identity = (str(name), name.agent_id, name.channel_id, name.peer_id, name.thread_id, facts.created_at)
    values = (*identity, *mutable_values(facts, facts.head_seq, rows[-1][-1])[:-1])
    places = ", ".join("?" * len(values))
    key = connection.execute(f"INSERT INTO session ({FIRST_COLUMNS}) VALUES ({places})", values).lastrowid  # noqa: S608 - constants
    entries = [(key, *row) for row in rows]
    connection.executemany(f"INSERT INTO journal VALUES ({', '.join('?' * 10)})", entries)  # noqa: S608 - constants


@pytest.fixture
def old(place: Path) -> Iterator[list[SessionFacts]]:
    """The sessions of a database of the first schema at ``place``."""
    connection = sqlite3.connect(place)
    db = Database(connection, execute_plugins=False)
    db.enable_wal()
    migrations.MIGRATIONS.apply(db, stop_before="add_ends_and_search")
    states = {"ann": SessionState.ACTIVE, "bob": SessionState.ARCHIVED}
    rows = [hand.facts(peer, state=state, message_count=1) for peer, state in states.items()]
    for row in rows:
        put(connection, hand.append(row, hand.entry(1, f"hello {row.id.peer_id}")))
    connection.commit()
    db.close()
    place.chmod(0o600)
    yield rows
    assert not Path(f"{place}.before-2.creating").exists()


def texts(store: SQLiteSessionStore, facts: SessionFacts) -> list[str]:
    return [entry.body.content for entry in store.entries(facts.id, 0, 9)]  # type: ignore[union-attr]


def schema(place: Path) -> tuple[int, list[tuple[str, str]]]:
    with closing(sqlite3.connect(place)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return version, connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_p9_an_older_database_is_copied_and_brought_up_to_date(place: Path, old: list[SessionFacts]) -> None:
    before = schema(place)
    with closing(SQLiteSessionStore(place)) as store:
        ann, bob = sorted(store.list(SessionFilter()), key=lambda facts: facts.key)
        assert [texts(store, facts) for facts in (ann, bob)] == [["hello ann"], ["hello bob"]]
        assert (ann.archived_at, bob.archived_at) == (None, hand.NOW)
        assert list(store.due(SessionState.ARCHIVED, hand.NOW + 1, 9)) == [bob]
        assert store.stats().total_sessions == len(old)
        assert store.index_messages(9) == 2
        assert len(store.search("hello", SessionFilter(), None, 9)) == 2
        assert hand.write(store, ann, "again").head_seq == 2
        with closing(SQLiteSessionStore(place, readonly=True)) as reader:
            assert reader.facts(bob.id) == bob
    copy = Path(f"{place}.before-2")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert schema(copy) == before
    assert schema(place)[0] == 2
    made = place.with_name("made.db")
    SQLiteSessionStore(made).close()
    assert schema(place) == schema(made)
    with closing(SQLiteSessionStore(copy)) as store:
        assert texts(store, old[0]) == ["hello ann"]


@pytest.mark.usefixtures("old")
def test_p9_a_step_that_fails_leaves_the_old_schema_and_data(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema(place)
    for number in range(1, len(migrations._ENDS_AND_SEARCH) + 1):
        steps = (*migrations._ENDS_AND_SEARCH[:number], "CREATE TABLE session (x)")
        with monkeypatch.context() as broken:
            broken.setattr(migrations, "_ENDS_AND_SEARCH", steps)
            with pytest.raises(StoreOpenError, match="to schema 2: table session already exists"):
                SQLiteSessionStore(place)
        assert schema(place) == before
    with closing(SQLiteSessionStore(place)) as store:
        assert store.stats().total_sessions == 2


@pytest.mark.usefixtures("old")
def test_p9_a_kill_at_any_call_leaves_the_old_or_the_new_schema_whole(place: Path) -> None:
    original = place.read_bytes()
    SQLiteSessionStore(place).close()  # fills caches, with calls that come once only
    found = set[int]()
    calls, step = 0, 0
    while len(found) < 2 or step < 3:
        for side in place.parent.iterdir():
            side.unlink()
        place.write_bytes(original)
        calls += 7
        hand.die_at(calls, partial(SQLiteSessionStore, place))
        version, _ = schema(place)
        step += version == 2
        found.add(version)
        with closing(SQLiteSessionStore(place)) as store:
            assert store.stats().total_sessions == 2
            assert [hit.seq for hit in store.search("hello", SessionFilter(), None, 9)] == [1, 1]
        left = {side.name.removeprefix(place.name) for side in place.parent.iterdir()}
        assert left == {"", ".lock", ".before-2"}
    assert found == {1, 2}


@pytest.mark.usefixtures("old")
def test_p9_without_a_copy_nothing_is_changed(place: Path) -> None:
    before = schema(place)
    Path(f"{place}.before-2").mkdir()
    with pytest.raises(StoreOpenError, match="cannot copy"):
        SQLiteSessionStore(place)
    assert schema(place) == before
    Path(f"{place}.before-2").rmdir()
    Path(f"{place}.before-2.creating").unlink()
    SQLiteSessionStore(place).close()


@pytest.mark.usefixtures("old")
def test_p8_an_older_database_is_not_read_as_it_is(place: Path) -> None:
    sentence = r"schema 1 is older than this program \(2\); opening it for writing brings it up to date$"
    with pytest.raises(StoreFormatError, match=sentence):
        SQLiteSessionStore(place, readonly=True)
    assert schema(place)[0] == 1


@pytest.mark.usefixtures("old")
def test_p8_an_older_database_that_is_not_whole_is_refused_and_not_copied(place: Path) -> None:
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("DROP INDEX journal_turns")
    with pytest.raises(StoreFormatError, match="expected our 'journal_turns' in the schema, met none"):
        SQLiteSessionStore(place)
    assert schema(place)[0] == 1
    assert not Path(f"{place}.before-2").exists()
