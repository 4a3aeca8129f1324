"""A flood of one session leaves others their time, and one that is alone need not wait."""

from collections.abc import Sequence

import trio
from greenroom.actors.commands import Record
from greenroom.actors.fairness import BATCH, LONGEST, SHARE, give_way
from greenroom.actors.reply import ReplySlot
from greenroom.persistence.records import Append, Entry, Message
from greenroom.persistence.store import SessionStore
from trio.testing import MockClock

from tests.actors.faults import Answers, Around
from tests.actors.hand import ANN, BOB, NOBODY, on_mock_time, record, running

FLOOD = 25 * BATCH
COMMIT = 0.01  # seconds


class TakesTime(Around):
    """Each commit takes some of the mock clock's time."""

    def commit(self, batch: Sequence[Append]) -> Answers:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(COMMIT)
        return super().commit(batch)


@on_mock_time
async def test_after_its_turn_a_flooded_session_leaves_four_times_as_long_to_others() -> None:
    at = trio.current_time()
    await give_way(at - 0.01, at)
    assert trio.current_time() == at + SHARE * 0.01
    await give_way(at - 10, trio.current_time())
    assert trio.current_time() == at + SHARE * 0.01 + LONGEST
    await give_way(at - 10, trio.current_time() - LONGEST)
    assert trio.current_time() == at + SHARE * 0.01 + LONGEST


@on_mock_time
async def test_a_flooded_session_that_is_alone_does_not_wait(memory: SessionStore) -> None:
    async with running(TakesTime(memory), NOBODY) as core:
        began = trio.current_time()
        slots = [ReplySlot[Entry]() for _ in range(FLOOD)]
        for slot in slots:
            core.router.deliver(ANN, Record(Message("user", "flood"), slot))
        for slot in slots:
            await slot.wait()
        assert round((trio.current_time() - began) / COMMIT) == FLOOD / BATCH


@on_mock_time
async def test_the_flood_of_one_session_leaves_its_time_to_one_that_says_little(memory: SessionStore) -> None:
    flooded = list[ReplySlot[Entry]]()
    async with running(TakesTime(memory), NOBODY) as core:
        for _ in range(FLOOD):
            flooded.append(ReplySlot[Entry]())
            core.router.deliver(ANN, Record(Message("user", "flood"), flooded[-1]))
        began = trio.current_time()
        for _ in range(20):
            await record(core, BOB, "now and then")
        commits = (trio.current_time() - began) / COMMIT
    turns = memory.stats().total_messages // BATCH
    assert 20 <= commits <= 20 + turns
    assert commits <= 20 * (1 + 2 / SHARE), "of Ann's turns there was one beside four of Bob's"
