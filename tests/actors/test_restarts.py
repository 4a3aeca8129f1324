"""Restart intensity, back-off and quarantine, as exact counts."""

import random

from greenroom.actors.restarts import FIRST_DELAY, Restarts
from hypothesis import given
from hypothesis import strategies as st


class NoJitter(random.Random):
    def random(self) -> float:
        return 0.0


def restarts() -> Restarts:
    return Restarts(NoJitter())


def fail(what: Restarts, times: int, at: float) -> list[float | None]:
    return [what.failed(at) for _ in range(times)]


def test_p13_five_failures_are_restarted_with_a_doubling_delay_and_the_sixth_is_not() -> None:
    assert fail(restarts(), 6, at=0.0) == [0.02, 0.04, 0.08, 0.16, 0.32, None]


def test_p13_five_failures_in_every_thirty_seconds_never_quarantine() -> None:
    failing = restarts()
    for burst in range(20):
        assert None not in fail(failing, 5, at=burst * 30.0)


def test_p13_a_sixth_failure_within_the_period_quarantines_and_just_after_it_does_not() -> None:
    within, after = restarts(), restarts()
    fail(within, 5, at=0.0)
    fail(after, 5, at=0.0)
    assert within.failed(29.999) is None
    assert after.failed(30.0) == FIRST_DELAY


def test_p13_quarantine_lasts_fifteen_seconds_doubling_to_five_minutes() -> None:
    failing, at, lasted = restarts(), 1000.0, list[float]()
    for _ in range(7):
        assert fail(failing, 6, at)[-1] is None
        lasted.append(failing.remaining(at))
        at += 10_000.0
    assert lasted == [15, 30, 60, 120, 240, 300, 300]


def test_quarantine_counts_down_to_nothing() -> None:
    failing = restarts()
    assert failing.remaining(0.0) == 0
    fail(failing, 6, at=100.0)
    assert failing.remaining(104.0) == 11
    assert failing.remaining(115.0) == 0
    assert failing.remaining(500.0) == 0


def test_failures_before_a_quarantine_do_not_count_after_it() -> None:
    failing = restarts()
    fail(failing, 6, at=0.0)
    assert None not in fail(failing, 5, at=16.0)


@given(st.integers())
def test_jitter_adds_at_most_a_quarter(seed: int) -> None:
    failing = Restarts(random.Random(seed))  # noqa: S311 - a test's schedule
    delays = fail(failing, 6, at=0.0)
    for delay, plain in zip(delays, [0.02, 0.04, 0.08, 0.16, 0.32], strict=False):
        assert delay is not None
        assert plain <= delay <= plain * 1.25
    assert 15 <= failing.remaining(0.0) <= 18.75
