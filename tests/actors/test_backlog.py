"""What an attaching subscriber has missed: every event, or a snapshot, and where the line lies."""

import pytest
from greenroom.actors.backlog import ENVELOPE, MAX_BYTES, MAX_EVENTS, MAX_MESSAGES, find_backlog
from greenroom.actors.commands import Snapshot
from greenroom.actors.conversation import epoch_string
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reads import Reads
from greenroom.persistence import SessionStore
from greenroom.persistence.records import Append, Body, Entry, Message, SessionFacts, TurnFinished

from tests.actors.faults import RefusesReads
from tests.actors.hand import ANN, contents


def stored(store: SessionStore, *bodies: Body) -> SessionFacts:
    entries = tuple(Entry(seq, 1, 0, body) for seq, body in enumerate(bodies, 1))
    facts = SessionFacts(
        id=ANN, tag="tag", created_at=0, updated_at=0, last_active_at=0, head_seq=len(entries)
    )
    (answer,) = store.commit([Append(facts, 0, entries)])
    assert isinstance(answer, SessionFacts)
    return answer


def messages(count: int, size: int = 1) -> list[Body]:
    return [Message("user", f"{number}".ljust(size, ".")) for number in range(count)]


async def backlog(
    store: SessionStore, facts: SessionFacts, seq: int, epoch: str | None = None
) -> tuple[Entry, ...] | Snapshot:
    return await find_backlog(Reads(store), facts, (epoch or epoch_string(facts), seq))


async def test_p23_every_event_after_the_position_is_told_once_in_order(store: SessionStore) -> None:
    facts = stored(store, *messages(3), TurnFinished((1,), "end_turn"), *messages(2))
    for seq in range(7):
        missed = await backlog(store, facts, seq)
        assert not isinstance(missed, Snapshot)
        assert [entry.seq for entry in missed] == list(range(seq + 1, 7))


async def test_a_gap_of_300_events_is_told_and_one_more_is_a_snapshot(memory: SessionStore) -> None:
    facts = stored(memory, *messages(MAX_EVENTS + 1))
    missed = await backlog(memory, facts, 1)
    assert not isinstance(missed, Snapshot)
    assert len(missed) == MAX_EVENTS == 300
    snapshot = await backlog(memory, facts, 0)
    assert isinstance(snapshot, Snapshot)
    assert contents(snapshot.messages) == [str(number) for number in range(101, 301)]
    assert snapshot.more


async def test_a_gap_of_512_kib_is_told_and_a_byte_more_is_a_snapshot(memory: SessionStore) -> None:
    overhead = ENVELOPE + len(str(ANN)) + len('{"kind":"message","role":"user","content":""}')
    fitting = MAX_BYTES // 4 - overhead
    facts = stored(memory, *messages(4, fitting))
    assert not isinstance(await backlog(memory, facts, 0), Snapshot)
    facts = stored(other := type(memory)(), *messages(3, fitting), *messages(1, fitting + 1))
    snapshot = await backlog(other, facts, 0)
    assert isinstance(snapshot, Snapshot)
    assert [entry.seq for entry in snapshot.messages] == [2, 3, 4]
    assert snapshot.more


@pytest.mark.parametrize(("seq", "epoch"), [(5, None), (9, None), (2, "1-other"), (2, "2-tag")])
async def test_p23_a_position_that_is_not_in_this_epoch_gets_a_snapshot(
    store: SessionStore, seq: int, epoch: str | None
) -> None:
    facts = stored(store, *messages(3), TurnFinished((1,), "end_turn"))
    snapshot = await backlog(store, facts, seq, epoch)
    assert isinstance(snapshot, Snapshot)
    assert contents(snapshot.messages) == ["0", "1", "2"]
    assert not snapshot.more


async def test_without_a_position_the_newest_200_messages_are_told(memory: SessionStore) -> None:
    for count, more in ((MAX_MESSAGES, False), (MAX_MESSAGES + 1, True)):
        store = type(memory)()
        facts = stored(store, *messages(count))
        snapshot = await find_backlog(Reads(store), facts, None)
        assert isinstance(snapshot, Snapshot)
        assert [entry.seq for entry in snapshot.messages] == list(range(count - 199, count + 1))
        assert snapshot.more is more


async def test_one_message_is_told_however_large(memory: SessionStore) -> None:
    facts = stored(memory, *messages(2, MAX_BYTES))
    snapshot = await find_backlog(Reads(memory), facts, None)
    assert isinstance(snapshot, Snapshot)
    assert ([entry.seq for entry in snapshot.messages], snapshot.more) == ([2], True)


async def test_an_empty_session_has_an_empty_snapshot(store: SessionStore) -> None:
    facts = stored(store)
    assert await find_backlog(Reads(store), facts, None) == Snapshot((), more=False)
    assert await backlog(store, facts, 0) == ()


async def test_a_store_that_cannot_be_read_is_unavailable(memory: SessionStore) -> None:
    facts = stored(memory, *messages(1))
    store = RefusesReads(memory)
    store.failing = True
    with pytest.raises(UnavailableError):
        await find_backlog(Reads(store), facts, None)
