"""The bounded queue with one reader."""

import pytest
import trio
from greenroom.actors.errors import BusyError, MailboxClosedError, MailboxFullError
from greenroom.actors.mailbox import Mailbox
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import assert_checkpoints, wait_all_tasks_blocked


async def test_take_hands_over_everything_that_waits_oldest_first() -> None:
    mailbox = Mailbox[int](10)
    for command in range(5):
        mailbox.put(command)
    with assert_checkpoints():
        assert await mailbox.take(64) == [0, 1, 2, 3, 4]
    assert mailbox.depth == 0


async def test_take_hands_over_no_more_than_its_limit() -> None:
    mailbox = Mailbox[int](10)
    for command in range(5):
        mailbox.put(command)
    assert await mailbox.take(3) == [0, 1, 2]
    assert await mailbox.take(3) == [3, 4]


async def test_control_overtakes_and_is_never_refused_for_lack_of_room() -> None:
    mailbox = Mailbox[str](1)
    mailbox.put("ordinary")
    mailbox.put_control("first")
    mailbox.put_control("second")
    assert mailbox.depth == 3
    assert await mailbox.take(64) == ["first", "second", "ordinary"]


async def test_p15_a_full_mailbox_refuses_at_once_and_says_when_to_come_back() -> None:
    mailbox = Mailbox[int](2)
    mailbox.put(1)
    mailbox.put(2)
    with pytest.raises(MailboxFullError, match="expected at most 2 waiting commands") as caught:
        mailbox.put(3)
    assert isinstance(caught.value, BusyError)
    assert (caught.value.name, caught.value.retryable, caught.value.retry_after) == ("busy", True, 0.1)
    assert await mailbox.take(64) == [1, 2]
    mailbox.put(3)


async def test_the_peak_is_the_deepest_the_mailbox_has_been() -> None:
    mailbox = Mailbox[int](10)
    for command in range(4):
        mailbox.put(command)
    await mailbox.take(64)
    mailbox.put(0)
    assert mailbox.peak == 4


async def test_a_parked_taker_wakes_once_and_finds_all_that_came_before_it_ran(
    nursery: trio.Nursery,
) -> None:
    mailbox, taken = Mailbox[int](10), list[list[int]]()

    async def take() -> None:
        taken.append(await mailbox.take(64))

    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    for command in range(3):
        mailbox.put(command)
    await wait_all_tasks_blocked()
    assert taken == [[0, 1, 2]]


async def test_a_cancelled_taker_loses_no_command() -> None:
    mailbox = Mailbox[int](10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.take, 64)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    mailbox.put(1)
    assert await mailbox.take(64) == [1]


async def test_a_taker_cancelled_before_it_parks_leaves_the_commands() -> None:
    mailbox = Mailbox[int](10)
    mailbox.put(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.take(64)
    assert scope.cancelled_caught
    assert mailbox.depth == 1


async def test_a_command_that_arrives_in_the_step_of_the_cancellation_is_taken_or_stays() -> None:
    mailbox, taken = Mailbox[int](10), list[int]()

    async def take() -> None:
        taken.extend(await mailbox.take(64))

    for put_first in (True, False):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            if put_first:
                mailbox.put(1)
            nursery.cancel_scope.cancel()
            if not put_first:
                mailbox.put(2)
        left = mailbox.close() if not put_first else []
        assert sorted([*taken, *left]) == ([1] if put_first else [1, 2])


async def test_closing_hands_over_what_waits_and_refuses_the_rest() -> None:
    mailbox = Mailbox[int](10)
    mailbox.put(1)
    mailbox.put_control(2)
    assert not mailbox.is_closed
    assert mailbox.close() == [2, 1]
    assert mailbox.close() == []
    assert mailbox.is_closed
    with pytest.raises(MailboxClosedError):
        mailbox.put(3)
    with pytest.raises(MailboxClosedError):
        mailbox.put_control(3)
    with pytest.raises(MailboxClosedError):
        await mailbox.take(64)


async def test_closing_wakes_a_parked_taker(nursery: trio.Nursery) -> None:
    mailbox, ended = Mailbox[int](10), trio.Event()

    async def take() -> None:
        with pytest.raises(MailboxClosedError):
            await mailbox.take(64)
        ended.set()

    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    mailbox.close()
    await wait_all_tasks_blocked()
    assert ended.is_set()


async def test_a_taker_that_finds_the_mailbox_closed_while_it_yields_is_told() -> None:
    mailbox = Mailbox[int](10)
    mailbox.put(1)
    async with trio.open_nursery() as nursery:

        async def take() -> None:
            with pytest.raises(MailboxClosedError):
                await mailbox.take(64)

        nursery.start_soon(take)
        nursery.start_soon(trio.to_thread.run_sync, lambda: None)
        mailbox.close()


@given(st.lists(st.tuples(st.sampled_from(["put", "control", "take"]), st.integers(1, 4)), max_size=40))
async def test_whatever_is_put_is_taken_once_and_in_the_order_of_its_lane(ops: list[tuple[str, int]]) -> None:
    mailbox = Mailbox[tuple[str, int]](5)
    put: dict[str, list[int]] = {"put": [], "control": []}
    taken: dict[str, list[int]] = {"put": [], "control": []}
    for number, (op, limit) in enumerate(ops):
        if op == "control":
            mailbox.put_control((op, number))
            put[op].append(number)
        elif op == "put":
            try:
                mailbox.put((op, number))
            except MailboxFullError:
                assert len(put["put"]) - len(taken["put"]) == 5
            else:
                put[op].append(number)
        elif mailbox.depth:
            commands = await mailbox.take(limit)
            assert 1 <= len(commands) <= limit
            for lane, what in commands:
                taken[lane].append(what)
    for lane, what in mailbox.close():
        taken[lane].append(what)
    assert taken == put
