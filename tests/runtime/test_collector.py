"""The collector: what a long collection has found alive is not looked at again, and freed all the same."""

import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from greenroom.actors.turn import Agent
from greenroom.persistence import SQLiteSessionStore
from greenroom.runtime import collector
from greenroom.runtime.collector import LONG, short_collections
from greenroom.runtime.core import Core

from tests.actors.hand import ECHO, NOBODY, done, running, sid

MANY = 500_000  # objects that a collection looks at for longer than `LONG`, on any machine


class Knot:
    """An object that may refer to itself."""

    def __init__(self) -> None:
        self.itself: Knot | None = None

    def tie(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    before = (gc.isenabled(), gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count())
    gc.disable()  # full collections come when a test wants them
    yield
    (gc.enable if before[0] else gc.disable)()
    assert (gc.isenabled(), gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count()) == before


def collect() -> float:
    """A full collection; the seconds of the processor it takes."""
    began = time.thread_time()
    gc.collect()
    return time.thread_time() - began


def many() -> list[list[None]]:
    return [[None] for _ in range(MANY)]


def test_a_long_collection_is_the_last_one_for_what_it_finds_alive() -> None:
    with short_collections():
        alive = many()
        first = collect()
        assert first >= LONG, "or this test tests nothing"
        assert gc.get_freeze_count() >= MANY
        assert collect() < first / 3
    assert len(alive) == MANY


def test_a_short_collection_sets_nothing_apart() -> None:
    with short_collections():
        gc.freeze()  # so that it is short
        before = gc.get_freeze_count()
        alive = [[None] for _ in range(10)]
        collect()
        assert gc.get_freeze_count() <= before
    assert len(alive) == 10


def test_what_is_set_apart_is_freed_when_its_last_reference_goes() -> None:
    with short_collections():
        alive = many()
        knot = Knot()
        collect()
        before = gc.get_freeze_count()
        heard = weakref.ref(knot)
        del alive, knot
        assert heard() is None
        assert gc.get_freeze_count() <= before - MANY


def test_a_cycle_that_is_garbage_before_it_is_set_apart_is_found_as_ever() -> None:
    with short_collections():
        alive = many()
        knot = Knot()
        knot.tie()
        heard = weakref.ref(knot)
        del knot
        collect()
        assert heard() is None
        knot = Knot()
        knot.tie()
        heard = weakref.ref(knot)
        del knot
        collect()
        assert heard() is None
    assert len(alive) == MANY


def test_a_cycle_that_is_garbage_only_later_is_found_when_memory_has_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collector, "GROWTH", 4 * MANY)
    with short_collections():
        alive = many()
        knot = Knot()
        knot.tie()
        heard = weakref.ref(knot)
        collect()
        del knot
        alive += many()
        collect()
        assert heard() is not None, "memory has not doubled yet"
        ballast = list(range(1000, 1000 + sys.getallocatedblocks() + 4 * MANY))
        alive += many()
        collect()  # which sees how much there is
        collect()  # which looks at everything
        assert heard() is None
        assert gc.get_freeze_count() >= MANY, "and what it has found alive is set apart again"
    assert len(ballast) > len(alive) > MANY


def test_it_may_be_entered_several_times_and_ends_with_the_last() -> None:
    callbacks = list(gc.callbacks)
    with short_collections():
        alive = many()
        with short_collections():
            assert len(gc.callbacks) == len(callbacks) + 1
            collect()
        assert gc.get_freeze_count() >= MANY
        assert len(gc.callbacks) == len(callbacks) + 1
    assert gc.callbacks == callbacks
    assert gc.get_freeze_count() == 0
    assert len(alive) == MANY


def test_an_error_in_its_body_ends_it_too() -> None:
    with pytest.raises(ValueError, match="broken"), short_collections():
        raise ValueError("broken")


def test_collections_in_other_threads_count_too() -> None:
    with short_collections():
        alive = many()
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
        assert gc.get_freeze_count() >= MANY
    assert len(alive) == MANY


SESSIONS = 300


@pytest.mark.parametrize("agent", [NOBODY, ECHO], ids=lambda agent: agent.name)
async def test_sessions_that_are_put_away_are_freed_though_they_were_set_apart(
    tmp_path: Path, agent: Agent
) -> None:
    store = SQLiteSessionStore(tmp_path / "greenroom.db")
    async with running(store, agent, live_sessions=SESSIONS) as core:
        await wake(core, 2 * SESSIONS, 2 * SESSIONS + 1)  # loads what the first message needs
        with short_collections():
            without = set_apart()
            await wake(core, 0, SESSIONS)
            those = set_apart() - without
            assert those > SESSIONS
            await wake(core, SESSIONS, 2 * SESSIONS)  # others in their stead
            assert gc.get_freeze_count() - without < those / 2, "what is left are the tasks that served them"


async def wake(core: Core, first: int, end: int) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(first, end):
            nursery.start_soon(done, core, sid(number), "m1")


def set_apart() -> int:
    """As a long collection does; how many objects are set apart now."""
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()
