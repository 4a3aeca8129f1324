"""The service that tells hooks of ends is cut off at whatever it does, and begins again."""

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from greenroom.actors.reply import ReplySlot
from greenroom.actors.writer import ThreadDied
from greenroom.persistence import SessionStore, SQLiteSessionStore
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import Around
from tests.actors.hand import ANN, BOB, on_mock_time
from tests.actors.telling import REGISTRATION, Desk, Hears, ended


@asynccontextmanager
async def run(desk: Desk) -> AsyncGenerator[None]:
    """Tell ends for the length of the body, then be cut off."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.ends.run)
        yield
        nursery.cancel_scope.cancel()


async def test_an_end_that_was_being_told_when_it_was_cut_off_is_told_again_and_who_waits_is_answered(
    store: SessionStore,
) -> None:
    hears = Hears(is_held=True)
    desk, slot = Desk(store, [hears]), ReplySlot[str]()
    desk.writer.start(desk.deaths.append)
    async with run(desk):
        await desk.commit(ANN, "a1")
        desk.ends.answer_when_told("a1", slot, "told")
        desk.ends.added()
        await desk.end(ANN, "a2")
        await hears.wait_for(1)
        await desk.end(BOB, "b1")
        await hears.wait_for(2)
    assert sorted(hears.ids) == ["a1", "b1"]
    assert desk.left() == ["a1", "a2", "b1"]
    hears.gate.set()
    async with run(desk):
        await desk.settle()
        assert await slot.wait() == "told"
        assert desk.left() == []
        await desk.end(ANN, "a3")
        await desk.settle()
        assert desk.left() == []
    assert sorted(hears.ids) == ["a1", "a1", "a2", "a3", "b1", "b1"]
    assert [end_id for end_id in hears.ids if end_id.startswith("a")] == ["a1", "a1", "a2", "a3"]
    desk.ends.close()
    await desk.writer.close()


class HoldsErasures(Around):
    """Enters an erasure, then waits for the gate."""

    def __init__(self, inside: SessionStore) -> None:
        super().__init__(inside)
        self.entered = threading.Event()
        self.gate = threading.Event()

    def erase_ending(self, end_id: str) -> None:
        self.entered.set()
        assert self.gate.wait(10), "expected the test to open the gate"
        self.inside.erase_ending(end_id)


async def test_who_waits_for_an_end_that_left_the_outbox_as_it_was_cut_off_is_answered(
    sqlite: SQLiteSessionStore,
) -> None:
    hears, store, deaths = Hears(), HoldsErasures(sqlite), list[ThreadDied]()
    desk, slot = Desk(store, [hears]), ReplySlot[str]()
    desk.writer.start(deaths.append)
    async with run(desk):
        await desk.commit(ANN, "a1")
        desk.ends.answer_when_told("a1", slot, "told")
        desk.ends.added()
        await trio.to_thread.run_sync(store.entered.wait)
    store.gate.set()
    await desk.writer.call(lambda _: None)  # behind the erasure
    async with run(desk):
        with trio.fail_after(5):
            assert await slot.wait() == "told"
    assert hears.ids == ["a1"]
    desk.ends.close()
    await desk.writer.close()


@on_mock_time
async def test_what_is_held_back_for_the_first_hook_is_held_back_again(memory: SessionStore) -> None:
    memory.commit([ended(memory, ANN, "a1")])
    hears, desk = Hears(), Desk(memory, [])
    async with run(desk):
        await trio.sleep(REGISTRATION - 0.1)
    async with run(desk):
        await trio.sleep(REGISTRATION - 0.1)
        assert desk.left() == ["a1"]
        desk.hooks.register(hears)
        await desk.settle()
    assert (hears.ids, desk.left()) == (["a1"], [])


async def test_once_closed_it_tells_nothing_however_often_it_is_run(store: SessionStore) -> None:
    hears = Hears()
    desk = Desk(store, [hears])
    desk.writer.start(desk.deaths.append)
    desk.ends.close()
    await desk.end(ANN, "a1")
    with trio.fail_after(5):
        await desk.ends.run()
        await desk.ends.run()
    await wait_all_tasks_blocked()
    assert (hears.ids, desk.left()) == ([], ["a1"])
    await desk.writer.close()
