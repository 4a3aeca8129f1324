"""Sessions are started, guarded, started again from the store, or left to rest. Time is the mock clock's."""

import pytest
import trio
from greenroom.actors.errors import BusyError, QuarantinedError, SessionNotFoundError, UnavailableError
from greenroom.actors.reports import SessionCrashed, SessionQuarantined
from greenroom.persistence import SessionStore
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import CrashesOnHistory, CrashesOnLoad, MovesHeads, RefusesReads
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    Reports,
    attach,
    contents,
    done,
    ends,
    journal,
    on_mock_time,
    record,
    running,
    send,
    settle,
    sid,
)


@on_mock_time
async def test_p11_a_session_that_crashes_affects_no_other(memory: SessionStore) -> None:
    store, reports, ear = CrashesOnLoad(memory, ANN), Reports(), Ear()
    async with running(store, report=reports) as core, trio.open_nursery() as nursery:
        await attach(core, BOB, ear)

        async def hopeless() -> None:
            with pytest.raises(QuarantinedError):
                await send(core, ANN, "a")

        nursery.start_soon(hopeless)
        for number in range(100):
            ack = await done(core, BOB, f"b{number}")
            assert ack.stop_reason == "end_turn"
        for number in range(100):
            assert (await send(core, sid(number), "c")).status == "accepted"
    assert store.loads == len(reports.of(SessionCrashed)) == 6
    assert len(ear.entries) == 300


@on_mock_time
async def test_p13_the_sixth_crash_in_thirty_seconds_quarantines_and_its_mail_is_answered(
    memory: SessionStore,
) -> None:
    store, reports = CrashesOnLoad(memory, ANN), Reports()
    refused = list[QuarantinedError]()
    async with running(store, report=reports) as core:
        begun = trio.current_time()

        async def ask(number: int) -> None:
            try:
                await send(core, ANN, f"a{number}")
            except QuarantinedError as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, number)
        assert 0.62 <= trio.current_time() - begun <= 0.62 * 1.25
        assert store.loads == 6
        with pytest.raises(QuarantinedError) as caught:
            await send(core, ANN, "later")
        assert store.loads == 6
    assert len(refused) == 10
    for error in (*refused, caught.value):
        assert error.name == "session_quarantined"
        assert error.retry_after is not None
        assert 14.9 <= error.retry_after <= 18.75
    kinds = [type(report) for report in reports]
    assert kinds == [SessionCrashed] * 6 + [SessionQuarantined]


@on_mock_time
async def test_p13_after_its_quarantine_a_session_is_tried_again_and_rests_twice_as_long(
    memory: SessionStore,
) -> None:
    store, rests = CrashesOnLoad(memory, ANN), list[float]()
    async with running(store) as core:
        for number in range(7):
            with pytest.raises(QuarantinedError) as caught:
                await send(core, ANN, "a")
            assert caught.value.retry_after is not None
            rests.append(caught.value.retry_after)
            assert store.loads == (number + 1) * 6
            if number == 6:
                store.victims.clear()
            await trio.sleep(caught.value.retry_after + 0.001)
        await wait_all_tasks_blocked()
        assert ANN in core.registry  # it started by itself, and has crashed too lately to be put away
        assert (await send(core, ANN, "a")).status == "accepted"
    for rest, plain in zip(rests, (15, 30, 60, 120, 240, 300, 300), strict=True):
        assert plain <= rest <= plain * 1.25


@on_mock_time
async def test_a_session_that_recovers_in_time_serves_the_mail_that_waited(memory: SessionStore) -> None:
    store, acks = CrashesOnLoad(memory, ANN), list[tuple[str, int]]()
    async with running(store, NOBODY) as core:

        async def ask(number: int) -> None:
            acks.append((f"a{number}", (await send(core, ANN, f"a{number}")).seq))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
            await trio.sleep(0.2)  # the crashes at 0, 0.02, 0.06 and 0.14 s lie behind, the next before us
            assert store.loads == 4
            store.victims.clear()
    assert sorted(seq for _, seq in acks) == [1, 2, 3, 4, 5]
    assert {(e.client_id, e.seq) for e in journal(memory, ANN)} == set(acks)


@on_mock_time
async def test_p12_a_crash_between_messages_loses_none_of_them(memory: SessionStore) -> None:
    store, reports = MovesHeads(memory), Reports()
    async with running(store, NOBODY, report=reports) as core:
        for number in range(20):
            store.times = number % 3 == 0
            if store.times:
                with pytest.raises(UnavailableError, match="outcome unknown"):
                    await send(core, ANN, f"a{number}")
            assert not (await send(core, ANN, f"a{number}")).duplicate
            await trio.sleep(10)
    assert [entry.client_id for entry in journal(memory, ANN)] == [f"a{n}" for n in range(20)]
    assert len(reports.of(SessionCrashed)) == 7


@pytest.mark.parametrize("on_interrupt", ["finish", "retry"])
@on_mock_time
async def test_p12_a_crash_in_the_middle_of_a_turn_is_reported_once(
    memory: SessionStore, on_interrupt: str
) -> None:
    store, puppet, ear = CrashesOnHistory(memory, ANN), Puppet(), Ear()
    agent = puppet.agent("retry" if on_interrupt == "retry" else "finish")
    async with running(store, agent) as core:
        epoch = (await send(core, ANN, "a", "first")).epoch
        await attach(core, ANN, ear, (epoch, 1))
        former = await puppet.turn()
        await former.say("half")
        await send(core, ANN, "b", "second")
        with pytest.raises(UnavailableError, match="outcome unknown"):
            await attach(core, ANN, Ear())  # a snapshot: the actor crashes
        performance = await puppet.turn()
        assert former.was_cancelled
        expected = ("first", 2) if on_interrupt == "retry" else ("second", 1)
        assert (performance.turn.messages[0].content, performance.turn.attempt) == expected
        for remaining in (2, 1) if on_interrupt == "retry" else (1,):
            await performance.say("whole")
            performance.end()
            if remaining > 1:
                performance = await puppet.turn()
    finished = ends(journal(memory, ANN))
    if on_interrupt == "retry":
        assert [(e.message_seqs, e.stop_reason, e.will_retry) for e in finished] == [
            ((1,), "interrupted", True), ((1,), "end_turn", False), ((2,), "end_turn", False),
        ]  # fmt: skip
    else:
        assert [(e.message_seqs, e.stop_reason) for e in finished] == [
            ((1,), "interrupted"), ((2,), "end_turn"),
        ]  # fmt: skip
    assert ear.entries == list(journal(memory, ANN))[1:]
    assert "half" not in contents(journal(memory, ANN))


@on_mock_time
async def test_p13_the_turn_of_a_session_in_quarantine_holds_up_no_shutdown(memory: SessionStore) -> None:
    store, puppet, reports = CrashesOnHistory(memory, ANN), Puppet(), Reports()
    async with running(store, puppet.agent("retry"), report=reports, drain=100.0) as core:
        await send(core, ANN, "a")  # three crashes set it aside
        await send(core, ANN, "b")  # so that a turn runs in the sixth, too
        for _ in range(6):
            await puppet.turn()
            with pytest.raises((UnavailableError, QuarantinedError)):
                await attach(core, ANN, Ear())
        assert reports.of(SessionQuarantined)
        begun = trio.current_time()
        await core.stop()
        assert trio.current_time() - begun < 1.0
    assert len(memory.unfinished(0, 10)) == 1


@on_mock_time
async def test_a_session_that_cannot_be_read_refuses_its_mail_and_is_started_by_the_next(
    memory: SessionStore,
) -> None:
    store = RefusesReads(memory)
    async with running(store) as core:
        await done(core, ANN, "a")
        assert core.registry.put_away(next(iter(core.registry)))
        await wait_all_tasks_blocked()
        store.failing = True
        for _ in range(20):
            with pytest.raises(UnavailableError):
                await send(core, ANN, "b")
            assert len(core.registry) == 0
        store.failing = False
        assert (await send(core, ANN, "b")).seq == 4


@on_mock_time
async def test_a_session_of_which_nothing_is_stored_is_not_kept(memory: SessionStore) -> None:
    async with running(memory) as core:
        for number in range(50):
            with pytest.raises(SessionNotFoundError):
                await attach(core, sid(number), Ear(), create=False)
        await wait_all_tasks_blocked()
        assert len(core.registry) == 0
    assert memory.stats().total_sessions == 0


@on_mock_time
async def test_a_session_that_crashed_not_long_ago_is_not_put_away(memory: SessionStore) -> None:
    """In its back-off a second actor would begin while the first comes back; later its crashes were lost."""
    store, reports, puppet = MovesHeads(memory), Reports(), Puppet()
    async with running(store, puppet.agent(), report=reports, live_sessions=1) as core:
        await send(core, ANN, "a")
        (await puppet.turn()).end()
        await settle(core, ANN)
        await wait_all_tasks_blocked()
        store.times = 1
        with pytest.raises(UnavailableError):
            await record(core, ANN, "crashes")
        crashed = trio.current_time()
        with pytest.raises(BusyError, match="expected at most 1 live sessions"):
            await send(core, BOB, "b")
        await record(core, ANN, "kept")
        await trio.sleep_until(crashed + 29)
        with pytest.raises(BusyError, match="expected at most 1 live sessions"):
            await send(core, BOB, "b")
        await trio.sleep_until(crashed + 31)
        assert (await send(core, BOB, "b")).seq == 1
    assert len(reports.of(SessionCrashed)) == 1


@on_mock_time
async def test_a_session_at_rest_is_not_put_away(memory: SessionStore) -> None:
    """Its next command would start it at once, with a budget of crashes of its own."""
    store = CrashesOnLoad(memory, ANN)
    async with running(store, NOBODY, live_sessions=1) as core:
        with pytest.raises(QuarantinedError):
            await send(core, ANN, "a")
        with pytest.raises(BusyError):
            await send(core, BOB, "b")
        await trio.sleep(10)
        with pytest.raises(BusyError):
            await send(core, BOB, "b")
        with pytest.raises(QuarantinedError):
            await send(core, ANN, "a")
    assert store.loads == 6


@on_mock_time
async def test_a_session_whose_crashes_are_long_ago_is_put_away_and_they_are_forgotten(
    memory: SessionStore,
) -> None:
    store, rests = CrashesOnLoad(memory, ANN), list[float]()
    async with running(store, NOBODY, live_sessions=1) as core:
        for _ in range(2):
            store.victims.add(ANN)
            with pytest.raises(QuarantinedError) as caught:
                await send(core, ANN, "a")
            assert caught.value.retry_after is not None
            rests.append(caught.value.retry_after)
            store.victims.clear()
            await trio.sleep(rests[-1] + 29)
            with pytest.raises(BusyError):
                await send(core, BOB, "b")
            await trio.sleep(2)
            assert not (await send(core, BOB, f"b{len(rests)}")).duplicate
    for rest in rests:  # the second would be twice as long
        assert 15 <= rest <= 15 * 1.25


@on_mock_time
async def test_p13_crashes_one_at_a_time_each_from_a_command_of_its_own_are_quarantined_at_the_sixth(
    memory: SessionStore,
) -> None:
    """Nothing else keeps such a session in memory: after each crash nothing waits and nothing runs."""
    store, reports = CrashesOnHistory(memory, ANN), Reports()
    async with running(store, NOBODY, report=reports) as core:
        await send(core, ANN, "a")
        for _ in range(6):
            await trio.sleep(4.5)
            with pytest.raises(UnavailableError, match="outcome unknown"):
                await attach(core, ANN, Ear())
        await wait_all_tasks_blocked()
        with pytest.raises(QuarantinedError):
            await attach(core, ANN, Ear())
    assert [type(each) for each in reports] == [SessionCrashed] * 6 + [SessionQuarantined]
