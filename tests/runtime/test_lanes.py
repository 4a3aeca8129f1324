"""One connection's requests for one session keep their order; large answers come as fast as they are read."""

import random

import pytest
import trio
from greenroom.actors.events import Event
from greenroom.persistence.ids import SessionID
from greenroom.runtime.lanes import AT_ONCE, Lanes
from greenroom.runtime.outbox import Outbox
from greenroom.runtime.protocol import Call
from greenroom.runtime.requests import (
    Attach,
    Cancel,
    ClearQueue,
    Compact,
    Delete,
    Detach,
    History,
    Info,
    List,
    New,
    RemoveQueued,
    Request,
    Search,
    SendMessage,
    Update,
)
from hypothesis import given
from hypothesis import strategies as st

A = SessionID("a", "b", "a")
B = SessionID("a", "b", "b")
C = SessionID("a", "b", "c")


def never_rendered(event: Event) -> str:
    raise AssertionError(event)


def read(number: int, session: SessionID = A) -> Call:
    return Call(number, Info(str(session)), session)


def attach(number: int, session: SessionID = A) -> Call:
    return Call(number, Attach(str(session)), session)


def detach(number: int, session: SessionID = A) -> Call:
    return Call(number, Detach(str(session)), session)


def send(number: int, session: SessionID = A) -> Call:
    return Call(number, SendMessage(str(session), str(number), "text"), session)


class Desk:
    """Where calls arrive; an operation is held until its number is let go."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.begun: list[object] = []
        self.gates: dict[object, trio.Event] = {}
        self.outbox = Outbox(100, never_rendered)
        self.lanes = Lanes(nursery, self.outbox, self.deliver, self.carry_out)

    def deliver(self, call: Call) -> None:
        self.begun.append(call.id)

    async def carry_out(self, call: Call) -> None:
        self.begun.append(call.id)
        gate = self.gates[call.id] = trio.Event()
        await gate.wait()

    async def submit(self, *calls: Call) -> None:
        for call in calls:
            self.lanes.submit(call)
        await trio.testing.wait_all_tasks_blocked()

    async def let(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()
        await trio.testing.wait_all_tasks_blocked()

    async def take(self) -> None:
        self.outbox.take()
        self.lanes.advance()
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def desk(nursery: trio.Nursery) -> Desk:
    return Desk(nursery)


async def test_a_message_goes_out_at_once(desk: Desk) -> None:
    desk.lanes.submit(send(1))
    desk.lanes.submit(send(2))
    assert desk.begun == [1, 2]


@pytest.mark.parametrize("operation", [read, attach, detach])
async def test_what_follows_an_operation_of_the_same_session_waits_for_it_in_order(
    desk: Desk, operation: type[Call]
) -> None:
    await desk.submit(send(1), operation(2), send(3), send(4), operation(5), send(6))
    assert desk.begun == [1, 2]
    await desk.let(2)
    assert desk.begun == [1, 2, 3, 4, 5]
    desk.lanes.submit(send(7))
    await desk.let(5)
    assert desk.begun == [1, 2, 3, 4, 5, 6, 7]
    desk.lanes.submit(send(8))
    assert desk.begun[-1] == 8


@pytest.mark.parametrize("command", [Cancel, New, Delete, Update])
async def test_a_command_goes_out_at_once_and_behind_an_operation_in_its_place(
    desk: Desk, command: type[Cancel | New | Delete | Update]
) -> None:
    text = str(A)
    await desk.submit(Call(1, command(text), A), read(2), Call(3, command(text), A), send(4), read(5))
    assert desk.begun == [1, 2]
    await desk.let(2)
    assert desk.begun == [1, 2, 3, 4, 5]


async def test_a_stop_waits_for_no_room_in_the_outbox(desk: Desk) -> None:
    desk.outbox.put("x" * 1000)
    await desk.submit(attach(1, B), Call(2, Cancel(str(A)), A))
    assert desk.begun == [2]


@pytest.mark.parametrize(
    "call",
    [
        Call(1, ClearQueue(str(A)), A),
        Call(1, RemoveQueued(str(A), 1), A),
        Call(1, Search("word", str(A)), A),
        Call(1, Search("word")),
    ],
    ids=["clear", "remove", "search in a session", "search"],
)
async def test_what_can_be_answered_with_much_text_waits_for_room(desk: Desk, call: Call) -> None:
    desk.outbox.put("x" * 1000)
    await desk.submit(call, send(2))
    assert desk.begun == ([] if call.session else [2])
    await desk.take()
    assert 1 in desk.begun


async def test_messages_of_another_session_wait_for_no_operation(desk: Desk) -> None:
    await desk.submit(read(1), read(2, B), Call(3, List()), send(4, C))
    assert sorted(desk.begun, key=str) == [1, 2, 4]


async def test_at_most_two_operations_run_at_a_time_in_the_order_asked(desk: Desk) -> None:
    await desk.submit(attach(1), Call(2, List()), Call(3, History(str(B)), B), attach(4, C), send(5, B))
    assert set(desk.begun) == {1, 2}
    await desk.let(2)
    assert desk.begun[2:] == [3]
    await desk.let(3)
    assert desk.begun[3:] in ([5, 4], [4, 5])


async def test_no_operation_begins_before_half_the_outbox_is_free_and_then_without_another_word(
    desk: Desk,
) -> None:
    desk.outbox.put("x" * 20)
    desk.outbox.put("y" * 50)
    await desk.submit(attach(1), read(2, B), send(3, C), send(4))
    assert desk.begun == [3]
    await desk.take()
    assert desk.begun == [3]
    await desk.take()
    assert set(desk.begun) == {1, 2, 3}
    await desk.let(1)
    assert desk.begun[3:] == [4]


async def test_an_answer_that_fills_the_outbox_holds_the_next_operation_back(desk: Desk) -> None:
    await desk.submit(attach(1), attach(2, B), attach(3, C))
    assert set(desk.begun) == {1, 2}
    desk.outbox.put("x" * 1000, is_pledged=True)
    await desk.let(1, 2)
    assert set(desk.begun) == {1, 2}
    await desk.take()
    assert desk.begun[2:] == [3]


async def test_a_detach_waits_for_no_room_and_no_other_session(desk: Desk) -> None:
    desk.outbox.put("x" * 100)
    await desk.submit(attach(1), attach(2, B), detach(3, C))
    assert desk.begun == [3]


OPERATIONS: list[type[Request]] = [Attach, Detach, History, Info, ClearQueue, Compact]
SMALL = (Detach, Compact)


@given(
    st.lists(st.tuples(st.sampled_from([*OPERATIONS, None]), st.sampled_from([A, B, C])), max_size=30),
    st.randoms(use_true_random=False),
)
async def test_whatever_is_mixed_each_session_keeps_its_order_and_all_are_done(
    calls: list[tuple[type[Request] | None, SessionID]], chance: random.Random
) -> None:
    begun: dict[SessionID | None, list[object]] = {A: [], B: [], C: []}
    outbox = Outbox(100, never_rendered)
    large: set[object] = set()

    async def carry_out(call: Call) -> None:
        begun[call.session].append(call.id)
        if not isinstance(call.request, SMALL):
            large.add(call.id)
            assert len(large) <= AT_ONCE
        for _ in range(chance.randint(0, 3)):
            await trio.lowlevel.checkpoint()
        outbox.put("x" * chance.randint(1, 200), is_pledged=True)
        large.discard(call.id)

    async with trio.open_nursery() as nursery:
        lanes = Lanes(nursery, outbox, lambda call: begun[call.session].append(call.id), carry_out)
        for number, (operation, session) in enumerate(calls):
            call = (
                send(number, session) if operation is None else Call(number, operation(str(session)), session)
            )
            lanes.submit(call)
            if chance.random() < 0.5:
                await trio.lowlevel.checkpoint()
        while lanes._lanes or outbox.size:
            outbox.take()
            lanes.advance()
            await trio.lowlevel.checkpoint()
    for session in (A, B, C):
        assert begun[session] == [number for number, (_, where) in enumerate(calls) if where == session]
    assert not outbox.overflowed
