"""How often an actor may fail, by arithmetic: restart intensity, back-off, quarantine."""

import math
import random
from collections import deque

# Five restarts in thirty seconds: the burst that the OTP design principles advise for a worker.
INTENSITY = 5
PERIOD = 30.0  # seconds
FIRST_QUARANTINE = 15.0  # seconds, doubling with each quarantine
LONGEST_QUARANTINE = 300.0  # seconds
FIRST_DELAY = 0.02  # seconds before the first restart of a burst, doubling with each
MOST_DOUBLINGS = 10  # so the longest delay is 20 s
JITTER = 0.25  # of each delay, so that many failures do not come back in step


class Restarts:
    """The failures of one actor, and what follows from them. Times are monotonic seconds."""

    def __init__(
        self,
        random_source: random.Random | None = None,
        *,
        intensity: int = INTENSITY,
        period: float = PERIOD,
    ) -> None:
        self._random = random_source or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._intensity = intensity
        self._period = period
        self._failures: deque[float] = deque()
        self._quarantine = FIRST_QUARANTINE
        self._until = 0.0
        self._latest = -math.inf

    def failed(self, at: float) -> float | None:
        """Note a failure; the seconds to wait before the restart, or None: the actor is in quarantine now."""
        self._latest = at
        while self._failures and self._failures[0] <= at - self._period:
            self._failures.popleft()
        self._failures.append(at)
        if len(self._failures) <= self._intensity:
            return self._jittered(FIRST_DELAY * 2 ** min(len(self._failures) - 1, MOST_DOUBLINGS))
        self._failures.clear()
        self._until = at + self._jittered(self._quarantine)
        self._quarantine = min(self._quarantine * 2, LONGEST_QUARANTINE)
        return None

    def remaining(self, at: float) -> float:
        """Seconds of quarantine left; 0 when there is none."""
        return max(0.0, self._until - at)

    def count_still(self, at: float) -> bool:
        """Whether failures, or a quarantine, are not so long ago that they may be forgotten."""
        return at < max(self._latest, self._until) + self._period

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + self._random.random() * JITTER)
