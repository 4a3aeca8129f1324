"""Nothing that goes wrong stops the clocks, and no leap of time makes anybody silent who was not."""

from collections import Counter
from typing import Literal

import pytest
import trio
from greenroom.actors.clocks import ANSWER, AT_ONCE, PAGE, RETRY, Clocks, TimeSkipped
from greenroom.actors.errors import (
    BusyError,
    DamagedError,
    GreenroomError,
    QuarantinedError,
    ShuttingDownError,
    UnavailableError,
)
from greenroom.actors.reads import Reads
from greenroom.persistence.errors import StoreError, StoreFormatError, StoreUnavailableError

from tests.actors.hand import on_mock_time
from tests.actors.house import DAY, SETTINGS, House, clocks, only, stop_process


@pytest.mark.parametrize("refusal", [False, QuarantinedError("rests"), DamagedError("broken")], ids=repr)
@on_mock_time
async def test_sessions_that_refuse_hide_nobody_and_are_asked_once_an_interval(
    refusal: GreenroomError | Literal[False],
) -> None:
    house = House()
    refusing = [house.let(number, silent=DAY) for number in range(2 * PAGE)]
    house.answers = dict.fromkeys(refusing, refusal)
    for number in range(2 * PAGE, 3 * PAGE):
        house.let(number, silent=DAY / 2)
    house.let(1000, silent=290.0)
    async with clocks(house, only(idle_after=300.0, interval=60.0)):
        await trio.sleep(55)
        assert len(house.log) == PAGE + 1
        assert 10 < house.log[-1][0] < 11
        assert {house.asked[session] for session in refusing} == {1}
        house.answers.clear()
        await trio.sleep(10)
    assert len(house.log) == 3 * PAGE + 1
    assert {house.asked[session] for session in refusing} == {2}


@pytest.mark.parametrize(
    "refusal", [UnavailableError("disk"), BusyError("full"), ShuttingDownError("bye")], ids=repr
)
@on_mock_time
async def test_what_may_go_wrong_for_all_alike_ends_the_step_and_is_tried_again(
    refusal: GreenroomError,
) -> None:
    house = House()
    sessions = [house.let(number, silent=DAY) for number in range(3 * PAGE)]
    house.answers = dict.fromkeys(sessions, refusal)
    async with clocks(house, only(idle_after=300.0)):
        await trio.sleep(RETRY / 2)
        assert sum(house.asked.values()) <= AT_ONCE
        await trio.sleep(30)
        assert sum(house.asked.values()) <= 10 * AT_ONCE
        assert max(house.asked.values()) == 1
        house.answers.clear()
        await trio.sleep(70)
    assert len(house.log) == len(sessions)


@on_mock_time
async def test_one_session_that_always_fails_delays_the_others_by_little() -> None:
    house = House()
    house.answers[house.let(0, silent=DAY)] = UnavailableError("its page cannot be read")
    for number in range(1, 100):
        house.let(number, silent=DAY / 2)
    async with clocks(house, only(idle_after=300.0)):
        await trio.sleep(2 * RETRY)
    assert len(house.log) == 99


@pytest.mark.parametrize("refusal", [StoreUnavailableError("disk"), StoreFormatError("index")], ids=repr)
@on_mock_time
async def test_a_store_that_cannot_be_read_is_asked_again_and_not_all_the_time(refusal: StoreError) -> None:
    house = House()
    house.let(1, silent=DAY)
    house.store.refusals = [refusal] * 40
    async with clocks(house):
        await trio.sleep(10)
        assert house.store.asked < 25
        assert not house.log
        await trio.sleep(60)
    assert house.events(1) == ["idle", "suspended"]


@on_mock_time
async def test_a_session_that_does_not_answer_stops_no_clock() -> None:
    house = House()
    house.stuck.add(house.let(0, silent=DAY))
    house.let(1, silent=DAY / 2)
    house.let(2, silent=200.0)
    async with clocks(house, only(idle_after=300.0)):
        await trio.sleep(100 + ANSWER)
    assert house.moved() == [("peer1", "idle"), ("peer2", "idle")]


@on_mock_time
async def test_an_unforeseen_error_is_not_swallowed() -> None:
    house = House()
    house.let(1, silent=DAY)

    async def ask(*_: object) -> bool:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await Clocks(SETTINGS, Reads(house.store), ask, house.wall, house.reports).run()


@pytest.mark.parametrize("seconds", [3.0, 60.0, 3600.0])
@on_mock_time
async def test_f23_a_stopped_process_makes_nobody_silent(seconds: float) -> None:
    house = House()
    for number in range(50):
        house.let(number, silent=5.0)
    async with clocks(house, only(archive_after=10.0)):
        await trio.sleep(2.5)
        stop_process(seconds)
        await trio.sleep(2.0)
        assert not house.log  # whoever was stopped has had no chance to speak
        for number in range(25):
            house.let(number)
        await trio.sleep(2.0)
        assert len(house.log) == 25
        await trio.sleep(10)
    assert len(house.log) == 50
    assert [report for report in house.reports if seconds >= 10] == house.reports


@on_mock_time
async def test_f23_a_suspended_machine_makes_nobody_silent() -> None:
    house = House()
    house.let(1, silent=5.0)
    async with clocks(house, only(archive_after=10.0)):
        await trio.sleep(2.5)
        house.offset += 8 * 3600
        await trio.sleep(2.0)
        assert not house.log
        await trio.sleep(1.5)
    assert house.events(1) == ["archived"]
    (report,) = house.reports.of(TimeSkipped)
    assert isinstance(report, TimeSkipped)
    assert report.seconds == pytest.approx(8 * 3600, abs=2)


@on_mock_time
async def test_f23_what_was_forgiven_stays_forgiven_when_the_clocks_are_cut_off_and_run_again() -> None:
    house = House()
    house.let(1)
    run = Clocks(only(archive_after=100.0), Reads(house.store), house.ask_age, house.wall, house.reports).run
    for _ in range(3):
        with trio.move_on_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                await trio.sleep(10)
                house.offset += 50
    assert not house.log
    with trio.move_on_after(60):
        await run()
    ((at, peer, _),) = house.log
    assert peer == "peer1"
    assert 100 <= at < 110


@on_mock_time
async def test_f23_a_wall_clock_set_forward_and_back_by_an_hour_ends_nobody_early() -> None:
    house = House()
    house.let(1)
    async with clocks(house, only(archive_after=100.0)):
        await trio.sleep(30)
        house.offset += 3600
        await trio.sleep(30)
        house.let(2)
        house.offset -= 3600
        await trio.sleep(30)
        house.let(3)
        await trio.sleep(9)
        assert not house.log
        await trio.sleep(100)
        assert ("peer3", "archived") in house.moved()
        house.offset += 3600
        await trio.sleep(99)
        assert ("peer2", "archived") not in house.moved()
        await trio.sleep(3)
    assert Counter(house.moved()) == {(f"peer{number}", "archived"): 1 for number in (1, 2, 3)}


@on_mock_time
async def test_f23_after_a_leap_everybody_is_due_at_the_latest_when_the_silence_has_passed_again() -> None:
    house = House()
    house.let(1)
    async with clocks(house, only(idle_after=100.0)):
        for _ in range(5):
            await trio.sleep(10)
            stop_process(50)
        await trio.sleep(60)
    (at,) = (at for at, _, _ in house.log)
    assert 100 + 250 - 1 < at < 100 + 250 + 10
