"""Ends outlive the runtime: what is left over is told by the next start, and a stop leaves nobody waiting."""

import math
from collections.abc import Callable

import pytest
import trio
from greenroom.actors.end_outbox import RETRY_AFTER
from greenroom.actors.ends import PAGE
from greenroom.actors.errors import UnavailableError
from greenroom.actors.reply import ReplySlot
from greenroom.persistence import SessionStore
from trio.testing import wait_all_tasks_blocked

from tests.actors.hand import ANN, BOB, on_mock_time, sid
from tests.actors.telling import REGISTRATION, Desk, Hears, Refuses, ended, left, telling


async def test_what_a_crash_left_over_is_told_with_the_same_end_id_to_the_first_hook_that_is_registered(
    make_store: Callable[[], SessionStore],
) -> None:
    before, after = Hears(is_held=True), Hears()
    async with telling(make_store(), before) as desk:
        endings = [await desk.end(ANN, "a1"), await desk.end(ANN, "a2"), await desk.end(BOB, "b1")]
        await before.wait_for(2)
    assert sorted(before.ids) == ["a1", "b1"]
    async with telling(make_store()) as desk:
        await desk.settle()
        assert desk.left() == ["a1", "a2", "b1"]
        desk.hooks.register(after)
        endings.append(await desk.end(BOB, "b2"))
        await desk.settle()
        assert desk.left() == []
    assert sorted(after.ids) == ["a1", "a2", "b1", "b2"]
    assert all(ending in after.heard for ending in endings)
    assert after.ids.index("a1") < after.ids.index("a2")


@on_mock_time
async def test_what_a_crash_left_over_is_told_to_nobody_if_no_hook_is_registered_in_time(
    memory: SessionStore,
) -> None:
    late = Hears()
    memory.commit([ended(memory, ANN, "a1")])
    async with telling(memory) as desk:
        start = trio.current_time()
        await trio.sleep(REGISTRATION - 0.1)
        assert desk.left() == ["a1"]
        await trio.sleep(0.2)
        assert desk.left() == []
        desk.hooks.register(late)
        await desk.end(ANN, "a2")
        await desk.settle()
        assert trio.current_time() < start + REGISTRATION + 1
    assert late.ids == ["a2"]


@on_mock_time
async def test_an_end_that_is_made_before_the_first_hook_is_registered_waits_for_it(
    memory: SessionStore,
) -> None:
    first, second = Hears(), Hears()
    async with telling(memory) as desk:
        await desk.end(ANN, "a1")
        await trio.sleep(REGISTRATION / 2)
        await desk.end(BOB, "b1")
        await desk.settle()
        assert desk.left() == ["a1", "b1"]
        desk.hooks.register(first)
        await desk.settle()
        assert desk.left() == []
        desk.hooks.register(second)
        await desk.end(ANN, "a2")
        await desk.settle()
    assert (sorted(first.ids[:2]), first.ids[2:], second.ids) == (["a1", "b1"], ["a2"], ["a2"])


@on_mock_time
async def test_time_to_register_a_hook_is_counted_from_the_start_and_not_from_an_end(
    memory: SessionStore,
) -> None:
    async with telling(memory) as desk:
        await trio.sleep(REGISTRATION - 0.1)
        await desk.end(ANN, "a1")
        await trio.sleep(0.2)
        assert desk.left() == []
        await desk.end(ANN, "a2")
        await desk.settle()
        assert desk.left() == []


@on_mock_time
async def test_with_endless_time_to_register_a_hook_only_ends_that_somebody_waits_for_are_erased(
    memory: SessionStore,
) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    async with telling(memory, registration=math.inf) as desk:
        await desk.end(ANN, "a2")
        assert await desk.end_and_wait(ANN, "a3") == "a3"
        await trio.sleep(1000 * REGISTRATION)
        await desk.settle()
        assert desk.left() == ["a1", "a2"]
    assert desk.reports == []


@on_mock_time
async def test_while_what_a_crash_left_over_is_held_back_nobody_waits_for_an_end_of_his_own(
    memory: SessionStore,
) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    hears = Hears()
    async with telling(memory) as desk:
        start = trio.current_time()
        await wait_all_tasks_blocked()
        assert await desk.end_and_wait(BOB, "b1") == "b1"
        assert trio.current_time() == start
        assert desk.left() == ["a1"]
        desk.hooks.register(hears)
        await desk.settle()
    assert hears.ids == ["a1"]


@on_mock_time
async def test_an_end_that_is_being_erased_is_not_told_to_a_hook_that_came_after_it(
    memory: SessionStore,
) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    hears = Hears()
    async with telling(Refuses(memory, erasures=1)) as desk, trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(desk.end_and_wait, BOB, "b1")
        await wait_all_tasks_blocked()
        desk.hooks.register(hears)
        await desk.settle()
        assert desk.left() == []
    assert hears.ids == ["a1"]


@on_mock_time
async def test_settling_waits_for_a_reply_that_comes_while_ends_are_held_back(memory: SessionStore) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    slot = ReplySlot[str]()
    async with telling(memory) as desk:
        await wait_all_tasks_blocked()
        await desk.commit(BOB, "b1")
        desk.ends.answer_when_told("b1", slot, "told")
        desk.ends.added()
        await desk.settle()
        desk.ends.close()
        assert await slot.wait() == "told"


@on_mock_time
async def test_settling_waits_until_no_hook_runs_and_every_end_committed_so_far_is_told(
    memory: SessionStore,
) -> None:
    hears = Hears(is_held=True)
    async with telling(memory, hears) as desk:
        await desk.settle()
        for number in range(PAGE + 5):
            await desk.end(sid(number), str(number))
        with trio.move_on_after(5) as scope:
            await desk.ends.settle()
        assert scope.cancelled_caught
        hears.gate.set()
        await desk.settle()
        assert len(hears.heard) == PAGE + 5
        assert desk.left() == []


async def test_closing_calls_no_further_hook_rejects_who_waits_and_keeps_what_is_not_told(
    make_store: Callable[[], SessionStore],
) -> None:
    first, second = Hears(is_held=True), Hears()
    slots: dict[str, ReplySlot[str]] = {end_id: ReplySlot() for end_id in ("a1", "a2", "late")}
    store = make_store()
    async with telling(store, first, second) as desk:

        async def end(end_id: str) -> None:
            await desk.commit(ANN, end_id)
            desk.ends.answer_when_told(end_id, slots[end_id], end_id)
            desk.ends.added()

        await end("a1")
        await end("a2")
        await first.wait_for(1)
        desk.ends.close()
        desk.ends.close()
        await end("late")
        for slot in slots.values():
            with pytest.raises(UnavailableError, match="met the runtime's end"):
                await slot.wait()
        first.gate.set()
        await desk.settle()
        assert desk.left() == list(slots)
    assert (first.ids, second.ids) == (["a1"], [])
    again = Hears()
    async with telling(make_store(), again) as desk:
        await desk.settle()
    assert again.ids == list(slots)


async def test_whoever_waits_is_rejected_when_the_runtime_is_cut_off(store: SessionStore) -> None:
    slot = ReplySlot[str]()
    async with telling(store, Hears(is_held=True)) as desk:
        await desk.commit(ANN, "a1")
        desk.ends.answer_when_told("a1", slot, "told")
        desk.ends.added()
    with pytest.raises(UnavailableError, match="met the runtime's end"):
        await slot.wait()
    assert desk.reports == []


@on_mock_time
async def test_closing_ends_the_task_also_while_the_store_refuses_or_ends_are_held_back(
    memory: SessionStore,
) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    for hooks, store in (
        ((), memory),
        ((Hears(),), Refuses(memory, erasures=99)),
        ((), Refuses(memory, reads=99)),
    ):
        desk = Desk(store, hooks)
        with trio.fail_after(2 * RETRY_AFTER):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(desk.ends.run)
                await wait_all_tasks_blocked()
                desk.ends.close()
        await desk.writer.close()
        assert left(memory) == ["a1"]
