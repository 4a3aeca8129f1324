"""Silence takes effect in time, once and in the table's order."""

from collections import Counter

import msgspec
import pytest
import trio
from greenroom.actors.clocks import AT_ONCE, PAGE, Clocks, ClockSettings
from greenroom.actors.reads import Reads
from greenroom.persistence.records import SessionState

from tests.actors.hand import on_mock_time
from tests.actors.house import (
    ACTIVE,
    ARCHIVED,
    COMPACTING,
    DAY,
    IDLE,
    SETTINGS,
    SUSPENDED,
    House,
    clocks,
    only,
)


@on_mock_time
async def test_a_silent_session_goes_through_every_state_within_a_second_of_its_time() -> None:
    house = House()
    house.let(1)
    settings = ClockSettings(10.0, 100.0, 1000.0, 500.0, 60.0)
    async with clocks(house, settings):
        await trio.sleep(2000)
    assert house.moved() == [("peer1", to) for to in ("idle", "suspended", "archived", "None")]
    for (at, _, _), expected in zip(house.log, (10, 100, 1000, 1500), strict=True):
        assert expected < at < expected + 1


@on_mock_time
async def test_each_of_many_sessions_is_idle_within_a_second_of_its_time() -> None:
    house = House()
    for number in range(200):
        house.let(number, silent=number * 0.37)
    async with clocks(house, only(idle_after=100.0, interval=600.0)):
        await trio.sleep(150)
    assert len(house.log) == 200
    for at, peer, to in house.log:
        expected = 100 - int(peer.removeprefix("peer")) * 0.37
        assert to == "idle"
        assert expected < at < expected + 1


@on_mock_time
async def test_a_session_active_when_a_month_has_passed_is_archived_once_and_by_no_detour() -> None:
    house = House()
    for number, state in enumerate((ACTIVE, IDLE, COMPACTING, SUSPENDED)):
        house.let(number, state, silent=31 * DAY)
    async with clocks(house):
        await trio.sleep(200)
    assert Counter(house.moved()) == {(f"peer{number}", "archived"): 1 for number in range(4)}


@on_mock_time
async def test_a_session_overdue_for_both_is_idle_before_it_is_suspended() -> None:
    house = House()
    house.let(1, silent=DAY)
    async with clocks(house):
        await trio.sleep(0.1)
    assert house.events(1) == ["idle", "suspended"]


@on_mock_time
async def test_an_archived_session_is_deleted_by_when_it_was_archived() -> None:
    house = House()
    house.let(1, silent=31 * DAY)
    house.let(2, ARCHIVED, silent=60 * DAY - 1000)
    async with clocks(house, ClockSettings(300.0, 1800.0, 30 * DAY, 60 * DAY, 7200.0)):
        await trio.sleep(3000)
    assert house.moved() == [("peer1", "archived"), ("peer2", "None")]
    assert 1000 < house.log[1][0] < 1001


@pytest.mark.parametrize("field", ["idle_after", "suspend_after", "archive_after", "delete_after"])
@on_mock_time
async def test_what_is_set_to_zero_never_happens(field: str) -> None:
    house = House()
    for number, state in enumerate(SessionState):
        house.let(number, state, silent=365 * DAY)
    settings = msgspec.structs.replace(SETTINGS, **{field: 0.0})
    never = {"idle_after": "idle", "suspend_after": "suspended", "archive_after": "archived"}
    async with clocks(house, settings):
        await trio.sleep(600)
    happened = {to for _, to in house.moved()}
    assert never.get(field, "None") not in happened
    assert happened


@on_mock_time
async def test_with_everything_set_to_zero_there_is_nothing_to_run() -> None:
    house = House()
    await Clocks(only(), Reads(house.store), house.ask_age, house.wall, house.reports).run()
    assert house.store.asked == 0


@on_mock_time
async def test_no_more_than_a_few_sessions_are_asked_at_a_time() -> None:
    house = House()
    house.pause = 0.01
    for number in range(3 * PAGE):
        house.let(number, silent=DAY)
    async with clocks(house, only(idle_after=300.0)):
        await trio.sleep(50)
    assert len(house.log) == 3 * PAGE
    assert house.most_at_once == AT_ONCE


@on_mock_time
async def test_when_nobody_can_be_due_the_store_is_asked_once_an_interval() -> None:
    house = House()
    house.let(1, ARCHIVED, silent=DAY)
    async with clocks(house):
        await trio.sleep(600)
    assert house.store.asked < 12 * 12
    assert not house.log


@on_mock_time
async def test_the_first_session_to_come_is_idle_and_gone_in_time() -> None:
    house = House()
    async with clocks(house, ClockSettings(10.0, 20.0, 30.0, 15.0, interval=1000.0)):
        await trio.sleep(5)
        house.let(1)
        await trio.sleep(50)
    assert house.moved() == [("peer1", to) for to in ("idle", "suspended", "archived", "None")]
    for (at, _, _), expected in zip(house.log, (15, 25, 35, 50), strict=True):
        assert expected < at < expected + 1


@on_mock_time
async def test_a_message_puts_it_off() -> None:
    house = House()
    house.let(1)
    async with clocks(house, only(idle_after=10.0)):
        for _ in range(5):
            await trio.sleep(9)
            house.let(1)
        assert not house.log
        await trio.sleep(11)
    assert 55 < house.log[0][0] < 56
