"""No leap of a clock, sleep of a machine or stop of a process makes anybody silent who was not."""

from typing import NamedTuple

import pytest
from greenroom.actors.silence import LONGEST_BEAT, MICROSECONDS, MOST_GAPS, SLACK, SilenceClock
from hypothesis import given
from hypothesis import strategies as st

NOON = 1_800_000_000 * MICROSECONDS
HOUR = 3600.0
SECONDS_TOO_MUCH = SLACK / MICROSECONDS + 1e-3  # the slack, and the rounding of a few hundred looks


def us(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


class World:
    """Two clocks, a process that looks at them, and what is really lived through."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 50.0
        self.lived = 0.0
        self.silence = SilenceClock(self.wall, self.monotonic, 40 * HOUR)
        self.steady_since = NOON
        self.gaps_end = NOON

    def live(self, seconds: float, drift: float = 0.0) -> None:
        self.wall += us(seconds * (1 + drift))
        self.monotonic += seconds
        self.lived += seconds

    def happen(self, what: str, seconds: float) -> None:
        """Something in which nobody lives: ``stop``, ``suspend``, or the wall clock set to another time."""
        self.wall += us(seconds)
        if what == "stop":
            self.monotonic += seconds

    def look(self) -> None:
        before = self.silence.cutoff(0)
        gap = self.silence.note(self.wall, self.monotonic)
        if gap or self.wall < before:
            self.steady_since = self.wall
        if gap:
            self.gaps_end = self.wall

    def beats(self, seconds: int) -> None:
        for _ in range(seconds):
            self.live(1.0)
            self.look()

    def is_due(self, since: int, after: float) -> bool:
        return since < self.silence.cutoff(after)


class Beat(NamedTuple):
    """The time between two looks; something may happen in the middle of it."""

    first: float
    rest: float
    drift: float
    event: str | None
    seconds: float


calm = st.builds(
    Beat,
    st.floats(0, LONGEST_BEAT / 2),
    st.floats(0, LONGEST_BEAT / 2),
    st.sampled_from([0.0, 0.0, 0.002, -0.002]),
    st.none(),
    st.just(0),
)
leaps = st.sampled_from([0.01, 0.3, 0.7, 2, 60, HOUR, -0.01, -0.3, -0.7, -2, -60, -HOUR]) | st.floats(-9, 9)
wild = st.builds(
    Beat,
    st.floats(0, 1),
    st.floats(0, 1),
    st.just(0.0),
    st.sampled_from(["set", "suspend", "stop"]),
    leaps,
)
histories = st.lists(st.one_of(calm, calm, wild), max_size=60)
afters = (0.5, 3.0, 30.0, HOUR)


def meaning(beat: Beat) -> tuple[str | None, float]:
    """Nobody sleeps backwards, and a short stop is not told from a busy moment."""
    if beat.event == "stop":
        return "stop", max(abs(beat.seconds), LONGEST_BEAT + 0.1)
    if beat.event == "suspend":
        return "suspend", abs(beat.seconds)
    return beat.event, beat.seconds


@given(histories)
def test_f23_nobody_is_due_before_the_silence_was_lived_through(history: list[Beat]) -> None:
    world = World()
    stamps = [(world.wall, 0.0)]
    for beat in history:
        event, seconds = meaning(beat)
        world.live(beat.first, beat.drift)
        stamps.append((world.wall, world.lived))
        if event is not None:
            world.happen(event, seconds)
            stamps.append((world.wall, world.lived))
        world.live(beat.rest, beat.drift)
        stamps.append((world.wall, world.lived))
        world.look()
        for since, lived_before in stamps:
            lived = world.lived - lived_before
            assert world.silence.silence(since) <= lived + SECONDS_TOO_MUCH
            for after in afters:
                assert not world.is_due(since, after) or lived >= after - SECONDS_TOO_MUCH


@given(histories)
def test_everybody_is_due_once_the_silence_was_lived_through_since_the_last_leap(history: list[Beat]) -> None:
    world = World()
    stamps = [world.wall]
    for beat in history:
        event, seconds = meaning(beat)
        world.live(beat.first, beat.drift)
        if event is not None:
            world.happen(event, seconds)
        world.live(beat.rest, beat.drift)
        stamps.append(world.wall)
        world.look()
        for since in stamps:
            silent = world.silence.silence(since)
            for after in afters:
                if world.wall - max(since, world.steady_since) > us(after):
                    assert world.is_due(since, after)
                if world.is_due(since, after):
                    assert silent >= after
                elif since < world.wall:
                    assert silent <= after
                if since >= world.gaps_end:  # no gap since: on the microsecond
                    assert world.is_due(since, after) == (world.wall - since > us(after))


@given(histories, st.floats(0, 99), st.floats(0, 99))
def test_longer_silence_is_due_later_and_by_an_earlier_moment(
    history: list[Beat], one: float, other: float
) -> None:
    world = World()
    for beat in history:
        world.live(beat.first + beat.rest, beat.drift)
        world.happen(*meaning(beat)) if beat.event else None
        world.look()
    assert world.silence.cutoff(max(one, other)) <= world.silence.cutoff(min(one, other)) <= world.wall


@pytest.mark.parametrize("what", ["stop", "suspend", "set"])
def test_f23_a_leap_is_added_to_what_was_silent_before_it_and_not_to_what_was_active_after(what: str) -> None:
    world = World()
    before = world.wall
    world.beats(100)
    world.happen(what, HOUR)
    world.look()
    after = world.wall
    assert world.silence.silence(before) == 100
    assert not world.is_due(before, 300)
    world.beats(199)
    assert not world.is_due(before, 300)
    world.beats(2)
    assert world.is_due(before, 300)
    assert not world.is_due(after, 300)
    world.beats(98)
    assert not world.is_due(after, 300)
    world.beats(2)
    assert world.is_due(after, 300)


def test_f23_the_wall_clock_set_back_an_hour_and_set_right_again_ends_nobody_early() -> None:
    world = World()
    early = world.wall
    world.beats(100)
    late = world.wall
    world.happen("set", -HOUR)
    world.look()
    meanwhile = world.wall
    world.beats(50)
    assert not world.is_due(early, 60)
    assert not world.is_due(meanwhile, 60)
    assert world.silence.silence(late) < 0  # its stamp lies in the future now
    world.happen("set", HOUR)
    world.look()
    world.beats(9)
    assert not world.is_due(meanwhile, 60)
    world.beats(2)
    assert world.is_due(meanwhile, 60)
    assert not world.is_due(early, 60)  # nobody can say when it was: before the gap's end, at any rate
    assert not world.is_due(late, 60)
    world.beats(90)
    assert world.is_due(early, 60)
    assert world.is_due(late, 60)


def test_f23_several_leaps_in_one_silence_are_all_forgiven() -> None:
    world = World()
    since = world.wall
    for _ in range(9):
        world.beats(1)
        world.happen("suspend", 60)
        world.look()
    assert world.silence.silence(since) == 9
    assert not world.is_due(since, 10)
    world.beats(2)
    assert world.is_due(since, 10)


def test_a_busy_process_lives_although_its_looks_come_late() -> None:
    world = World()
    since = world.wall
    for _ in range(10):
        world.live(1.9)
        world.look()
    assert world.silence.silence(since) == pytest.approx(19)


def test_a_wall_clock_that_creeps_ahead_is_noticed() -> None:
    world = World()
    since = world.wall
    for _ in range(1000):
        world.live(1.0, drift=0.01)
        world.look()
    assert 1000 - 0.01 <= world.silence.silence(since) <= 1000 + SECONDS_TOO_MUCH


def test_a_look_tells_the_gap_it_has_found() -> None:
    silence = SilenceClock(NOON, 0.0, HOUR)
    assert silence.note(NOON + us(1), 1.0) == 0
    assert silence.note(NOON + us(62), 2.0) == 60
    assert silence.note(NOON + us(2), 3.0) == 0


def test_gaps_are_bounded_and_what_is_forgotten_makes_nobody_due_early() -> None:
    world = World()
    stamps = [(world.wall, world.lived)]
    for number in range(3 * MOST_GAPS):
        world.beats(1 + number % 3)
        stamps.append((world.wall, world.lived))
        world.happen("set", 100)
        world.look()
        assert len(world.silence._gaps) <= MOST_GAPS
        for since, lived in stamps:
            assert world.silence.silence(since) <= world.lived - lived
    since, lived = stamps[-MOST_GAPS // 2]
    assert world.silence.silence(since) > 0
    world.beats(int(39 * HOUR))
    world.happen("set", 100)
    world.look()
    assert len(world.silence._gaps) == MOST_GAPS
    world.beats(int(41 * HOUR))
    world.happen("set", 100)
    world.look()
    assert len(world.silence._gaps) == 1  # older ones matter to nobody
