"""One connection's requests for one session keep their order; those for others do not wait for them."""

import pytest
import trio
from greenroom.persistence.ids import SessionID
from greenroom.runtime.lanes import Lanes
from greenroom.runtime.protocol import Call
from greenroom.runtime.requests import Info, List, SendMessage
from hypothesis import given
from hypothesis import strategies as st

A = SessionID("a", "b", "a")
B = SessionID("a", "b", "b")


def read(number: int, session: SessionID = A) -> Call:
    return Call(number, Info(str(session)), session)


def send(number: int, session: SessionID = A) -> Call:
    return Call(number, SendMessage(str(session), str(number), "text"), session)


class Desk:
    """Where calls arrive; a read is held until its number is let go."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.begun: list[object] = []
        self.gates: dict[object, trio.Event] = {}
        self.lanes = Lanes(nursery, self.deliver, self.read)

    def deliver(self, call: Call) -> None:
        self.begun.append(call.id)

    async def read(self, call: Call) -> None:
        self.begun.append(call.id)
        gate = self.gates[call.id] = trio.Event()
        await gate.wait()

    async def let(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def desk(nursery: trio.Nursery) -> Desk:
    return Desk(nursery)


async def test_a_command_goes_out_at_once(desk: Desk) -> None:
    desk.lanes.submit(send(1))
    desk.lanes.submit(send(2))
    assert desk.begun == [1, 2]


async def test_what_follows_a_read_of_the_same_session_waits_for_it_in_order(desk: Desk) -> None:
    for call in (send(1), read(2), send(3), send(4), read(5), send(6)):
        desk.lanes.submit(call)
    await trio.testing.wait_all_tasks_blocked()
    assert desk.begun == [1, 2]
    await desk.let(2)
    assert desk.begun == [1, 2, 3, 4, 5]
    desk.lanes.submit(send(7))
    await desk.let(5)
    assert desk.begun == [1, 2, 3, 4, 5, 6, 7]
    desk.lanes.submit(send(8))
    assert desk.begun[-1] == 8


async def test_another_session_and_reads_of_none_do_not_wait(desk: Desk) -> None:
    desk.lanes.submit(read(1))
    desk.lanes.submit(send(2, B))
    desk.lanes.submit(read(3, B))
    desk.lanes.submit(Call(4, List()))
    desk.lanes.submit(Call(5, List()))
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(desk.begun, key=str) == [1, 2, 3, 4, 5]
    await desk.let(1, 3, 4, 5)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B])), max_size=30), st.randoms())
async def test_whatever_is_mixed_each_session_keeps_its_order(
    calls: list[tuple[bool, SessionID]], chance: object
) -> None:
    begun: dict[SessionID | None, list[object]] = {A: [], B: []}

    async def carry_out(call: Call) -> None:
        begun[call.session].append(call.id)
        for _ in range(chance.randint(0, 3)):  # type: ignore[attr-defined]
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        lanes = Lanes(nursery, lambda call: begun[call.session].append(call.id), carry_out)
        for number, (is_read, session) in enumerate(calls):
            lanes.submit(read(number, session) if is_read else send(number, session))
            if chance.random() < 0.5:  # type: ignore[attr-defined]
                await trio.lowlevel.checkpoint()
    for session in (A, B):
        assert begun[session] == [number for number, (_, where) in enumerate(calls) if where == session]
    assert not lanes._lanes
