"""Whoever blocks the event loop is named while it does; nobody else is ever named."""

import inspect
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec
import pytest
import trio
from greenroom.actors import Actor, Question, open_supervisor
from greenroom.actors import watchdog as watchdog_module
from greenroom.actors.turn import Agent, Turn
from greenroom.actors.watchdog import LIMIT, LoopBlocked, LoopReleased, watch_loop
from greenroom.persistence import InMemorySessionStore
from greenroom.persistence.ids import SessionID
from greenroom.runtime.embedding import open_manager

PATIENCE = 20.0  # seconds; a loaded machine is no failure
SECRET = "swordfish"  # noqa: S105 - stands for what people say


class Wire:
    """What a watchdog reports, from its thread."""

    def __init__(self) -> None:
        self.all: list[msgspec.Struct] = []
        self._came = threading.Condition()

    def __call__(self, record: msgspec.Struct) -> None:
        with self._came:
            self.all.append(record)
            self._came.notify_all()

    @property
    def blocked(self) -> list[LoopBlocked]:
        return [record for record in self.all if isinstance(record, LoopBlocked)]

    @property
    def released(self) -> list[LoopReleased]:
        return [record for record in self.all if isinstance(record, LoopReleased)]

    def spin(self, count: int = 1) -> None:
        """Block this thread by work until so many blockings are reported."""
        until = time.monotonic() + PATIENCE
        while len(self.blocked) < count and time.monotonic() < until:
            pass

    def wait(self, count: int = 1) -> None:
        """The same without work: as a call that waits for something outside of Trio."""
        with self._came:
            self._came.wait_for(lambda: len(self.blocked) >= count, PATIENCE)


@contextmanager
def watched() -> Generator[Wire]:
    wire = Wire()
    with watch_loop(wire):
        yield wire


class Do(Question[None]):
    """Has an actor call something; carries a text that nobody else is to see."""

    def __init__(self, work: Callable[[], object], text: str = SECRET) -> None:
        self.work = work
        self.text = text


class Plain(Actor[Do]):
    def receive(self, message: Do) -> None:
        text = message.text + SECRET
        message.work()
        assert text


class Waiting(Actor[Do]):
    async def receive(self, message: Do) -> None:
        await trio.lowlevel.checkpoint()
        message.work()


class Busy(Actor[Do]):
    """Calls something when it starts, and when it stops."""

    def __init__(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self.start = start
        self.stop = stop

    async def started(self) -> None:
        self.start()

    async def stopped(self) -> None:
        self.stop()

    def receive(self, message: Do) -> None: ...


class Parent(Actor[Do]):
    """Has a task of its own do it."""

    async def receive(self, message: Do) -> None:
        async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - a task of its own
            nursery.start_soon(do, message.work)


async def do(work: Callable[[], object]) -> None:
    work()


@pytest.mark.parametrize(("kind", "how"), [(Plain, "spin"), (Waiting, "spin"), (Waiting, "wait")])
async def test_an_actor_that_blocks_the_loop_is_named_while_it_does(
    kind: Callable[[], Actor[Do]], how: str
) -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(kind, name="culprit")
            await actor.ask(Do(getattr(wire, how)))
            assert [record.who for record in wire.blocked] == ["actor culprit"]
            assert wire.blocked[0].seconds >= LIMIT


async def test_an_actor_that_is_told_is_named_too() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Plain, name="culprit")
            actor.tell(Do(wire.spin))
            await actor.ask(Do(lambda: None))
    assert [record.who for record in wire.blocked] == ["actor culprit"]


async def test_the_one_that_blocks_is_named_and_not_the_one_that_asked_it() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            culprit = await supervisor.spawn(Plain, name="culprit")

            class Asker(Actor[Do]):
                async def receive(self, message: Do) -> None:
                    await culprit.ask(message)

            asker = await supervisor.spawn(Asker, name="asker")
            await asker.ask(Do(wire.spin))
    assert [record.who for record in wire.blocked] == ["actor culprit"]


async def test_an_actor_that_blocks_in_its_start_or_its_end_is_named() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Busy, wire.spin, lambda: wire.spin(2), name="culprit")
            assert [record.who for record in wire.blocked] == ["actor culprit"]
            await trio.sleep(0.2)
            await actor.stop()
    assert [record.who for record in wire.blocked] == ["actor culprit"] * 2


async def test_a_task_is_named_with_the_actor_in_whose_nursery_it_runs() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Parent, name="culprit")
            await actor.ask(Do(wire.spin))
    assert [record.who for record in wire.blocked] == [f"{__name__}.do of actor culprit"]


async def test_any_other_task_is_named_by_its_own_name() -> None:
    with watched() as wire:
        async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - a task of its own
            nursery.start_soon(do, wire.spin)
    assert [record.who for record in wire.blocked] == [f"{__name__}.do"]


async def test_of_two_that_hold_the_loop_in_turn_without_letting_go_each_is_named() -> None:
    calls = 0

    def spin() -> None:
        nonlocal calls
        calls += 1
        wire.spin(calls)

    with watched() as wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(do, spin, name="one")
            nursery.start_soon(do, spin, name="other")
    assert {record.who for record in wire.blocked} == {"one", "other"}
    assert [record.who for record in wire.released] == [record.who for record in wire.blocked]


async def test_a_record_says_where_and_nothing_of_what_was_said() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Plain, name="culprit")
            await actor.ask(Do(wire.spin))
    record = wire.blocked[0]
    lines, first = inspect.getsourcelines(Wire.spin)
    file, _, line = record.where.rpartition(":")
    # It may have looked just while something that the loop calls was at work.
    innermost = [place.rpartition(":") for place in (record.where, *record.callers)]
    assert (file, int(line)) == (__file__, int(line))
    assert any(name == __file__ and first <= int(at) < first + len(lines) for name, _, at in innermost)
    assert SECRET not in repr(wire.all)


async def test_code_that_keeps_the_interpreter_to_itself_is_named_when_it_lets_go() -> None:
    with watched() as wire:
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Plain, name="culprit")
            await actor.ask(Do(lambda: sum(range(40_000_000))))
            await trio.sleep(0.2)
    assert [record.who for record in wire.blocked] == ["actor culprit"]


async def test_one_blocking_is_one_record_and_one_more_with_its_whole_length_at_its_end() -> None:
    with watched() as wire:
        wire.spin()
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        began = time.monotonic()
        while not wire.released:
            await trio.sleep(0.01)
            assert time.monotonic() - began < PATIENCE
    (blocked,), (released,) = wire.blocked, wire.released
    assert released.who == blocked.who
    assert released.seconds >= blocked.seconds + 0.2


async def test_a_blocking_that_ends_with_the_watch_is_reported_to_its_end() -> None:
    with watched() as wire:
        wire.spin()
    assert [type(record) for record in wire.all] == [LoopBlocked, LoopReleased]


async def test_tasks_that_hold_the_loop_one_after_the_other_are_not_blamed_for_each_other() -> None:
    def hold() -> None:
        until = time.monotonic() + 0.04
        while time.monotonic() < until:
            pass

    with watched() as wire:
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(do, hold, name=f"number {number}")
    assert any(record.who.startswith("several, number ") for record in wire.blocked)


async def test_a_loop_that_works_without_rest_is_not_blocked() -> None:
    with watched() as wire:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:  # noqa: ASYNC110 - the loop is at work all the time
            await trio.lowlevel.checkpoint()
    assert wire.all == []


class Passes(trio.abc.Instrument):
    """Counts how often the loop looks for something to do."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        self.count += 1


async def test_a_loop_that_has_nothing_to_do_is_left_asleep() -> None:
    passes = Passes()
    with watched():
        trio.lowlevel.add_instrument(passes)
        await trio.sleep(0.5)
        trio.lowlevel.remove_instrument(passes)
    assert passes.count < 5  # of ten looks


async def test_it_goes_by_real_time_also_where_tests_set_the_clock(
    mock_clock: trio.testing.MockClock,
) -> None:
    with watched() as wire:
        await trio.to_thread.run_sync(time.sleep, 0.4)  # the loop's clock stands still, and so does the loop
        assert wire.all == []
        wire.spin()
        assert len(wire.blocked) == 1
    assert mock_clock.rate == 0


async def test_blockings_beyond_the_allowance_are_counted_and_an_endless_one_is_named_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog_module, "AT_ONCE", 1)
    monkeypatch.setattr(watchdog_module, "ONE_MORE", 2.0)
    with watched() as wire:
        wire.spin()
        await trio.sleep(0.15)
        time.sleep(0.4)  # noqa: ASYNC251 - too soon after the first
        await trio.sleep(0.15)
        assert len(wire.blocked) == 1
        wire.spin(2)
    assert [record.unreported for record in wire.blocked] == [0, 1]


async def test_a_reporter_that_raises_is_logged_by_class_and_the_watch_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()

    def report(record: msgspec.Struct) -> None:
        wire(record)
        raise ValueError(SECRET)

    with watch_loop(report):
        wire.spin()
        await trio.sleep(0.2)
        wire.spin(2)
    assert len(wire.blocked) == 2
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


async def test_nothing_of_it_is_left_behind() -> None:
    before = threading.active_count()
    with watched():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize("in_nursery", [False, True])
async def test_a_turn_is_named_with_its_session_and_logged_by_an_embedded_runtime(
    in_nursery: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns: list[str] = []
    begun = trio.Event()

    def spin() -> None:
        until = time.monotonic() + PATIENCE
        while f"turn {turns[0]}" not in caplog.text and time.monotonic() < until:
            pass

    async def block(turn: Turn) -> None:
        turns.append(turn.turn_id)
        begun.set()
        if in_nursery:
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - a task of its own
                nursery.start_soon(do, spin)
        else:
            spin()

    ann = SessionID("echo", "test", "ann")
    async with open_manager(store=InMemorySessionStore(), agent=Agent("greedy", block)) as manager:
        await manager.send(ann, SECRET)
        await begun.wait()
    name = f"turn {turns[0]} of {ann}"
    blocked, released = [
        msgspec.json.decode(record.getMessage())
        for record in caplog.records
        if record.levelno == logging.WARNING and name in record.getMessage()
    ]
    assert (blocked["event"], released["event"]) == ("LoopBlocked", "LoopReleased")
    assert blocked["who"] == (f"{__name__}.do of {name}" if in_nursery else name)
    assert SECRET not in caplog.text
