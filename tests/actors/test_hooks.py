"""Hooks are told in order, each within its time; whatever one does, the others are told."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from greenroom.actors.hooks import GRACE, HOOK_SECONDS, MAX_STUCK, HookManager, SessionHook
from greenroom.actors.reports import HookFailed, HookSkipped, HookWouldNotStop
from greenroom.persistence.records import Ending, EndReason, Message, SessionFacts

from tests.actors.hand import ANN, Reports, on_mock_time

FACTS = SessionFacts(
    id=ANN, tag="t", created_at=0, updated_at=0, last_active_at=0, custom_data={"k": "secret"}
)
END = Ending("e1", ANN, EndReason.RESET, 0, FACTS, (Message("user", "secret"),))


class Quick:
    """Notes what it is told, and when."""

    def __init__(self, notes: list[tuple[object, ...]] | None = None, name: str = "quick") -> None:
        self.notes: list[tuple[object, ...]] = [] if notes is None else notes
        self.name = name

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        self.notes.append((self.name, ending, reason, trio.current_time()))
        await trio.lowlevel.checkpoint()

    @property
    def times(self) -> list[object]:
        return [note[-1] for note in self.notes]


class Does:
    """Does what the test says."""

    def __init__(self, what: Callable[[], Awaitable[object]]) -> None:
        self.what = what

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:  # noqa: ARG002 - the protocol's
        await self.what()


def manager(reports: Reports, *hooks: SessionHook) -> HookManager:
    made = HookManager(reports)
    for hook in hooks:
        made.register(hook)
    return made


@on_mock_time
async def test_hooks_are_told_in_the_order_of_their_registration_one_after_the_other() -> None:
    notes: list[tuple[object, ...]] = []
    slow = Does(partial(trio.sleep, 3))
    hooks = manager(Reports(), Quick(notes, "first"), slow, Quick(notes, "last"))
    start = trio.current_time()
    await hooks.trigger_session_end(END)
    assert notes == [
        ("first", END, EndReason.RESET, start),
        ("last", END, EndReason.RESET, start + 3),
    ]


@on_mock_time
async def test_a_hook_that_hangs_is_cut_off_reported_by_its_class_and_those_behind_it_are_told() -> None:
    reports, quick, start = Reports(), Quick(), trio.current_time()
    await manager(reports, Does(trio.sleep_forever), quick).trigger_session_end(END)
    assert quick.times == [start + HOOK_SECONDS]
    assert reports == [HookFailed(ANN, "e1", "Does", "expected its end within 10 s, met none", "")]


async def fail() -> None:
    raise ValueError("secret")


async def fail_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(fail)


class NotAHook:
    """Its method is a plain function, whose answer cannot be awaited."""

    def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        pass


@pytest.mark.parametrize(
    ("hook", "name", "error"),
    [
        (Does(fail), "Does", "ValueError"),
        (Does(fail_in_a_nursery), "Does", "ValueError"),
        (NotAHook(), "NotAHook", "TypeError"),
    ],
    ids=["raises", "raises a group", "is not async"],
)
async def test_p27_a_hook_that_fails_is_reported_by_class_and_place_and_those_behind_it_are_told(
    hook: SessionHook, name: str, error: str
) -> None:
    reports, quick = Reports(), Quick()
    await manager(reports, hook, quick).trigger_session_end(END)
    assert len(quick.notes) == 1
    (report,) = reports
    assert isinstance(report, HookFailed)
    assert (report.hook, report.error, report.end_id) == (name, error, "e1")
    assert ".py:" in report.where
    assert "secret" not in str(reports)


async def fail_when_cancelled() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("secret")


@on_mock_time
async def test_a_hook_that_fails_while_it_is_cut_off_is_reported_for_both() -> None:
    reports, quick = Reports(), Quick()
    await manager(reports, Does(fail_when_cancelled), quick).trigger_session_end(END)
    assert [report.error for report in reports if isinstance(report, HookFailed)] == [
        "ValueError",
        "expected its end within 10 s, met none",
    ]
    assert len(quick.notes) == 1


async def test_a_hook_that_fails_while_the_runtime_is_cancelled_harms_nobody() -> None:
    reports, quick = Reports(), Quick()
    with trio.move_on_after(0.01) as scope:
        await manager(reports, Does(fail_when_cancelled), quick).trigger_session_end(END)
    assert scope.cancelled_caught
    assert [report.error for report in reports if isinstance(report, HookFailed)] == ["ValueError"]
    assert quick.notes == []


async def swallow() -> None:
    for _ in range(3):
        with trio.CancelScope() as scope:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:  # noqa: ASYNC103 - what a hook must not do
                scope.cancel()


@on_mock_time
async def test_a_hook_that_swallows_its_cancellation_is_reported_when_it_ends() -> None:
    reports, quick = Reports(), Quick()
    await manager(reports, Does(swallow), quick).trigger_session_end(END)
    assert len(reports.of(HookFailed)) == len(quick.notes) == 1


@on_mock_time
async def test_nobody_waits_for_a_hook_that_would_not_stop() -> None:
    async def shield() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    reports, quick, start = Reports(), Quick(), trio.current_time()
    await manager(reports, Does(shield), quick).trigger_session_end(END)
    assert quick.times == [start + HOOK_SECONDS + GRACE]
    assert reports == [HookWouldNotStop(ANN, "e1", "Does")]


@on_mock_time
async def test_a_hook_whose_calls_would_not_stop_is_told_no_more_until_one_has_ended() -> None:
    gate, calls = trio.Event(), list[None]()

    async def shield() -> None:
        calls.append(None)
        with trio.CancelScope(shield=True):
            await gate.wait()

    reports, quick = Reports(), Quick()
    hooks = manager(reports, Does(shield), quick)
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_STUCK + 2):
            for listener in hooks.listeners:
                await hooks.tell(listener, END, nursery)
        assert len(calls) == len(reports.of(HookWouldNotStop)) == MAX_STUCK
        assert reports.of(HookSkipped) == [HookSkipped(ANN, "e1", "Does")] * 2
        assert len(quick.notes) == MAX_STUCK + 2
        gate.set()
        await trio.sleep(1)
        await hooks.tell(hooks.listeners[0], END, nursery)
    assert len(calls) == MAX_STUCK + 1


async def test_what_a_hook_writes_into_its_end_changes_nobody_elses() -> None:
    class Writes:
        async def on_session_end(self, ending: Ending, reason: EndReason) -> None:  # noqa: ARG002 - the protocol's
            await trio.lowlevel.checkpoint()
            ending.facts.custom_data["k"] = "changed"

    quick = Quick()
    await manager(Reports(), Writes(), quick).trigger_session_end(END)
    assert quick.notes[0][1] == END
    assert END.facts.custom_data == {"k": "secret"}


async def test_without_a_reporter_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    hooks = HookManager()
    hooks.register(Does(fail))
    await hooks.trigger_session_end(END)
    (record,) = caplog.records
    assert "ValueError" in record.getMessage()
    assert "secret" not in record.getMessage()


async def test_a_hook_hears_of_ends_from_its_registration_on() -> None:
    hooks, quick = HookManager(Reports()), Quick()
    await hooks.trigger_session_end(END)
    hooks.register(quick)
    assert quick.notes == []
    await hooks.trigger_session_end(END)
    assert len(quick.notes) == 1
