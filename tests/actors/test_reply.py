"""The answer slot: set once, and harmless to an asker that has gone away."""

import pytest
import trio
from greenroom.actors.reply import ReplySlot
from trio.testing import assert_checkpoints, wait_all_tasks_blocked


async def test_an_answer_before_the_wait_is_kept() -> None:
    slot = ReplySlot[int]()
    slot.resolve(7)
    with assert_checkpoints():
        assert await slot.wait() == 7


async def test_an_answer_wakes_the_asker(nursery: trio.Nursery) -> None:
    slot, got = ReplySlot[int](), list[int]()

    async def ask() -> None:
        got.append(await slot.wait())

    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    assert got == []
    slot.resolve(7)
    await wait_all_tasks_blocked()
    assert got == [7]


async def test_a_rejection_is_raised_in_the_asker() -> None:
    early, late = ReplySlot[int](), ReplySlot[int]()
    early.reject(ValueError("early"))
    with pytest.raises(ValueError, match="early"):
        await early.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_late, late)
        await wait_all_tasks_blocked()
        late.reject(ValueError("late"))


async def _expect_late(slot: ReplySlot[int]) -> None:
    with pytest.raises(ValueError, match="late"):
        await slot.wait()


async def test_the_first_answer_stands() -> None:
    slot = ReplySlot[int]()
    slot.resolve(1)
    slot.resolve(2)
    slot.reject(ValueError("too late"))
    assert await slot.wait() == 1
    slot = ReplySlot[int]()
    slot.reject(ValueError("first"))
    slot.resolve(1)
    with pytest.raises(ValueError, match="first"):
        await slot.wait()


async def test_none_is_an_answer() -> None:
    slot = ReplySlot[None]()
    slot.resolve(None)
    slot.reject(ValueError("too late"))
    assert await slot.wait() is None


async def test_an_answer_to_a_cancelled_asker_wakes_it_in_no_other_wait() -> None:
    slot, woken = ReplySlot[int](), trio.Event()

    async def ask() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await slot.wait()
        assert scope.cancelled_caught
        await trio.sleep_forever()  # any other wait of the same task
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        slot.resolve(7)
        await wait_all_tasks_blocked()
        assert not woken.is_set()
        nursery.cancel_scope.cancel()


async def test_an_asker_cancelled_while_it_waits_is_not_woken_by_a_late_answer() -> None:
    slot, elsewhere = ReplySlot[int](), ReplySlot[str]()
    scope, got = trio.CancelScope(), list[str]()

    async def ask() -> None:
        with scope:
            await slot.wait()
        got.append(await elsewhere.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        slot.reject(ValueError("late"))
        await wait_all_tasks_blocked()
        assert got == []
        elsewhere.resolve("right")
    assert got == ["right"]


@pytest.mark.parametrize("answer_first", [True, False])
async def test_an_answer_and_a_cancellation_in_one_step_end_in_one_of_the_two(*, answer_first: bool) -> None:
    slot, scope, got = ReplySlot[int](), trio.CancelScope(), list[int]()

    async def ask() -> None:
        with scope:
            got.append(await slot.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        if answer_first:
            slot.resolve(7)
            scope.cancel()
        else:
            scope.cancel()
            slot.resolve(7)
    assert got == ([7] if answer_first else [])
    assert scope.cancelled_caught is not answer_first
