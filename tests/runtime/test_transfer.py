"""What goes out of a store as lines, and comes into another."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Entry, SessionFacts, SessionFilter, TurnMark
from greenroom.runtime.transfer import PAGE, TooLongToExportError, every_session, export_lines, import_lines
from greenroom.runtime.transfer_lines import SessionLine, facts_of_line, session_line
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.persistence import hand
from tests.runtime.stored_sessions import Stored, exported, put, sessions, untagged

SEVERAL = st.lists(sessions(), max_size=4, unique_by=lambda stored: stored[0].id)


def keyless(facts: SessionFacts) -> SessionFacts:
    """A row but for what is the store's own, and for the tag."""
    return msgspec.structs.replace(facts, key=0, tag="")


@settings(max_examples=40, deadline=None)
@given(SEVERAL)
def test_what_was_imported_is_exported_the_same_but_for_its_tags(stored: list[Stored]) -> None:
    source = InMemorySessionStore()
    put(source, stored)
    lines = exported(source)
    with TemporaryDirectory() as folder:
        target = SQLiteSessionStore(Path(folder) / "new.db")
        import_lines(target, lines)
        assert untagged(exported(target)) == untagged(lines)
        assert_alike(source, target)
        target.close()


def assert_alike(source: SessionStore, target: SessionStore) -> None:
    """Both stores answer the same to whoever looks, but for keys and tags."""
    everything = SessionFilter()
    ours, theirs = source.list(everything), target.list(everything)
    assert list(map(keyless, theirs)) == list(map(keyless, ours))
    assert not {facts.tag for facts in theirs} & {facts.tag for facts in ours}
    assert target.stats() == source.stats()
    for facts in ours:
        here, there = source.load(facts.id), target.load(facts.id)
        assert here is not None
        assert there is not None
        assert (there.context, there.pending) == (here.context, here.pending)
        assert list(target.entries(facts.id, 0, 99)) == list(source.entries(facts.id, 0, 99))
        assert list(target.epochs(facts.id, 99)) == list(source.epochs(facts.id, 99))
        assert list(target.history(facts.id, 1, None, 99)) == list(source.history(facts.id, 1, None, 99))
    for query in ("a", "0", "b 1"):
        hits = source.search(query, everything, None, 99)
        assert set(target.search(query, everything, None, 99)) == set(hits)


@given(sessions())
def test_every_fact_of_a_row_is_in_its_line(stored: Stored) -> None:
    facts, _ = stored
    line = session_line(facts)
    assert facts_of_line(line, facts.tag) == facts
    named = set(SessionLine.__struct_fields__) | {"key", "head_seq"}
    assert set(SessionFacts.__struct_fields__) <= named


def test_the_lines_can_be_read_by_people_and_other_programs() -> None:
    store = InMemorySessionStore()
    hand.write(store, hand.facts(title="Tea", turn=TurnMark("t9", 1, (1,))), "hello", pending=(1,))
    header, session, entry, end = map(json.loads, exported(store))
    assert header == {"line": "greenroom", "format": 1}
    assert (session["line"], session["id"], session["state"]) == ("session", "echo:web:ann", "active")
    assert session["created_at"] == "2027-01-15T08:00:00Z"
    assert (session["title"], session["pending"], session["turn"]["turn_id"]) == ("Tea", [1], "t9")
    assert entry == {
        "line": "entry",
        "seq": 1,
        "epoch": 1,
        "at": "2027-01-15T08:00:00Z",
        "tokens": 10,
        "body": {"kind": "message", "role": "user", "content": "hello"},
    }
    assert (end["line"], end["sessions"]) == ("end", 1)


def test_no_line_holds_a_character_that_a_terminal_obeys() -> None:
    store = InMemorySessionStore()
    put(
        store,
        [
            (
                hand.facts(title="\x9b2J", head_seq=1, message_count=1),
                (hand.entry(1, "\x1b[2J\x7f\x85 é\u2028"),),
            )
        ],
    )
    lines = exported(store)
    text = b"".join(lines).decode()
    assert not {c for c in text if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f")}
    target = InMemorySessionStore()
    import_lines(target, lines)
    assert untagged(exported(target)) == untagged(lines)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_all_sessions_are_exported_in_pages_however_their_times_of_creation_lie(
    kind: str, tmp_path: Path
) -> None:
    store = InMemorySessionStore() if kind == "memory" else SQLiteSessionStore(tmp_path / "many.db")
    at = [hand.NOW] * (PAGE + 50) + [hand.NOW + number**3 for number in range(3 * PAGE)]
    put(store, [(hand.facts(f"p{number}", at=time), ()) for number, time in enumerate(at)])
    names = list(every_session(store))
    assert len(names) == len(set(names)) == len(at)
    store.close()


def test_a_journal_longer_than_a_page_is_exported_whole() -> None:
    store = InMemorySessionStore()
    entries = tuple(hand.entry(seq, client_id=f"m{seq}") for seq in range(1, 2 * PAGE + 2))
    put(store, [(hand.facts(head_seq=len(entries)), entries)])
    target = InMemorySessionStore()
    (facts,) = import_lines(target, exported(store))
    assert tuple(target.entries(facts.id, 0, 9999)) == entries


class Busy(InMemorySessionStore):
    """A store that somebody else writes to between two pages of an export."""

    deletes = False
    again = False

    def entries(self, session: SessionID, after_seq: int, limit: int) -> list[Entry]:
        if after_seq:
            if self.deletes:
                self.delete(session)
            if self.again:
                put(self, [(hand.facts(head_seq=300), tuple(hand.entry(seq) for seq in range(1, 301)))])
        page = list(super().entries(session, after_seq, limit))
        stored = self.facts(session)
        if stored is not None and not self.deletes:
            hand.write(self, stored, "another")
        return page


def busy(**what: bool) -> Busy:
    store = Busy()
    vars(store).update(what)
    entries = tuple(hand.entry(seq, epoch=2) for seq in range(1, PAGE + 2))
    put(store, [(hand.facts(head_seq=PAGE + 1, epoch=2), entries), (hand.facts("bob"), ())])
    return store


def test_entries_that_come_while_a_session_is_exported_are_left_out() -> None:
    target = InMemorySessionStore()
    import_lines(target, exported(busy()))
    found = {facts.id.peer_id: facts.head_seq for facts in target.list(SessionFilter())}
    assert found == {"ann": PAGE + 1, "bob": 0}


@pytest.mark.parametrize("again", [False, True])
def test_a_session_that_is_deleted_while_it_is_exported_is_withdrawn(again: bool) -> None:  # noqa: FBT001
    lines = exported(busy(deletes=True, again=again))
    assert sum(b'"withdrawn"' in line for line in lines) == 1
    target = InMemorySessionStore()
    (facts,) = import_lines(target, lines)
    assert facts.id.peer_id == "bob"


def test_sessions_that_are_not_there_are_left_out() -> None:
    lines = list(export_lines(InMemorySessionStore(), [SessionID("no", "such", "session")]))
    assert json.loads(lines[-1])["sessions"] == 0
    assert import_lines(InMemorySessionStore(), lines) == []


def test_what_could_not_be_imported_again_is_not_exported() -> None:
    store = InMemorySessionStore()
    put(store, [(hand.facts(head_seq=1), (hand.entry(1, "x" * 2000),))])
    with pytest.raises(
        TooLongToExportError, match="echo:web:ann: entry 1: expected a line of at most 2000 bytes"
    ):
        list(export_lines(store, every_session(store), 2000))


def test_an_export_reads_no_further_than_it_is_asked() -> None:
    store = InMemorySessionStore()
    asked: list[SessionID] = []

    def names() -> Iterator[SessionID]:
        for facts in store.list(SessionFilter()):
            asked.append(facts.id)
            yield facts.id

    put(store, [(hand.facts(peer), ()) for peer in ("ann", "bob")])
    lines = export_lines(store, names())
    next(lines)
    assert asked == []
    next(lines)
    assert len(asked) == 1


def test_an_imported_session_goes_on_under_a_tag_of_its_own() -> None:
    store = InMemorySessionStore()
    hand.write(store, hand.facts(turn=TurnMark("t9", 1, (1,))), "hello", pending=(1,))
    lines = exported(store)
    tags: list[str] = []
    for _ in range(2):
        (facts,) = import_lines(store := InMemorySessionStore(), lines)
        tags.append(facts.tag)
        assert [row.id for row in store.unfinished(0, 9)] == [facts.id]
        assert hand.write(store, facts, "goes on").head_seq == 2
    assert len({*tags, "t1"}) == 3
