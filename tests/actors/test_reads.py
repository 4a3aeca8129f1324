"""Reads of the store go off the loop and fail as one error."""

import threading

import pytest
import trio
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reads import THREADS, Reads
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.errors import StoreUnavailableError
from trio.testing import assert_checkpoints

from tests.actors.hand import ANN


async def test_a_read_answers_what_the_store_answers(store: SessionStore) -> None:
    reads = Reads(store)
    with assert_checkpoints():
        assert await reads(store.facts, ANN) is None


async def test_a_store_that_may_wait_is_read_on_a_thread_and_another_at_once(store: SessionStore) -> None:
    here = threading.get_ident()
    assert (await Reads(store)(threading.get_ident) == here) is not store.blocking


async def test_a_failing_store_is_unavailable_and_says_when_to_come_back(store: SessionStore) -> None:
    def fail() -> None:
        raise StoreUnavailableError("/some/path: disk on fire")

    with pytest.raises(UnavailableError, match=r"expected an answer, met store_unavailable$") as caught:
        await Reads(store)(fail)
    assert caught.value.retry_after == 1.0
    assert isinstance(caught.value.__cause__, StoreUnavailableError)


async def test_an_unforeseen_error_stays_what_it_is(store: SessionStore) -> None:
    with pytest.raises(ZeroDivisionError):
        await Reads(store)(lambda: 1 // 0)


async def test_only_a_few_reads_run_at_a_time(sqlite: SQLiteSessionStore) -> None:
    reads, gate, begun = Reads(sqlite), threading.Event(), threading.Semaphore(0)
    running = 0
    peak = 0
    lock = threading.Lock()

    def read() -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        begun.release()
        assert gate.wait(10)
        with lock:
            running -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(3 * THREADS):
            nursery.start_soon(reads, read)
        for _ in range(THREADS):
            await trio.to_thread.run_sync(begun.acquire)
        gate.set()
    assert peak == THREADS
