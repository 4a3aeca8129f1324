"""The rows of the API table about stores and what is asked of them."""

from typing import Final

from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.persistence.records import SessionFacts, SessionRecord
from greenroom.runtime import SessionFilter, SessionID, SessionState

from .api_place import NOBODY, Place, Row

EVERYONE: Final = SessionFilter()
A, B = SessionID("a", "b", "c"), SessionID("a", "b", "d")


def each(name: str) -> str:
    """A method of the contract and of both that keep it."""
    return f"SessionStore.{name} InMemorySessionStore.{name} SQLiteSessionStore.{name}"


def in_store(store: SessionStore, state: SessionState = SessionState.ACTIVE) -> SessionStore:
    for at, session in enumerate((A, B)):
        facts = SessionFacts(
            id=session, tag="t", state=state, created_at=at, updated_at=at, last_active_at=at
        )
        store.save(SessionRecord(facts))
    return store


def both(p: Place) -> list[SessionStore]:
    return [in_store(InMemorySessionStore()), in_store(SQLiteSessionStore(p.folder / "other.db"))]


def loaded(store: SessionStore, session: SessionID) -> SessionState | None:
    record = store.load(session)
    return None if record is None else record.facts.state


def closed(store: SessionStore) -> str:
    store.close()
    try:
        store.load(A)
    except Exception as exc:  # noqa: BLE001 - whichever it is
        return type(exc).__name__
    return "nothing"


async def listed(p: Place, where: SessionFilter) -> int:
    return len(await p.manager.list(where))


async def both_counts(p: Place, name: str, found: object, missed: object) -> tuple[int, int]:
    one, other = (SessionFilter(**{name: value}) for value in (found, missed))
    return await listed(p, one), await listed(p, other)


ROWS: Final = [
    Row(
        "SessionStore InMemorySessionStore SQLiteSessionStore NewInMemorySessionStore NewSQLiteSessionStore",
        "SessionStore InMemorySessionStore SQLiteSessionStore InMemorySessionStore SQLiteSessionStore",
        lambda p: [store.blocking for store in both(p)],
        [False, True],
    ),
    Row(
        f"{each('Save')} {each('Load')}",
        f"{each('save')} {each('load')}",
        lambda p: [(loaded(store, A), loaded(store, NOBODY)) for store in both(p)],
        [(SessionState.ACTIVE, None)] * 2,
    ),
    Row(
        each("Delete"),
        each("delete"),
        lambda p: [(s.delete(A), s.delete(A), loaded(s, A)) for s in both(p)],
        [(True, False, None)] * 2,
    ),
    Row(
        each("List"),
        each("list"),
        lambda p: [[facts.id for facts in store.list(EVERYONE)] for store in both(p)],
        [[B, A]] * 2,
    ),
    Row(
        each("Archive"),
        each("archive"),
        lambda p: [(store.archive(A), loaded(store, A)) for store in both(p)],
        [(True, SessionState.ARCHIVED)] * 2,
    ),
    Row(
        each("Close"),
        each("close"),
        lambda p: [closed(store) for store in both(p)],
        ["StoreClosedError"] * 2,
    ),
    *(
        Row(
            f"SessionFilter.{published}",
            f"SessionFilter.{here}",
            lambda p, here=here, found=found, missed=missed: both_counts(p, here, found, missed),
            (1, 0),
        )
        for published, here, found, missed in [
            ("AgentID", "agent_id", "echo", "none"),
            ("ChannelID", "channel_id", "app", "web"),
            ("PeerID", "peer_id", "ada", "bob"),
            ("State", "state", SessionState.ACTIVE, SessionState.IDLE),
            ("CreatedAfter", "created_after", 0, 2**60),
            ("CreatedBefore", "created_before", 2**60, 0),
            ("Offset", "offset", 0, 1),
        ]
    ),
    Row("SessionFilter.Limit", "SessionFilter.limit", lambda p: listed(p, SessionFilter(limit=1)), 1),
    Row("SessionFilter", "SessionFilter", lambda p: listed(p, EVERYONE), 1),
]
