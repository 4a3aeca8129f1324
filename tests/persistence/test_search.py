"""A search takes its query as words and nothing else, and both stores find the same."""

from pathlib import Path

import pytest
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import StoreFormatError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Hit, SessionFilter, SessionState
from greenroom.persistence.search import MAX_QUERY_WORDS, snippet, words
from hypothesis import given
from hypothesis import strategies as st

from . import hand

ALL = SessionFilter()
ANN, BOB = SessionID("echo", "web", "ann"), SessionID("echo", "web", "bob")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The quick, QUICK fox_trot 2x", ["the", "quick", "fox", "trot", "2x"]),
        ("Crème brûlée", ["creme", "brulee"]),
        ("cre\u0300me", ["creme"]),
        ("Straße STRASSE", ["strasse"]),
        ("ﬁle İstanbul", ["file", "istanbul"]),
        ("Ωμέγα", ["ωμεγα"]),
        ("東京タワーへ go", [*"東京タワ", "ー", "へ", "go"]),
        ("हिन्दी", ["हनद"]),
        ("👩‍👩‍👧 \0 -- ", []),
        ("x" * 70, ["x" * 64]),
    ],
)
def test_words_are_cut_in_one_way(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_the_words_of_words_are_those_words(text: str) -> None:
    once = words(text)
    assert words(" ".join(once)) == once


def seqs(
    store: SessionStore, query: str, where: SessionFilter = ALL, only: SessionID | None = None
) -> list[int]:
    return [hit.seq for hit in store.search(query, where, only, 99)]


def index(store: SessionStore, limit: int) -> None:
    while store.index_messages(limit):
        pass


@pytest.mark.parametrize("indexed", [False, True])
def test_the_query_is_text_and_the_newest_comes_first(store: SessionStore, indexed: bool) -> None:  # noqa: FBT001 - a parameter
    hand.write(store, hand.facts(), "one two", 'NEAR(one two) "three*', "two: three", "ONE", hand.finished(1))
    if indexed:
        index(store, 2)
    assert seqs(store, "one") == [4, 2, 1]
    assert seqs(store, "two one") == [2, 1]
    assert seqs(store, '"one two"') == [2, 1]
    assert seqs(store, "NEAR(") == [2]
    assert seqs(store, "thr*") == seqs(store, "one OR four") == seqs(store, "session") == []
    assert seqs(store, "three AND") == seqs(store, "") == seqs(store, '"*-') == []
    assert seqs(store, "words:two") == []
    assert seqs(store, "_1") == seqs(store, "\ud800") == []
    assert seqs(store, " ".join(["one"] + [f"x{n}" for n in range(99)])) == []
    assert list(store.search("one", ALL, None, 0)) == []
    (newest,) = store.search("one", ALL, None, 1)
    assert newest == Hit(ANN, 1, 4, "ONE")


@pytest.mark.parametrize("indexed", [False, True])
def test_a_search_stays_within_its_sessions(store: SessionStore, indexed: bool) -> None:  # noqa: FBT001 - a parameter
    ann = hand.write(store, hand.facts("ann"), "red")
    hand.write(store, hand.facts("bob"), "blue", "red")
    index(store, 99)
    hand.write(store, ann, "red again", epoch=2)
    if indexed:
        index(store, 99)
    assert seqs(store, "red") == [2, 2, 1]
    assert seqs(store, "red", only=ANN) == [2, 1]
    assert seqs(store, "red", only=BOB) == [2]
    assert seqs(store, "red", only=SessionID("echo", "web", "cy")) == []
    assert seqs(store, "red", SessionFilter(peer_id="bob")) == [2]
    assert seqs(store, "red", SessionFilter(peer_id="bob"), ANN) == []
    assert seqs(store, "red", SessionFilter(agent_id="echo", channel_id="web")) == [2, 2, 1]
    assert (
        seqs(store, "red", SessionFilter(agent_id="web"))
        == seqs(store, "red", SessionFilter(peer_id="\ud800"))
        == []
    )
    assert seqs(store, "red", SessionFilter(state=SessionState.IDLE)) == []
    assert [hit.epoch for hit in store.search("red", ALL, ANN, 9)] == [2, 1]


def test_a_removed_session_is_not_found_and_its_place_is_indexed_again(
    sqlite_store: SQLiteSessionStore,
) -> None:
    ann = hand.write(sqlite_store, hand.facts("ann"), "red")
    bob = hand.write(sqlite_store, hand.facts("bob"), "red", "red")
    index(sqlite_store, 9)
    assert sqlite_store.delete(bob.id)
    assert [hit.session for hit in sqlite_store.search("red", ALL, None, 9)] == [ann.id]
    (left,) = sqlite_store._db.conn.execute("SELECT count(*) FROM search").fetchone()
    assert left == 1
    cy = hand.write(sqlite_store, hand.facts("cy"), "red")
    index(sqlite_store, 9)
    assert [hit.session for hit in sqlite_store.search("red", ALL, None, 9)] == [cy.id, ann.id]


def test_the_index_is_durable_and_goes_on_where_it_stopped(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), *["red"] * 5)
    assert [sqlite_store.index_messages(n) for n in (3, 0, -1)] == [3, 0, 0]
    sqlite_store.close()
    again = SQLiteSessionStore(place)
    assert seqs(again, "red") == [5, 4, 3, 2, 1]
    assert [again.index_messages(9), again.index_messages(9)] == [2, 0]
    assert seqs(again, "red") == [5, 4, 3, 2, 1]
    connection = again._db.conn
    connection.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    connection.rollback()
    hand.write(again, facts, "red")
    assert seqs(again, "red")[0] == 6
    again.close()


def test_more_hits_than_one_page_are_found(sqlite_store: SQLiteSessionStore) -> None:
    hand.write(sqlite_store, hand.facts(), *["red"] * 600)
    sqlite_store.index_messages(300)
    found = sqlite_store.search("red", ALL, None, 1000)
    assert [hit.seq for hit in found] == list(range(600, 0, -1))


def test_damage_is_told_where_it_is_found_and_nowhere_else(sqlite_store: SQLiteSessionStore) -> None:
    hand.write(sqlite_store, hand.facts("ann"), "red", "blue")
    hand.write(sqlite_store, hand.facts("bob"), "green")
    with sqlite_store._db.conn as connection:
        connection.execute("UPDATE journal SET body = '{' WHERE seq = 2")
        connection.execute("UPDATE journal SET body = replace(body, 'red', 'rod')")
    assert len(sqlite_store.search("green", ALL, None, 9)) == 1
    with pytest.raises(StoreFormatError, match="the hash of entry 1 does not fit"):
        sqlite_store.search("rod", ALL, None, 9)
    assert sqlite_store.index_messages(9) == 3


def test_a_snippet_shows_the_first_word_found_with_what_is_around_it() -> None:
    assert snippet("a  short\ntext", ["short"]) == "a short text"
    long = "x " * 100 + "Näedle, " + "y " * 100
    cut = snippet(long, ["naedle"])
    assert cut.startswith("…x x")
    assert "Näedle, y" in cut
    assert cut.endswith("y…")
    assert len(cut) <= 162
    assert snippet("京" * 300, ["absent"]) == "京" * 160 + "…"


def test_a_query_has_a_bounded_number_of_words(store: SessionStore) -> None:
    many = [f"w{n}" for n in range(MAX_QUERY_WORDS)]
    hand.write(store, hand.facts(), " ".join(many))
    index(store, 9)
    assert seqs(store, " ".join([*many, "unheard"])) == [1]
