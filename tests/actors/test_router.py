"""Commands reach their session in order, or are refused at once."""

import pytest
import trio
from greenroom.actors.commands import Ack, Attach, Attached, Barrier, Send
from greenroom.actors.errors import BusyError, QuarantinedError, SessionNotFoundError, ShuttingDownError
from greenroom.actors.reply import ReplySlot
from greenroom.persistence import SessionStore, SQLiteSessionStore
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import CountsLoads, CrashesOnLoad, HoldsCommits
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    answers,
    journal,
    on_mock_time,
    running,
    send,
    sid,
)


async def test_p4_commands_take_effect_in_the_order_of_delivery_also_while_the_session_starts(
    store: SessionStore,
) -> None:
    async with running(store, NOBODY, mailbox=1000) as core:
        slots = list[ReplySlot[Ack]]()
        for number in range(500):
            slots.append(ReplySlot())
            core.router.deliver(ANN, Send(f"a{number}", "hello", slots[-1]))
            if number % 7 == 0:
                await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            assert [ack.seq for ack in await answers(slots)] == list(range(1, 501))
        assert [entry.client_id for entry in journal(store, ANN)] == [f"a{n}" for n in range(500)]


async def test_a_session_is_started_once_however_many_ask(store: SessionStore) -> None:
    counting = CountsLoads(store)
    async with running(counting, NOBODY) as core, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(send, core, ANN, f"a{number}")
    assert counting.loaded == [ANN]


async def test_p15_a_full_mailbox_is_busy_at_once_and_other_sessions_go_on(
    sqlite: SQLiteSessionStore,
) -> None:
    store = HoldsCommits(sqlite)
    async with running(store, NOBODY, mailbox=10) as core:
        first = ReplySlot[Ack]()
        core.router.deliver(ANN, Send("first", "hello", first))
        await trio.to_thread.run_sync(store.entered.wait)
        slots = [ReplySlot[Ack]() for _ in range(10)]
        for number, slot in enumerate(slots):
            core.router.deliver(ANN, Send(f"a{number}", "hello", slot))
        with pytest.raises(BusyError) as caught:
            core.router.deliver(ANN, Send("refused", "hello", ReplySlot[Ack]()))
        assert caught.value.retry_after == 0.1
        core.router.deliver(BOB, Send("b", "hello", other := ReplySlot[Ack]()))
        store.gate.set()
        with trio.fail_after(5):
            assert (await other.wait()).seq == 1
            assert [(await slot.wait()).seq for slot in (first, *slots)] == list(range(1, 12))
        assert all(entry.client_id != "refused" for entry in journal(sqlite, ANN))


async def test_an_asker_that_is_cancelled_leaves_the_session_as_it_is(sqlite: SQLiteSessionStore) -> None:
    store = HoldsCommits(sqlite)
    async with running(store, NOBODY) as core:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, core, ANN, "a")
            await trio.to_thread.run_sync(store.entered.wait)
            nursery.cancel_scope.cancel()
        store.gate.set()
        assert (await send(core, ANN, "a")).duplicate
        assert (await send(core, ANN, "b")).seq == 2


async def test_draining_refuses_new_commands_and_lets_those_before_take_effect(
    sqlite: SQLiteSessionStore,
) -> None:
    store = HoldsCommits(sqlite)
    async with running(store, NOBODY) as core, trio.open_nursery() as nursery:
        slots = [ReplySlot[Ack]() for _ in range(200)]
        for number, slot in enumerate(slots):
            core.router.deliver(sid(number % 3), Send(f"a{number}", "hello", slot))
        drained = trio.Event()

        async def drain() -> None:
            await core.router.drain()
            drained.set()

        nursery.start_soon(drain)
        await trio.to_thread.run_sync(store.entered.wait)
        assert core.router.is_draining
        assert not drained.is_set()
        with pytest.raises(ShuttingDownError):
            core.router.deliver(ANN, Barrier(ReplySlot()))
        with pytest.raises(ShuttingDownError):
            await send(core, sid(0), "late")
        store.gate.set()
        await drained.wait()
        acks = [slot._value for slot in slots]
        assert all(acks)


async def test_draining_waits_for_nobody_that_has_ended(memory: SessionStore) -> None:
    """Sessions that retire while others are still drained: their places are gone, their mailboxes closed."""
    async with running(memory) as core:
        for number in range(10):
            await send(core, sid(number), "a")
        missing = [ReplySlot[Attached]() for _ in range(30)]
        for number, slot in enumerate(missing, 100):
            core.router.deliver(sid(number), Attach(Ear(), slot, create=False))
        with trio.fail_after(5):
            await core.router.drain()
            await core.router.drain()
        for slot in missing:
            with pytest.raises(SessionNotFoundError):
                await slot.wait()


async def test_waking_starts_a_session_and_says_when_there_is_no_room(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), live_sessions=1) as core:
        await send(core, ANN, "a")
        assert not core.router.wake(BOB)
        assert core.router.is_live(ANN)
        assert not core.router.is_live(BOB)
        (await puppet.turn()).end()
        await wait_all_tasks_blocked()
        assert core.router.wake(BOB)
        assert core.router.is_live(BOB)
        await core.router.drain()
        assert core.router.wake(ANN)
        assert not core.router.is_live(ANN)


@on_mock_time
async def test_waking_a_session_in_quarantine_disturbs_nobody(memory: SessionStore) -> None:
    store = CrashesOnLoad(memory, ANN)
    async with running(store) as core:
        with pytest.raises(QuarantinedError):
            await send(core, ANN, "a")
        assert core.router.wake(ANN)
        assert store.loads == 6
