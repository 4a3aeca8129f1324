"""Whole sessions come in together or not at all."""

from collections.abc import Iterator

import msgspec
import pytest
from greenroom.persistence import SessionStore
from greenroom.persistence.errors import SessionExistsError, StoreError, UnstorableError
from greenroom.persistence.records import Message, SessionFacts, SessionFilter, SessionImport

from . import hand


def exported(store: SessionStore, *peers: str) -> list[SessionImport]:
    """Sessions with three entries each, as another store would give them."""
    sessions: list[SessionImport] = []
    for peer in peers:
        facts = hand.write(store, hand.facts(peer), f"I am {peer}", hand.finished(1), "bye", pending=(3,))
        sessions.append(SessionImport(facts, tuple(store.entries(facts.id, 0, 9))))
        assert store.delete(facts.id)
    return sessions


def listed(store: SessionStore) -> list[str]:
    return sorted(facts.id.peer_id for facts in store.list(SessionFilter()))


def test_what_was_exported_comes_back_the_same(store: SessionStore) -> None:
    sessions = exported(store, "ann", "bob")
    stored = store.import_sessions(iter(sessions))
    for session, facts in zip(sessions, stored, strict=True):
        assert facts.key > session.facts.key
        assert facts == msgspec.structs.replace(session.facts, key=facts.key)
        assert store.facts(facts.id) == facts
        assert tuple(store.entries(facts.id, 0, 9)) == session.entries
        assert hand.write(store, facts, "goes on").head_seq == 4
    assert [hit.seq for hit in store.search("bye", SessionFilter(), None, 9)] == [3, 3]


def refused(sessions: list[SessionImport]) -> dict[str, tuple[list[SessionImport], type[Exception]]]:
    ann, bob = sessions
    text = msgspec.structs.replace(bob.entries[0], body=Message("user", "I am not bob"))
    bad = hand.facts("cy", title="\ud800")
    twice = (hand.entry(1, client_id="m"), hand.entry(2, client_id="m"))
    return {
        "a text that was changed": (
            [ann, SessionImport(bob.facts, (text, *bob.entries[1:]))],
            UnstorableError,
        ),
        "an entry that is missing": ([ann, SessionImport(bob.facts, bob.entries[1:])], UnstorableError),
        "entries of another session": ([ann, SessionImport(bob.facts, ann.entries)], UnstorableError),
        "a session that comes twice": ([ann, bob, ann], SessionExistsError),
        "a text no store can keep": ([ann, SessionImport(bad)], UnstorableError),
        "a client id that comes twice": (
            [ann, SessionImport(hand.facts("cy", head_seq=2), twice)],
            UnstorableError,
        ),
    }


@pytest.mark.parametrize("what", refused([SessionImport(hand.facts(), (hand.entry(1),))] * 2))
def test_an_import_with_one_bad_session_stores_none(store: SessionStore, what: str) -> None:
    batch, error = refused(exported(store, "ann", "bob"))[what]
    with pytest.raises(error):
        store.import_sessions(batch)
    assert listed(store) == []
    assert list(store.search("am", SessionFilter(), None, 9)) == []


def test_a_stored_session_is_not_overwritten(store: SessionStore) -> None:
    sessions = exported(store, "ann", "bob")
    bob = hand.write(store, hand.facts("bob"), "I was first")
    with pytest.raises(SessionExistsError, match="echo:web:bob: expected a new session, met a stored one"):
        store.import_sessions(sessions)
    assert listed(store) == ["bob"]
    assert store.facts(bob.id) == bob


def test_an_import_whose_source_fails_stores_nothing(store: SessionStore) -> None:
    sessions = exported(store, "ann")

    def lines() -> Iterator[SessionImport]:
        yield from sessions
        raise ValueError("line 2: expected JSON")

    with pytest.raises(ValueError, match="line 2"):
        store.import_sessions(lines())
    assert listed(store) == []


def test_without_a_chain_the_entries_are_taken_as_they_are(store: SessionStore) -> None:
    (session,) = exported(store, "ann")
    bare = msgspec.structs.replace(session, facts=msgspec.structs.replace(session.facts, chain=b""))
    (facts,) = store.import_sessions([bare])
    assert facts.chain == session.facts.chain
    assert list(store.import_sessions([])) == []


def test_an_import_of_many_sessions_is_as_good_as_appends(store: SessionStore) -> None:
    sessions = [SessionImport(hand.facts(f"p{n}", head_seq=1), (hand.entry(1),)) for n in range(300)]
    rows = store.import_sessions(sessions)
    assert len({facts.key for facts in rows}) == 300
    answers: list[SessionFacts | StoreError] = list(
        store.commit([hand.append(facts, hand.entry(2)) for facts in rows])
    )
    assert all(isinstance(answer, SessionFacts) for answer in answers)
