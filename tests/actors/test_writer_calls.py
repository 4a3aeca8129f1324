"""The writer's other work: calls between the commits, and the search index when nothing else waits."""

import threading
from collections.abc import Callable

import pytest
import trio
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reports import IndexingFailed
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import (
    StoreUnavailableError,
    UnstorableError,
)
from greenroom.persistence.records import (
    SessionFilter,
)
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import Around, HoldsCommits
from tests.actors.hand import ANN, BOB, Reports, sid
from tests.actors.writing import first, more, writing


async def test_a_call_is_done_on_the_writers_thread_between_the_commits_around_it(
    sqlite: SQLiteSessionStore,
) -> None:
    store, seen = HoldsCommits(sqlite), list[object]()

    def look(store: SessionStore) -> str:
        seen.extend(
            (threading.current_thread().name, store.facts(sid(1)) is not None, store.facts(sid(2)) is None)
        )
        return "looked"

    async with writing(store) as writer, trio.open_nursery() as nursery:

        async def call() -> None:
            seen.append(await writer.call(look))

        nursery.start_soon(writer.append, first(ANN))
        await trio.to_thread.run_sync(store.entered.wait)
        for job in (lambda: writer.append(first(sid(1))), call, lambda: writer.append(first(sid(2)))):
            nursery.start_soon(job)
            await wait_all_tasks_blocked()
        store.gate.set()
    assert seen == ["greenroom-writer", True, True, "looked"]
    assert store.sizes == [1, 1, 1]


async def test_a_call_on_a_store_that_never_blocks_is_done_at_once(memory: SessionStore) -> None:
    async with writing(memory) as writer:
        assert await writer.call(lambda _: threading.current_thread()) is threading.current_thread()


async def test_a_call_raises_what_its_work_raised_and_the_writer_goes_on(store: SessionStore) -> None:
    async with writing(store) as writer:
        for error in (UnstorableError("no"), ZeroDivisionError()):
            with pytest.raises(type(error)) as caught:
                await writer.call(raising(error))
            assert caught.value is error
        with pytest.raises(UnavailableError, match="met a refusal"):
            await writer.call(raising(StoreUnavailableError("disk full")))
        await writer.append(first(ANN, "hello"))


def raising(error: BaseException) -> Callable[[SessionStore], None]:
    def work(_: SessionStore) -> None:
        raise error

    return work


async def test_closing_finishes_the_calls_that_wait_and_refuses_later_ones(
    sqlite: SQLiteSessionStore,
) -> None:
    store, answers = HoldsCommits(sqlite), list[bool]()
    async with writing(store) as writer, trio.open_nursery() as nursery:

        async def call() -> None:
            answers.append(await writer.call(lambda store: store.facts(ANN) is not None))

        nursery.start_soon(writer.append, first(ANN))
        await trio.to_thread.run_sync(store.entered.wait)
        nursery.start_soon(writer.append, first(BOB))
        await wait_all_tasks_blocked()
        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        nursery.start_soon(writer.close)
        await wait_all_tasks_blocked()
        with pytest.raises(UnavailableError, match="met it closed"):
            await writer.call(lambda store: store.stats())
        store.gate.set()
    assert answers == [True]


class WatchesIndexing(Around):
    """Tells of every call for indexing by its answer; refuses while ``failing``."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.failing = False
        self.calls = 0
        self.rested = threading.Semaphore(0)

    def index_messages(self, limit: int) -> int:
        self.calls += 1
        if self.failing:
            self.rested.release()
            raise StoreUnavailableError("disk full")
        count: int = self.inside.index_messages(limit)
        if not count:
            self.rested.release()
        return count

    async def rest(self) -> None:
        with trio.fail_after(10):
            await trio.to_thread.run_sync(self.rested.acquire, abandon_on_cancel=True)


async def test_an_idle_writer_indexes_what_was_written_and_then_rests(sqlite: SQLiteSessionStore) -> None:
    store = WatchesIndexing(sqlite)
    async with writing(store) as writer:
        await store.rest()  # what a former process may have left
        assert store.calls == 1
        await writer.append(first(ANN, *("hello",) * 200))
        await store.rest()
        assert store.calls == 1 + 4 + 1
        assert sqlite.index_messages(1) == 0
        assert len(sqlite.search("hello", SessionFilter(), ANN, 300)) == 200


async def test_a_failing_index_is_reported_once_and_tried_again_after_the_next_job(
    sqlite: SQLiteSessionStore,
) -> None:
    store, reports = WatchesIndexing(sqlite), Reports()
    store.failing = True
    async with writing(store, reports) as writer:
        await store.rest()
        assert store.calls == 1
        facts = (await writer.append(first(ANN, "hello"))).facts
        await store.rest()
        assert (store.calls, reports) == (2, [IndexingFailed("disk full")])
        store.failing = False
        facts = (await writer.append(more(facts, "once more"))).facts
        await store.rest()
        assert store.calls == 4
        store.failing = True
        await writer.append(more(facts, "and again"))
        await store.rest()
    assert reports == [IndexingFailed("disk full")] * 2


async def test_a_store_that_never_blocks_is_not_asked_to_index(memory: SessionStore) -> None:
    store = WatchesIndexing(memory)
    async with writing(store) as writer:
        await writer.append(first(ANN, "hello"))
    assert store.calls == 0
