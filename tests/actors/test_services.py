"""The services of a runtime crash, begin again once, and end the runtime with them the second time."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import pytest
import trio
from greenroom.actors.actor_reports import ActorCrashed
from greenroom.actors.commands import Ack, End
from greenroom.actors.errors import SupervisorFailedError, UnavailableError
from greenroom.actors.hooks import HookManager
from greenroom.actors.reports import WriterDied
from greenroom.actors.services import CLOSE_WITHIN, PERIOD, Begin, keep_running, open_services
from greenroom.actors.writer import WriterFailedError
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.reports import StopStepOverdue
from greenroom.runtime.wiring import open_core
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.faults import Answers, Around, DiesInCommit, says
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Puppet,
    Reports,
    contents,
    done,
    journal,
    on_mock_time,
    running,
    send,
)
from tests.actors.telling import HangsFor, Hears


class Loop:
    """A service's loop: counts its beginnings and ends, crashes when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self._crash = trio.Event()

    def crash(self) -> None:
        self._crash.set()

    async def run(self) -> None:
        self.begun += 1
        self._crash = trio.Event()
        try:
            await self._crash.wait()
            raise LookupError(f"crash {self.begun}")
        finally:
            self.ended += 1


async def test_a_loop_that_crashes_begins_again_with_those_that_were_started_after_it(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    loops, reports = [Loop(), Loop(), Loop()], Reports()
    async with open_services(reports) as services:
        for number, loop in enumerate(loops):
            await keep_running(services, str(number), loop.run)
        await wait_all_tasks_blocked()
        loops[1].crash()
        await trio.sleep(1)
        assert [(loop.begun, loop.ended) for loop in loops] == [(1, 0), (2, 1), (2, 1)]
    assert [(loop.begun, loop.ended) for loop in loops] == [(1, 1), (2, 2), (2, 2)]
    assert [report.error for report in reports if isinstance(report, ActorCrashed)] == ["LookupError"]


async def test_a_loop_that_has_ended_rests_until_those_before_it_begin_again(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    first, passes = Loop(), list[int]()

    async def once() -> None:
        passes.append(len(passes))

    async with open_services(Reports()) as services:
        await keep_running(services, "first", first.run)
        await keep_running(services, "once", once)
        await trio.sleep(1)
        assert passes == [0]
        first.crash()
        await trio.sleep(1)
        assert passes == [0, 1]


async def test_a_beginning_that_waits_when_a_loop_crashes_is_not_told_again(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    loop = Loop()
    async with open_services(Reports()) as services:
        service = await keep_running(services, "loop", loop.run)
        await wait_all_tasks_blocked()
        service.tell(Begin())
        loop.crash()
        await trio.sleep(1)
        assert (loop.begun, service.depth) == (2, 0)


@pytest.mark.parametrize("which", [(0, 0), (1, 0)])
async def test_p19_a_second_crash_within_the_period_is_raised_with_its_error_as_the_cause(
    which: tuple[int, int],
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    loops = [Loop(), Loop()]

    async def live() -> None:
        async with open_services(Reports()) as services:
            for number, loop in enumerate(loops):
                await keep_running(services, f"loop {number}", loop.run)
            for number in which:
                await trio.sleep(PERIOD - 2)
                loops[number].crash()
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailedError, match="the last of loop 0") as caught:
        await live()
    assert isinstance(caught.value.__cause__, LookupError)


async def test_crashes_further_apart_than_the_period_are_each_mended(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    loop = Loop()
    async with open_services(Reports()) as services:
        await keep_running(services, "loop", loop.run)
        for _ in range(5):
            await trio.sleep(PERIOD + 1)
            loop.crash()
        await trio.sleep(1)
        assert loop.begun == 6


class DiesOnce(Around):
    """Raises once, in a commit with an append for which ``kills`` is true; ``stores``: after it."""

    def __init__(
        self, inside: SessionStore, kills: Callable[[Append], bool], *, stores: bool = False
    ) -> None:
        super().__init__(inside)
        self.kills = kills
        self.stores = stores
        self.is_alive = True

    def commit(self, batch: Sequence[Append]) -> Answers:
        if self.is_alive and any(map(self.kills, batch)):
            self.is_alive = False
            if self.stores:
                self.inside.commit(batch)
            raise RuntimeError("nobody learns what became of it")
        return self.inside.commit(batch)


async def until_settled(core: Core, session: SessionID, client_id: str, content: str) -> Ack:
    """Send again and again, as a client does that is told to come back."""
    while True:
        try:
            return await send(core, session, client_id, content)
        except UnavailableError:
            await trio.sleep(0.01)


@pytest.mark.parametrize("stores", [False, True])
async def test_f16_whether_its_writer_died_before_or_after_the_commit_a_message_sent_again_is_stored_once(
    sqlite: SQLiteSessionStore, *, stores: bool
) -> None:
    reports = Reports()
    store = DiesOnce(sqlite, says("kills"), stores=stores)
    async with running(store, NOBODY, report=reports) as core:
        assert (await send(core, ANN, "a", "acked before")).seq == 1
        with pytest.raises(UnavailableError):
            await send(core, ANN, "b", "kills")
        again = await until_settled(core, ANN, "b", "kills")
        assert (again.seq, again.duplicate) == (2, stores)
        assert (await send(core, ANN, "a", "acked before")).duplicate
        assert (await until_settled(core, BOB, "c", "elsewhere")).seq == 1
        assert contents(journal(sqlite, ANN)) == ["acked before", "kills"]
    assert len(reports.of(WriterDied)) == 1


async def test_p19_a_runtime_whose_writer_dies_again_ends_with_one_error_and_frees_the_store(
    sqlite: SQLiteSessionStore,
) -> None:
    async def live() -> None:
        async with running(DiesInCommit(sqlite, RuntimeError("broken"), says("kills")), NOBODY) as core:
            await send(core, ANN, "a")
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    await send(core, ANN, "b", "kills")
            await trio.sleep_forever()

    with trio.fail_after(20), pytest.raises(SupervisorFailedError, match="the last of writer") as caught:
        await live()
    assert isinstance(caught.value.__cause__, WriterFailedError)
    assert str(caught.value.__cause__).startswith("writer: expected commits, met RuntimeError at ")
    with closing(SQLiteSessionStore(sqlite.path)) as again:
        assert contents(journal(again, ANN)) == ["hello"]


async def test_p19_whoever_waits_for_the_end_of_a_session_is_answered_though_he_will_not_be_cancelled(
    sqlite: SQLiteSessionStore,
) -> None:
    hooks, refusals = HookManager(Reports()), list[UnavailableError]()
    hooks.register(hears := Hears(is_held=True))

    async def delete(core: Core) -> None:
        with trio.CancelScope(shield=True), pytest.raises(UnavailableError) as caught:
            await core.router.ask(ANN, partial(End, "delete"))
        refusals.append(caught.value)

    async def live() -> None:
        store = DiesInCommit(sqlite, RuntimeError("broken"), says("kills"))
        async with open_core(store, NOBODY, Limits(), Reports(), hooks=hooks) as core:
            await send(core, ANN, "a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(delete, core)
                await hears.wait_for(1)
                for _ in range(2):
                    with pytest.raises(UnavailableError):
                        await send(core, BOB, "b", "kills")

    with trio.fail_after(20), pytest.raises(SupervisorFailedError):
        await live()
    assert len(refusals) == 1


async def test_f16_a_session_that_could_not_begin_when_the_writer_died_begins_when_it_is_back(
    make_store: Callable[[], SessionStore],
) -> None:
    puppet = Puppet()
    async with running(make_store(), puppet.agent("retry")) as core:
        await send(core, ANN, "a")
        await puppet.turn()
    if not (store := make_store()).blocking:
        return
    async with running(DiesOnce(store, lambda _: True), puppet.agent("retry"), drain=5) as core:
        with trio.fail_after(10):
            performance = await puppet.turn()
            while performance.was_cancelled:
                performance = await puppet.turn()
        await performance.say("answer")
        performance.end()
        await done(core, ANN, "a")
        assert await core.recovery.wait() == 1


@on_mock_time
async def test_p18_a_step_of_stopping_that_takes_too_long_is_named_and_the_next_begins(
    memory: SessionStore,
) -> None:
    reports, hooks = Reports(), HookManager(Reports())
    hooks.register(HangsFor(ANN))
    limits = Limits(drain=3.0)
    async with open_core(memory, NOBODY, limits, reports, hooks=hooks) as core:
        await send(core, ANN, "a")
        await core.router.ask(ANN, partial(End, "reset"))
        began = trio.current_time()
        await core.stop()
        assert trio.current_time() == began + 3.0
    assert reports == [StopStepOverdue("hooks", 3.0)]


async def test_p18_a_store_that_will_not_close_is_named_and_does_not_keep_the_runtime(
    sqlite: SQLiteSessionStore, mock_clock: MockClock
) -> None:
    class Sticks(Around):
        gate = threading.Event()
        entered = threading.Event()

        def close(self) -> None:
            self.entered.set()
            self.gate.wait(30)
            self.inside.close()

    reports, store = Reports(), Sticks(sqlite)

    async def live() -> None:
        async with running(store, NOBODY, report=reports) as core:
            await send(core, ANN, "a")

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            await trio.to_thread.run_sync(store.entered.wait)
            await wait_all_tasks_blocked()
            mock_clock.jump(CLOSE_WITHIN)
    finally:
        store.gate.set()
    assert reports == [StopStepOverdue("writer", CLOSE_WITHIN)]
