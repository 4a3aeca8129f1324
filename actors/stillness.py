"""For how long an event loop has been still, by the looks of a watcher that may itself be kept waiting.

Theory of operation. Each look adds the time since the last one to the stillness, unless the loop showed
itself alive in between. But a look that comes late says little: the process may have been stopped, the
machine may have been too busy for either thread, or other threads may hold the interpreter's lock. In all
these nobody blocks the loop. So of a late interval only the processor time counts that the loop's own thread
has used: so it looks when code in C keeps the interpreter's lock, and the watcher waits for it too.
"""

from typing import Final

LOOK: Final = 0.05
"""Seconds between two looks, and what the length of a stillness may be wrong by.

Twenty wake-ups a second cost an idle process about two thousandths of a core.
"""

LATE: Final = 2 * LOOK
"""Seconds after the last look from which a look is late."""


class Stillness:
    """Adds up looks.

    Attributes:
        seconds: How long the loop has been still, counted from its last sign of life.
    """

    __slots__ = ("_at", "_used", "seconds")

    def __init__(self, at: float, used: float) -> None:
        """Begin with a loop that is alive.

        Args:
            at: Now, in seconds of a clock that nobody sets.
            used: Seconds of processor time that the loop's thread has had.
        """
        self.seconds = 0.0
        self._at = at
        self._used = used

    def look(self, at: float, used: float, *, heard_at: float | None, is_waiting: bool) -> float:
        """Note what a look has shown.

        Args:
            at: Now, as above.
            used: Processor time of the loop's thread, as above.
            heard_at: The loop's last sign of life; None if it was asked for one and has not answered.
            is_waiting: Whether it waits for something to do, which is one.

        Returns:
            If there was one: for how many seconds it had been still before.
        """
        passed, worked = at - self._at, used - self._used
        most = passed if passed < LATE else worked
        is_still = heard_at is None and not is_waiting
        still = passed if heard_at is None else min(max(heard_at - self._at, 0.0), passed)
        self._at, self._used = at, used
        self.seconds += min(still, most)
        if is_still:
            return 0.0
        before, self.seconds = self.seconds, 0.0 if is_waiting else min(passed - still, most)
        return before
