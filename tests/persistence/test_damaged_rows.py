"""A damaged row is named when its session is loaded, and is in no other session's way."""

from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.errors import StoreFormatError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Entry, Message, SessionFacts, SessionFilter, SessionState
from sqlite_utils.utils import sqlite3


def waiting(name: str) -> Append:
    """A new session with one message that waits for its turn."""
    facts = SessionFacts(
        id=SessionID("a", "b", name),
        tag="t",
        created_at=1,
        updated_at=1,
        last_active_at=1,
        head_seq=1,
        message_count=1,
        pending=(1,),
    )
    return Append(facts, 0, (Entry(1, 1, 1, Message("user", "hello")),))


def test_a_damaged_row_stops_neither_the_list_nor_the_recovery_of_others(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    store = SQLiteSessionStore(path)
    store.commit([waiting("one"), waiting("two"), waiting("three")])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE session SET pending = '[xx' WHERE peer_id = 'two'")
    other.close()
    assert [facts.id.peer_id for facts in store.list(SessionFilter())] == ["one", "three"]
    assert [facts.id.peer_id for facts in store.unfinished(0, 2)] == ["one", "three"]
    assert [facts.id.peer_id for facts in store.due(SessionState.ACTIVE, 9, 2)] == ["three", "one"]
    with pytest.raises(StoreFormatError, match="session row 2"):
        store.load(SessionID("a", "b", "two"))
    store.close()
