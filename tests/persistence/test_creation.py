"""A database appears whole or not at all."""

import sys
from functools import partial
from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.creation import create
from greenroom.persistence.errors import StoreFormatError, StoreOpenError
from sqlite_utils.utils import sqlite3

from . import hand


def calls_to_create(place: Path) -> int:
    count = 0

    def watch(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        create(place)
    finally:
        sys.setprofile(before)
    return count - 1  # the last is that of setprofile


def test_p2_a_kill_at_any_call_leaves_no_database_or_a_whole_one(tmp_path: Path) -> None:
    for name in ("first.db", "count.db"):  # the first fills caches, with calls that come once only
        last = calls_to_create(tmp_path / name)
        (tmp_path / name).unlink()
    found_there = set[bool]()
    for call in (*range(1, last, last // 40), *range(last - 12, last)):
        place = tmp_path / f"{call}.db"
        hand.die_at(call, partial(create, place))
        found_there.add(place.exists())
        store = SQLiteSessionStore(place)
        assert hand.write(store, hand.facts(), "hello").head_seq == 1
        store.close()
        assert sorted(found.name for found in tmp_path.iterdir()) == [place.name, f"{place.name}.lock"]
        for found in tmp_path.iterdir():
            found.unlink()
    assert found_there == {False, True}


def test_what_lies_beside_is_not_taken_for_the_new_databases_log(place: Path) -> None:
    log = Path(f"{place}-wal")
    log.write_bytes(b"somebody's messages")
    with pytest.raises(StoreFormatError, match=r"its log greenroom\.db-wal is there"):
        SQLiteSessionStore(place)
    assert log.read_bytes() == b"somebody's messages"
    assert not place.exists()


def test_a_creation_that_fails_is_reported(place: Path) -> None:
    Path(f"{place}.creating").mkdir()
    with pytest.raises(StoreOpenError, match="cannot create"):
        SQLiteSessionStore(place)
    Path(f"{place}.creating").rmdir()
    SQLiteSessionStore(place).close()


def test_a_new_database_says_whose_it_is(place: Path) -> None:
    SQLiteSessionStore(place).close()
    assert place.read_bytes()[68:72] == b"GRNR"
    connection = sqlite3.connect(place)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    strict = "SELECT name, strict FROM pragma_table_list WHERE name IN ('session', 'journal') ORDER BY name"
    assert connection.execute(strict).fetchall() == [("journal", 1), ("session", 1)]
    connection.close()
