"""Fault F18: a session whose every start fails for half an hour is started exactly as often as promised."""

from itertools import pairwise

import pytest
import trio
from greenroom.actors.errors import QuarantinedError, UnavailableError
from greenroom.actors.reports import SessionCrashed, SessionQuarantined
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import SessionRecord
from greenroom.persistence.store import SessionStore
from greenroom.runtime.core import Core

from tests.actors.conftest import KeptInMemory
from tests.actors.faults import Around, CrashesOnHistory
from tests.actors.hand import ANN, BOB, Ear, Reports, attach, done, on_mock_time, running, send

HALF_AN_HOUR = 1800.0
BACK_OFF = (0.02, 0.04, 0.08, 0.16, 0.32)  # seconds before the restarts of one burst, without jitter
RESTS = (15.0, 30.0, 60.0, 120.0, 240.0, 300.0)  # seconds after each sixth crash, the last one from then on
JITTER = 1.25


class CannotStart(Around):
    """Refuses to load one session, in a way that is no refusal, and notes when it was asked to."""

    def __init__(self, inside: SessionStore, victim: SessionID) -> None:
        super().__init__(inside)
        self.victim = victim
        self.tried: list[float] = []

    def load(self, session: SessionID) -> SessionRecord | None:
        if session == self.victim:
            self.tried.append(trio.current_time())
            raise RuntimeError("cannot start")
        return self.inside.load(session)


def check_schedule(tried: list[float], until: float) -> None:
    """Each start came after its delay, none came between, and none is missing at the end."""
    gaps = [later - earlier for earlier, later in pairwise([*tried, until])]
    for number, gap in enumerate(gaps):
        burst, place = divmod(number, 6)
        plain = BACK_OFF[place] if place < 5 else RESTS[min(burst, len(RESTS) - 1)]
        assert gap <= plain * JITTER + 1e-6, (number, gap, plain)
        if number < len(gaps) - 1:
            assert gap >= plain - 1e-6, (number, gap, plain)


def fewest_and_most(seconds: float) -> tuple[int, int]:
    """How many starts the schedule allows in a time, with every delay at its longest and at its shortest."""
    counts: list[int] = []
    for jitter in (JITTER, 1.0):
        at, count = 0.0, 0
        while at < seconds:
            count += 1
            burst, place = divmod(count - 1, 6)
            at += jitter * (BACK_OFF[place] if place < 5 else RESTS[min(burst, len(RESTS) - 1)])
        counts.append(count)
    return counts[0], counts[1]


async def pester(core: Core, answers: list[tuple[str, float]]) -> None:
    """Ask the session for something every quarter of a second, and wait for no answer."""
    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(_ask, core, f"p{len(answers)}-{trio.current_time()}", answers)
            await trio.sleep(0.25)


async def _ask(core: Core, client_id: str, answers: list[tuple[str, float]]) -> None:
    try:
        await send(core, ANN, client_id)
    except (QuarantinedError, UnavailableError) as error:
        answers.append((error.name, error.retry_after or 0.0))
    else:
        answers.append(("acked", 0.0))


@on_mock_time
async def test_f18_p13_a_session_that_cannot_start_is_tried_as_often_as_promised_for_half_an_hour() -> None:
    store, reports = CannotStart(KeptInMemory(), ANN), Reports()
    async with running(store, report=reports) as core:
        began = trio.current_time()
        core.router.wake(ANN)
        await trio.sleep_until(began + HALF_AN_HOUR)
        tried = list(store.tried)
    check_schedule(tried, began + HALF_AN_HOUR)
    fewest, most = fewest_and_most(HALF_AN_HOUR)
    assert (fewest, most) == (54, 60)
    assert fewest <= len(tried) <= most
    assert len(reports.of(SessionCrashed)) == len(tried)
    assert len(reports.of(SessionQuarantined)) == len(tried) // 6


@on_mock_time
async def test_f18_p13_however_often_it_is_asked_a_session_that_cannot_start_is_tried_no_more_often() -> None:
    store, reports, answers = CannotStart(KeptInMemory(), ANN), Reports(), list[tuple[str, float]]()
    async with running(store, report=reports) as core:
        began = trio.current_time()
        with trio.move_on_at(began + HALF_AN_HOUR):
            await pester(core, answers)
        tried = list(store.tried)
    check_schedule(tried, began + HALF_AN_HOUR)
    assert len(answers) == HALF_AN_HOUR / 0.25
    assert {name for name, _ in answers} == {"session_quarantined"}
    assert 0 < max(seconds for _, seconds in answers) <= RESTS[-1] * JITTER
    assert len(reports.of(SessionCrashed)) == len(tried)


@on_mock_time
async def test_f18_p11_a_crash_loop_spends_nothing_of_a_neighbours_budget() -> None:
    store, reports = CannotStart(CrashesOnHistory(KeptInMemory(), BOB), ANN), Reports()
    async with running(store, report=reports) as core:
        await done(core, BOB, "first")
        core.router.wake(ANN)
        for number in range(20):
            for _ in range(5):  # all that are allowed in 30 s, if nobody else spends them
                with pytest.raises(UnavailableError, match="outcome unknown"):
                    await attach(core, BOB, Ear())
                await trio.sleep(1)
            assert (await done(core, BOB, f"b{number}")).stop_reason == "end_turn"
            await trio.sleep(30)
    crashed = [report.session for report in reports.of(SessionCrashed)]  # type: ignore[attr-defined]
    assert crashed.count(BOB) == 100
    assert {report.session for report in reports.of(SessionQuarantined)} == {ANN}  # type: ignore[attr-defined]
    assert len(store.tried) == crashed.count(ANN)
