"""The writer's thread dies, is replaced, dies again: everybody is answered, and what is acked is stored."""

from collections.abc import Sequence
from contextlib import closing

import pytest
import trio
from greenroom.actors.actor_reports import ActorCrashed
from greenroom.actors.commit_thread import MAX_BATCH
from greenroom.actors.committing import Committed
from greenroom.actors.errors import SupervisorFailedError, UnavailableError
from greenroom.actors.reports import CommitFailed, WriterDied
from greenroom.actors.services import PERIOD, keep_writing, open_services
from greenroom.actors.writer import ThreadDied, Writer, WriterFailedError
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import StoreUnavailableError
from greenroom.persistence.records import Append
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.faults import Around, DiesInCommit, HoldsCommits, says
from tests.actors.hand import ANN, BOB, Reports, journal, sid
from tests.actors.writing import first, more, writing


class Panic(BaseException):
    """What a native extension raises past every ``except Exception``."""


LOST = "writer: expected a commit, met the writer's end; the outcome is unknown"

each_way_to_die = pytest.mark.parametrize(
    "error", [RuntimeError("broken"), Panic("panic"), SystemExit(3)], ids=type
)


async def settle(writer: Writer, append: Append, answers: dict[str, object]) -> None:
    """Note what an append is answered, by the peer of its session."""
    peer = append.facts.id.peer_id
    try:
        answers[peer] = await writer.append(append)
    except UnavailableError as refusal:
        answers[peer] = str(refusal.__cause__ or refusal)


@each_way_to_die
async def test_f16_of_a_dying_thread_what_it_had_in_hand_is_answered_and_the_next_one_writes_the_rest(
    sqlite: SQLiteSessionStore, error: BaseException
) -> None:
    store, answers, reports = (
        HoldsCommits(DiesInCommit(sqlite, error, says("kills"))),
        dict[str, object](),
        Reports(),
    )
    with trio.fail_after(10):
        async with writing(store, reports) as writer:
            async with trio.open_nursery() as callers:
                callers.start_soon(settle, writer, first(ANN, "this one is kept"), answers)
                await trio.to_thread.run_sync(store.entered.wait)
                callers.start_soon(settle, writer, first(BOB, "this one kills"), answers)
                await wait_all_tasks_blocked()
                for number in range(MAX_BATCH + 10):
                    callers.start_soon(settle, writer, first(sid(number), "waits"), answers)
                await wait_all_tasks_blocked()
                store.gate.set()
            await writer.append(first(sid(-1), "and on"))
    lost = [answer for answer in answers.values() if answer == LOST]
    kept = [answer for answer in answers.values() if isinstance(answer, Committed)]
    assert isinstance(answers["ann"], Committed)
    assert answers["bob"] == LOST
    assert (len(lost), len(kept)) == (MAX_BATCH, 1 + 11)
    died = reports.of(WriterDied)
    assert [report.error for report in died if isinstance(report, WriterDied)] == [type(error).__name__]
    assert reports.of(CommitFailed) == [CommitFailed(MAX_BATCH, LOST)]
    assert len(reports.of(ActorCrashed)) == 1


@each_way_to_die
async def test_f16_a_thread_that_dies_again_is_given_up_and_everybody_is_answered_at_once(
    sqlite: SQLiteSessionStore, error: BaseException
) -> None:
    store, answers = HoldsCommits(DiesInCommit(sqlite, error, says("kills"))), dict[str, object]()
    store.gate.set()

    async def live() -> None:
        writer = Writer(store, len, Reports())
        async with open_services(Reports()) as services:
            await keep_writing(services, writer)
            await settle(writer, first(ANN, "this one is kept"), answers)
            await settle(writer, first(sid(1), "kills"), answers)
            await settle(writer, first(BOB, "this one too"), answers)
            with trio.CancelScope(shield=True):  # a host's own code, which will not be cut off
                store.gate.clear()
                store.entered.clear()
                async with trio.open_nursery() as callers:
                    callers.start_soon(settle, writer, first(sid(2), "kills"), answers)
                    await trio.to_thread.run_sync(store.entered.wait)
                    for number in range(3, 9):
                        callers.start_soon(settle, writer, first(sid(number), "waits"), answers)
                    await wait_all_tasks_blocked()
                    store.gate.set()
                await settle(writer, first(sid(9), "too late"), answers)
            await trio.sleep_forever()

    with trio.fail_after(10), pytest.raises(SupervisorFailedError, match="the last of writer") as caught:
        await live()
    failure = caught.value.__cause__
    assert isinstance(failure, WriterFailedError)
    assert str(failure).startswith(f"writer: expected commits, met {type(error).__name__} at ")
    assert failure.__cause__ is error
    assert [isinstance(answers.pop(peer), Committed) for peer in ("ann", "bob")] == [True, True]
    assert answers.pop("peer9") == "writer: expected it open, met it closed"
    assert answers == dict.fromkeys([f"peer{number}" for number in range(1, 9)], LOST)
    with closing(SQLiteSessionStore(sqlite.path)) as again:  # it was released
        assert [len(journal(again, session)) for session in (ANN, BOB, sid(1))] == [1, 1, 0]


async def test_f16_deaths_further_apart_than_the_period_are_each_mended(
    sqlite: SQLiteSessionStore, mock_clock: MockClock
) -> None:
    answers, reports = dict[str, object](), Reports()
    async with writing(DiesInCommit(sqlite, Panic(), says("kills")), reports) as writer:
        facts = (await writer.append(first(ANN, "hello"))).facts
        for _ in range(3):
            await settle(writer, first(BOB, "kills"), answers)
            assert answers == {"bob": LOST}
            await wait_all_tasks_blocked()
            mock_clock.jump(1.0)
            facts = (await writer.append(more(facts, "and on"))).facts
            mock_clock.jump(PERIOD)
    assert len(journal_of(sqlite)) == 4
    assert len(reports.of(WriterDied)) == 3


def journal_of(store: SQLiteSessionStore) -> Sequence[object]:
    """What was stored of Ann, in a database that its writer has closed."""
    with closing(SQLiteSessionStore(store.path)) as again:
        return journal(again, ANN)


async def test_f16_calls_too_are_answered_when_the_thread_dies(sqlite: SQLiteSessionStore) -> None:
    store, refusals = HoldsCommits(sqlite), list[str]()

    def kill(_: SessionStore) -> None:
        raise SystemExit(3)

    async with writing(store) as writer:

        async def call() -> None:
            with pytest.raises(UnavailableError) as caught:
                await writer.call(kill)
            refusals.append(str(caught.value.__cause__))

        with trio.fail_after(10):
            async with trio.open_nursery() as callers:
                callers.start_soon(writer.append, first(ANN))
                await trio.to_thread.run_sync(store.entered.wait)
                callers.start_soon(call)
                await wait_all_tasks_blocked()
                callers.start_soon(writer.call, lambda store: store.stats())
                await wait_all_tasks_blocked()
                store.gate.set()
    assert refusals == [LOST]


async def test_f16_a_thread_that_dies_of_indexing_is_replaced_and_given_up_the_second_time(
    sqlite: SQLiteSessionStore,
) -> None:
    class DiesInIndexing(Around):
        def index_messages(self, limit: int) -> int:
            raise RuntimeError(f"cannot index {limit}")

    reports = Reports()

    async def live() -> None:
        async with writing(DiesInIndexing(sqlite), reports):
            await trio.sleep_forever()

    with trio.fail_after(10), pytest.raises(SupervisorFailedError):
        await live()
    assert len(reports.of(WriterDied)) == 2
    assert reports.of(CommitFailed) == []


async def test_f16_between_two_threads_what_comes_waits_and_a_close_answers_it(
    sqlite: SQLiteSessionStore,
) -> None:
    answers, deaths = dict[str, object](), list[ThreadDied]()
    writer = Writer(DiesInCommit(sqlite, Panic(), says("kills")), len, Reports())
    writer.start(deaths.append)
    await settle(writer, first(ANN, "kills"), answers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, writer, first(BOB, "waits"), answers)
        await wait_all_tasks_blocked()
        assert (answers, len(deaths)) == ({"ann": LOST}, 1)
        await writer.close()
    assert answers == {"ann": LOST, "bob": LOST}
    writer.start(deaths.append)  # which comes too late
    assert len(journal_of(sqlite)) == 0


class CloseFails(Around):
    """Is closed, but cannot fold its log in, or dies of it."""

    def __init__(self, inside: SessionStore, error: BaseException) -> None:
        super().__init__(inside)
        self.errors = [error]

    def close(self) -> None:
        self.inside.close()
        if self.errors:
            raise self.errors.pop()


@pytest.mark.parametrize("error", [StoreUnavailableError("disk full"), Panic()], ids=type)
async def test_f16_a_close_that_fails_is_raised_and_the_store_is_released(
    sqlite: SQLiteSessionStore, error: BaseException
) -> None:
    reports = Reports()
    with pytest.raises(WriterFailedError, match=f"met {type(error).__name__} at") as caught:
        async with writing(CloseFails(sqlite, error), reports) as writer:
            await writer.append(first(ANN, "hello"))
    assert caught.value.__cause__ is error
    assert len(journal_of(sqlite)) == 1
    assert reports.of(ActorCrashed) == []


async def test_f16_a_close_that_fails_without_a_thread_is_raised_too(sqlite: SQLiteSessionStore) -> None:
    error = StoreUnavailableError("disk full")
    writer = Writer(CloseFails(sqlite, error), len, Reports())
    with pytest.raises(WriterFailedError) as caught:
        await writer.close()
    assert caught.value.__cause__ is error
    await writer.close()


async def test_f16_a_thread_that_dies_while_it_is_closed_answers_everybody_and_is_not_replaced(
    sqlite: SQLiteSessionStore,
) -> None:
    store = HoldsCommits(DiesInCommit(sqlite, Panic(), says("kills")))
    answers, deaths, writer = dict[str, object](), list[ThreadDied](), Writer(store, len, Reports())

    async def close() -> None:
        with pytest.raises(WriterFailedError, match="met Panic at"):
            await writer.close()

    writer.start(deaths.append)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(settle, writer, first(ANN, "kept"), answers)
            await trio.to_thread.run_sync(store.entered.wait)
            nursery.start_soon(settle, writer, first(BOB, "kills"), answers)
            nursery.start_soon(settle, writer, first(sid(1), "waits"), answers)
            await wait_all_tasks_blocked()
            nursery.start_soon(close)
            await wait_all_tasks_blocked()
            store.gate.set()
    assert isinstance(answers.pop("ann"), Committed)
    assert answers == {"bob": LOST, "peer1": LOST}
    assert (deaths, len(journal_of(sqlite))) == ([], 1)
