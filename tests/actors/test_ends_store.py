"""Whatever the store refuses or has lost, every end that it can give is told, once."""

from collections.abc import Sequence

import pytest
import trio
from greenroom.actors.end_outbox import RETRY_AFTER
from greenroom.actors.errors import DamagedError
from greenroom.actors.reports import EndNotErased, EndsDamaged, EndsDelayed
from greenroom.persistence import SessionStore
from greenroom.persistence.errors import StoreFormatError
from greenroom.persistence.records import Ending
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.actors.conftest import KeptInMemory
from tests.actors.faults import Around
from tests.actors.hand import ANN, BOB, on_mock_time, sid
from tests.actors.telling import HangsFor, Hears, Refuses, ended, left, telling


@on_mock_time
async def test_an_end_that_the_store_will_not_erase_yet_is_told_once_and_erased_when_it_will(
    memory: SessionStore,
) -> None:
    hears = Hears()
    async with telling(Refuses(memory, erasures=5), hears) as desk:
        start = trio.current_time()
        assert await desk.end_and_wait(ANN, "a1") == "a1"
        assert trio.current_time() == start + 5 * RETRY_AFTER
        assert desk.left() == []
    assert hears.ids == ["a1"]
    assert [type(report) for report in desk.reports] == [EndsDelayed]


@on_mock_time
async def test_ends_that_the_store_will_not_read_yet_are_told_when_it_will(memory: SessionStore) -> None:
    hears = Hears()
    async with telling(Refuses(memory, reads=5), hears) as desk:
        assert await desk.end_and_wait(ANN, "a1") == "a1"
        await desk.end(ANN, "a2")
        await desk.settle()
        assert desk.left() == []
    assert hears.ids == ["a1", "a2"]
    assert [type(report) for report in desk.reports] == [EndsDelayed]


async def test_an_end_that_cannot_be_erased_for_good_is_reported_and_those_behind_it_are_told(
    store: SessionStore,
) -> None:
    refusing, hears = Refuses(store, erasures=1), Hears()
    refusing.error = StoreFormatError("malformed")
    async with telling(refusing, hears) as desk:
        with pytest.raises(DamagedError, match="expected a sound outbox"):
            await desk.end_and_wait(ANN, "a1")
        assert await desk.end_and_wait(ANN, "a2") == "a2"
        assert desk.left() == ["a1"]
    assert hears.ids == ["a1", "a2"]
    assert desk.reports == [EndNotErased("a1", "store_format")]


class Damaged(Around):
    """Cannot read the ends with these ids."""

    def __init__(self, inside: SessionStore, *end_ids: str) -> None:
        super().__init__(inside)
        self.end_ids = end_ids

    def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
        found: Sequence[tuple[int, Ending]] = self.inside.endings(after, limit)
        if any(ending.end_id in self.end_ids for _, ending in found):
            raise StoreFormatError("damaged")
        return found


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("before", [0, 1, 5, 100])
async def test_a_damaged_end_is_reported_once_and_all_others_are_told(
    store: SessionStore,
    before: int,
    is_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    for number in range(before):  # ends of long ago: numbers with a gap
        store.commit([ended(store, sid(number), f"old{number}")])
        store.erase_ending(f"old{number}")
    for end_id in ("bad", "a1", "a2") if is_first else ("a1", "bad", "a2"):
        store.commit([ended(store, BOB if end_id == "bad" else ANN, end_id)])
    hears = Hears()
    async with telling(Damaged(store, "bad"), hears) as desk:
        assert await desk.end_and_wait(ANN, "a3") == "a3"
        await desk.settle()
        assert left(store) == ["bad"]
    assert hears.ids == ["a1", "a2", "a3"]
    expected = EndsDamaged(0, before + 1) if is_first else EndsDamaged(before + 1, before + 2)
    assert desk.reports == [expected]


async def test_nobody_waits_for_ever_for_an_end_that_is_damaged(store: SessionStore) -> None:
    async with telling(Damaged(store, "bad"), Hears()) as desk:
        with trio.fail_after(5), pytest.raises(DamagedError, match="has ended all the same"):
            await desk.end_and_wait(ANN, "bad")
        assert await desk.end_and_wait(ANN, "good") == "good"
        assert len(desk.reports) == 1


async def test_an_outbox_that_is_damaged_as_a_whole_is_reported_once_and_not_read_on_and_on(
    store: SessionStore,
) -> None:
    class AllDamaged(Around):
        reads = 0

        def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:  # noqa: ARG002 - the contract's
            self.reads += 1
            raise StoreFormatError("damaged")

    damaged = AllDamaged(store)
    async with telling(damaged, Hears()) as desk:
        await desk.settle()
        reads = damaged.reads
        for number in range(3):
            with trio.fail_after(5), pytest.raises(DamagedError):
                await desk.end_and_wait(ANN, str(number))
        assert damaged.reads <= reads + 6
        assert reads < 100
    assert len(desk.reports) == 1


@settings(deadline=None, max_examples=40)
@given(
    sessions=st.lists(st.integers(0, 4), max_size=60),
    refusals=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    hanging=st.sets(st.integers(0, 4), max_size=1),
)
def test_each_end_is_told_exactly_once_and_in_order_whatever_the_store_refuses(
    sessions: list[int], refusals: tuple[int, int], hanging: set[int]
) -> None:
    hears = Hears()

    async def main() -> None:
        store = Refuses(KeptInMemory(), reads=refusals[0], erasures=refusals[1])
        async with telling(store, *(HangsFor(sid(session)) for session in hanging), hears) as desk:
            for number, session in enumerate(sessions):
                await desk.end(sid(session), str(number))
                await trio.sleep(number % 3)
            await desk.settle()
            assert desk.left() == []

    trio.run(main, clock=MockClock(autojump_threshold=0))
    for peer in range(5):
        told = [int(ending.end_id) for ending in hears.heard if ending.session == sid(peer)]
        assert told == [number for number, session in enumerate(sessions) if session == peer]
