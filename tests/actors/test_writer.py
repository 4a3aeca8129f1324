"""The persistence actor: nothing is answered before COMMIT, and everybody is answered."""

import msgspec
import pytest
import trio
from greenroom.actors.commit_thread import MAX_BATCH
from greenroom.actors.committing import Committed
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reports import CommitFailed
from greenroom.actors.writer import Writer
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import (
    DuplicateClientIdError,
    StaleHeadError,
    StoreClosedError,
)
from greenroom.persistence.records import (
    Append,
    Ending,
    EndReason,
    Entry,
    Message,
    SessionEnded,
    TurnFinished,
)
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import CountsBatches, HoldsCommits, RefusesCommits
from tests.actors.hand import ANN, BOB, Reports, sid
from tests.actors.writing import first, more, writing


async def append_all(writer: Writer, appends: list[Append]) -> dict[str, object]:
    """What each append was answered, by the peer of its session; all of them wait at once."""
    answers: dict[str, object] = {}

    async def one(append: Append) -> None:
        try:
            answers[append.facts.id.peer_id] = await writer.append(append)
        except Exception as error:  # noqa: BLE001 - it is the answer
            answers[append.facts.id.peer_id] = error

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for append in appends:
                nursery.start_soon(one, append)
    return answers


async def test_an_append_is_answered_with_the_row_and_entries_as_stored(store: SessionStore) -> None:
    async with writing(store) as writer:
        committed = await writer.append(first(ANN, "one", "two words"))
        assert store.facts(ANN) == committed.facts
        assert tuple(store.entries(ANN, 0, 10)) == committed.entries


async def test_tokens_are_counted_once_and_summed_into_the_row(store: SessionStore) -> None:
    async with writing(store) as writer:
        committed = await writer.append(first(ANN, "one", "two words"))
        assert [entry.tokens for entry in committed.entries] == [1, 2]
        assert committed.facts.token_count == 3
        committed = await writer.append(more(committed.facts, "and three more"))
        assert committed.facts.token_count == 6
        facts = msgspec.structs.replace(committed.facts, head_seq=4)
        finished = Entry(4, 1, 0, TurnFinished((1,), "end_turn"))
        committed = await writer.append(Append(facts, 3, (finished,)))
        assert (committed.entries[0].tokens, committed.facts.token_count) == (0, 6)


async def test_the_last_words_of_an_epoch_count_for_the_end_and_not_for_the_new_row(
    store: SessionStore,
) -> None:
    async with writing(store) as writer:
        before = (await writer.append(first(ANN, "two words"))).facts
        last = Entry(2, 1, 0, Message("assistant", "cut off there"))
        ended = Entry(3, 1, 0, SessionEnded(EndReason.NEW, "e1", 2))
        greeting = Entry(4, 2, 0, Message("user", "hello"))
        after = msgspec.structs.replace(before, epoch=2, head_seq=4, token_count=0)
        ending = Ending("e1", ANN, EndReason.NEW, 0, before)
        answer = await writer.append(Append(after, 1, (last, ended, greeting), ending))
        assert answer.facts.token_count == 1
        ((_, kept),) = store.endings(0, 9)
        assert kept.facts.token_count == 5


async def test_an_end_without_entries_and_a_removal_reach_the_store_as_they_are(store: SessionStore) -> None:
    async with writing(store) as writer:
        facts = (await writer.append(first(ANN, "two words"))).facts
        ending = Ending("e1", ANN, EndReason.DELETE, 0, facts)
        assert (await writer.append(Append(facts, 1, ending=ending, removes=True))).facts == facts
        assert [one for _, one in store.endings(0, 9)] == [ending]
        assert store.facts(ANN) is None


async def test_a_group_commit_takes_everything_that_waits_and_never_waits_for_more(
    sqlite: SQLiteSessionStore,
) -> None:
    store = HoldsCommits(sqlite)
    async with writing(store) as writer, trio.open_nursery() as nursery:
        nursery.start_soon(writer.append, first(ANN, "alone"))
        await trio.to_thread.run_sync(store.entered.wait)
        for number in range(20):
            nursery.start_soon(writer.append, first(sid(number), "together"))
        await wait_all_tasks_blocked()
        store.gate.set()
    assert store.sizes == [1, 20]
    assert (writer.commits, writer.appends) == (2, 21)


async def test_a_batch_has_a_limit(sqlite: SQLiteSessionStore) -> None:
    store = HoldsCommits(sqlite)
    async with writing(store) as writer, trio.open_nursery() as nursery:
        nursery.start_soon(writer.append, first(ANN, "alone"))
        await trio.to_thread.run_sync(store.entered.wait)
        for number in range(MAX_BATCH + 5):
            nursery.start_soon(writer.append, first(sid(number)))
        await wait_all_tasks_blocked()
        store.gate.set()
    assert store.sizes == [1, MAX_BATCH, 5]


async def test_p1_nobody_is_answered_before_the_commit_has_returned(sqlite: SQLiteSessionStore) -> None:
    store, answers = HoldsCommits(sqlite), list[Committed]()

    async with writing(store) as writer, trio.open_nursery() as nursery:

        async def append() -> None:
            answers.append(await writer.append(first(ANN, "hello")))

        nursery.start_soon(append)
        await trio.to_thread.run_sync(store.entered.wait)
        await wait_all_tasks_blocked()
        assert answers == []
        assert sqlite.facts(ANN) is None
        store.gate.set()
    assert [committed.facts.id for committed in answers] == [ANN]


async def test_each_misfit_of_a_batch_fails_alone_and_its_caller_learns_why(store: SessionStore) -> None:
    async with writing(store) as writer:
        ann = (await writer.append(first(ANN, "hello", client_id="a"))).facts
        bob = (await writer.append(first(BOB, "hello", client_id="b"))).facts
        stale = more(msgspec.structs.replace(bob, head_seq=7), "from nowhere")
        answers = await append_all(writer, [more(ann, "again", "a"), stale, first(sid(1), "fits")])
    duplicate = answers["ann"]
    assert isinstance(duplicate, DuplicateClientIdError)
    assert duplicate.entry.seq == 1
    assert isinstance(answers["bob"], StaleHeadError)
    assert isinstance(answers["peer1"], Committed)


async def test_p7_a_refused_commit_is_unavailable_and_reported_and_later_ones_are_stored(
    store: SessionStore,
) -> None:
    failing, reports = RefusesCommits(store, lambda _: True), Reports()
    async with writing(failing, reports) as writer:
        with pytest.raises(UnavailableError) as caught:
            await writer.append(first(ANN, "lost"))
        assert caught.value.retry_after == 1.0
        assert store.facts(ANN) is None
        failing.refuses = lambda _: False
        await writer.append(first(ANN, "kept"))
        assert store.facts(ANN) is not None
    assert reports == [CommitFailed(1, "disk full")]


async def test_closing_finishes_what_waits_and_closes_the_store(sqlite: SQLiteSessionStore) -> None:
    store, answers = HoldsCommits(sqlite), list[Committed]()
    async with writing(store) as writer, trio.open_nursery() as nursery:

        async def append(number: int) -> None:
            answers.append(await writer.append(first(sid(number), "in time")))

        nursery.start_soon(append, 0)
        await trio.to_thread.run_sync(store.entered.wait)
        for number in range(1, 10):
            nursery.start_soon(append, number)
        await wait_all_tasks_blocked()
        nursery.start_soon(writer.close)
        await wait_all_tasks_blocked()
        with pytest.raises(UnavailableError, match="expected it open, met it closed"):
            await writer.append(first(ANN, "too late"))
        store.gate.set()
    assert len(answers) == 10
    with pytest.raises(StoreClosedError):
        store.commit([])


async def test_closing_is_idempotent(store: SessionStore) -> None:
    async with writing(store) as writer:
        await writer.append(first(ANN, "hello"))
        await writer.close()
        await writer.close()


async def test_a_caller_that_is_cancelled_does_not_stop_its_commit(sqlite: SQLiteSessionStore) -> None:
    store = HoldsCommits(sqlite)
    async with writing(store) as writer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.append, first(ANN, "hello"))
            await trio.to_thread.run_sync(store.entered.wait)
            nursery.cancel_scope.cancel()
        store.gate.set()
        await writer.append(first(BOB, "next"))
        assert sqlite.facts(ANN) is not None


async def test_a_store_that_never_blocks_is_written_at_once_without_a_thread(memory: SessionStore) -> None:
    store = CountsBatches(memory)
    async with writing(store) as writer:
        await append_all(writer, [first(sid(number), "hello") for number in range(3)])
    assert store.sizes == [1, 1, 1]
