"""Silence in a world whose clock is set, whose laptop sleeps and whose process is stopped.

Theory of operation. A session is silent since a moment of wall time, stored with it. How long that is cannot
be had by subtraction: the wall clock may have leapt meanwhile, or nobody was there to be spoken to. So the
runtime looks at both clocks once a second, and each look says how much of the time since the last one
was *lived*: all that the monotonic clock counted, or nothing if the look came so late that the process cannot
have been at work. Wall time that went by without being lived is a *gap*. Silence is wall time less gaps; a
moment inside a gap counts as its end.

So a session that fell silent before a gap gets the gap on top of its time, one that was active after it is
due exactly on time, and the due ones are still those silent since before one moment, which is one indexed
query. If the wall clock is set back, the gaps of the time that comes again are forgotten with it, and whoever
was active in that time is due late by as much: late, never early. When it is set right again, that is a gap.
"""

from typing import NamedTuple

MICROSECONDS = 1_000_000
"""In a second."""

BEAT = 1.0
"""Seconds between two looks."""

LONGEST_BEAT = 2.0
"""Seconds that a busy process may let pass between two looks; one that lets more pass was stopped.

A shorter stop counts as lived.
"""

SLACK = MICROSECONDS // 2
"""Microseconds by which the wall clock may get ahead bit by bit, as it is slewed, before that is a gap.

Silence is never overstated by more.
"""

MOST_GAPS = 100
"""Gaps remembered; more are made fewer by joining the two nearest, which makes sessions late, not early."""


class Gap(NamedTuple):
    """Wall time that was not lived, in microseconds since the Unix epoch."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """In microseconds."""
        return self.end - self.start


class SilenceClock:
    """Tells how long ago a moment of wall time is, counting only time that was lived."""

    def __init__(self, wall_us: int, monotonic_s: float, longest_s: float) -> None:
        """Start with a first look; what lies before it counts as silence as it stands.

        Args:
            wall_us: The wall clock, microseconds since the Unix epoch.
            monotonic_s: A clock that nobody sets, seconds.
            longest_s: Silences longer than this are not asked about.
        """
        self._wall = wall_us
        self._monotonic = monotonic_s
        self._longest = longest_s
        self._ahead = 0
        self._gaps: list[Gap] = []

    def note(self, wall_us: int, monotonic_s: float) -> float:
        """Look at both clocks; to be called `BEAT` after the last time, or earlier.

        Args:
            wall_us: The wall clock now.
            monotonic_s: The other clock now.

        Returns:
            Seconds of a gap that this look has found; 0 if it found none.
        """
        elapsed = monotonic_s - self._monotonic
        lived = elapsed if elapsed <= LONGEST_BEAT else 0.0
        lived_until = self._wall + round(lived * MICROSECONDS)
        went_back = wall_us < self._wall
        self._wall, self._monotonic = wall_us, monotonic_s
        if went_back:
            self._forget_what_comes_again()
            return 0.0
        # Small leads add up, so that a clock that is slewed for hours makes gaps of it; to lag is to be late.
        self._ahead = max(0, self._ahead + wall_us - lived_until)
        if self._ahead <= SLACK:
            return 0.0
        return self._add_gap() / MICROSECONDS

    def silence(self, since_us: int) -> float:
        """Seconds lived between a moment of wall time and the last look; negative if it lies ahead."""
        missed = sum(gap.end - max(gap.start, since_us) for gap in self._gaps if gap.end > since_us)
        return (self._wall - since_us - missed) / MICROSECONDS

    def cutoff(self, after_s: float) -> int:
        """The moment of wall time, in microseconds, before which everybody is due who fell silent.

        Args:
            after_s: Seconds of silence after which one is due, up to the longest.
        """
        cutoff = self._wall - round(after_s * MICROSECONDS)
        for gap in reversed(self._gaps):
            if gap.end <= cutoff:
                break
            cutoff -= gap.length
        return cutoff

    def _forget_what_comes_again(self) -> None:
        """Cut the gaps off at the present: what is stamped from now on lies in them no more."""
        self._ahead = 0
        self._gaps = [
            Gap(gap.start, min(gap.end, self._wall)) for gap in self._gaps if gap.start < self._wall
        ]

    def _add_gap(self) -> int:
        """Let what the wall clock is ahead be a gap that ends now; its length."""
        new = Gap(self._wall - self._ahead, self._wall)
        self._ahead = 0
        start = self._gaps.pop().start if self._gaps and self._gaps[-1].end == new.start else new.start
        self._gaps.append(Gap(start, new.end))
        oldest = self.cutoff(self._longest)  # with the new one: what was lived before it is not that long ago
        kept = [gap for gap in self._gaps if gap.end > oldest]
        if len(kept) > MOST_GAPS:
            _join_nearest(kept)
        self._gaps = kept
        return new.length


def _join_nearest(gaps: list[Gap]) -> None:
    """Make one gap of the two with the least lived time between them."""
    nearest = min(range(1, len(gaps)), key=lambda place: gaps[place].start - gaps[place - 1].end)
    gaps[nearest - 1 : nearest + 1] = [Gap(gaps[nearest - 1].start, gaps[nearest].end)]
