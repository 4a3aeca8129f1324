"""Every end in the outbox is told to every hook, in order, and then leaves it."""

from collections.abc import Sequence

import trio
from greenroom.actors.ends import AT_ONCE, PAGE
from greenroom.actors.hooks import HOOK_SECONDS
from greenroom.actors.reply import ReplySlot
from greenroom.actors.reports import HookFailed
from greenroom.persistence import SessionStore
from greenroom.persistence.records import Ending
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import Around
from tests.actors.hand import ANN, BOB, on_mock_time, sid
from tests.actors.telling import HangsFor, Hears, ended, left, telling


async def test_every_hook_hears_of_an_end_as_it_was_committed_and_then_it_leaves_the_outbox(
    store: SessionStore,
) -> None:
    first, second = Hears(), Hears()
    async with telling(store, first, second) as desk:
        endings = [await desk.end(ANN, "a1"), await desk.end(BOB, "b1"), await desk.end(ANN, "a2")]
        await desk.settle()
        assert desk.left() == []
        for hears in (first, second):
            assert sorted(hears.ids) == ["a1", "a2", "b1"]
            assert all(ending in hears.heard for ending in endings)
        assert desk.reports == []


async def test_with_no_time_to_register_a_hook_an_end_leaves_the_outbox_at_once(store: SessionStore) -> None:
    store.commit([ended(store, ANN, "a0")])
    async with telling(store, registration=0) as desk:
        await desk.end(ANN, "a1")
        await desk.settle()
        assert desk.left() == []


async def test_a_reply_is_answered_when_the_hooks_have_run_and_the_outbox_is_empty(
    store: SessionStore,
) -> None:
    hears, seen = Hears(is_held=True), list[object]()

    class Looks:
        def resolve(self, value: object, /) -> None:
            seen.extend((value, list(hears.ids), left(store)))

        def reject(self, error: Exception, /) -> None:
            seen.append(error)

    async with telling(store, hears) as desk:
        await desk.commit(ANN, "a1")
        desk.ends.answer_when_told("a1", Looks(), "told")
        desk.ends.added()
        await hears.wait_for(1)
        await wait_all_tasks_blocked()
        assert seen == []
        hears.gate.set()
        await desk.settle()
    assert seen == ["told", ["a1"], []]


async def test_a_reply_that_comes_after_its_end_was_told_is_answered_too(store: SessionStore) -> None:
    hears, slot = Hears(), ReplySlot[str]()
    async with telling(store, hears) as desk:
        await desk.end(ANN, "a1")
        await desk.settle()
        desk.ends.answer_when_told("a1", slot, "told")
        desk.ends.added()
        with trio.fail_after(5):
            assert await slot.wait() == "told"
    assert hears.ids == ["a1"]


async def test_ends_of_one_session_are_told_one_by_one_in_order_those_of_several_at_the_same_time(
    store: SessionStore,
) -> None:
    hears = Hears(is_held=True)
    async with telling(store, hears) as desk:
        for number in range(3 * (AT_ONCE + 4)):
            await desk.end(sid(number % (AT_ONCE + 4)), str(number))
        await hears.wait_for(AT_ONCE)
        await wait_all_tasks_blocked()
        assert len(hears.heard) == AT_ONCE
        hears.gate.set()
        await desk.settle()
        assert desk.left() == []
    assert hears.most_at_once == AT_ONCE
    for peer in range(AT_ONCE + 4):
        told = [ending.end_id for ending in hears.heard if ending.session == sid(peer)]
        assert told == [str(peer + lap * (AT_ONCE + 4)) for lap in range(3)]


@on_mock_time
async def test_a_hook_that_hangs_on_one_session_keeps_no_other_waiting(memory: SessionStore) -> None:
    hears = Hears()
    async with telling(memory, HangsFor(ANN), hears) as desk:
        start = trio.current_time()
        for number in range(5):
            await desk.end(ANN, f"a{number}")
        await desk.end(BOB, "b0")
        await trio.sleep(1)
        assert hears.ids == ["b0"]
        await desk.settle()
        assert trio.current_time() == start + 5 * HOOK_SECONDS
        assert hears.ids == ["b0", *(f"a{number}" for number in range(5))]
        assert len(desk.reports.of(HookFailed)) == len(desk.reports) == 5
        assert "secret" not in str(desk.reports)
        assert desk.left() == []


async def test_few_ends_are_in_hand_however_many_there_are(store: SessionStore) -> None:
    class CountsReads(Around):
        read = 0

        def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
            found: Sequence[tuple[int, Ending]] = self.inside.endings(after, limit)
            self.read += len(found)
            return found

    counting, hears = CountsReads(store), Hears(is_held=True)
    store.commit([ended(store, sid(number), str(number)) for number in range(3 * PAGE)])
    async with telling(counting, hears) as desk:
        await hears.wait_for(AT_ONCE)
        await wait_all_tasks_blocked()
        assert counting.read == PAGE
        hears.gate.set()
        await desk.settle()
        assert len(set(hears.ids)) == len(hears.ids) == counting.read == 3 * PAGE
        assert desk.left() == []
