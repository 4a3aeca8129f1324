"""Keeps garbage collection from stopping the loop for long, however many sessions live.

Theory of operation. Python frees almost everything by counting references; its collector looks for cycles
only. A full collection looks at every object that could be part of one, which takes 0.2 to 0.4 microseconds
each, and everything waits meanwhile: for a second or more with 100,000 sessions. But what one collection has
found alive need not be looked at by the next. So each full collection that takes long enough to matter is
the last one for the objects that it finds alive: `gc.freeze` sets them apart, which takes no time. They are
freed all the same when their last reference goes, as those of a session that leaves memory. What remains to
be looked at is what was made since then, and Python looks at that before there is much of it: at the latest
when there are some 85,000 objects more.

The price: a cycle that becomes garbage after it was set apart is not found. So once memory has grown to
twice what it was when everything was last looked at, and by half a gigabyte or so, everything is looked at
again. That takes as long as ever, but memory has to double for it: what such cycles can hold is bounded, and
a process whose memory does not grow never stops for it. To look at everything in an idle moment instead
would be a second of silence for whoever comes in that moment, and nobody can know that nobody comes.

There is one collector in a process, so it is for the owner of the process to ask for this. Thresholds stay
as they are: higher ones make each short collection longer, and save little once full ones are short.
"""

import gc
import math
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

LONG: Final = 0.01
"""Seconds of the processor; half of the 20 ms that the loop may be late in one of a thousand cases."""

GROWTH: Final = 8_000_000
"""Allocated blocks, of some 80 bytes each: more than sessions take that are kept in memory by default."""

_FULL: Final = 2  # the oldest of Python's generations


class _Warden:
    """Is told of every collection in this process, by whichever thread it happens in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self._began = math.inf
        self._looks_at_all = True
        self._blocks = 0

    def begin(self) -> None:
        """Look at everything, and set apart what is alive if that took long."""
        self._looks_at_all = True
        gc.callbacks.append(self.hear)
        gc.collect()

    def end(self) -> None:
        """Leave the collector as a process without this module has it."""
        gc.callbacks.remove(self.hear)
        gc.unfreeze()

    def hear(self, phase: str, info: dict[str, int]) -> None:
        """Time full collections; called inside of one, so it does as little as it can."""
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = time.thread_time()
        elif time.thread_time() - self._began >= LONG:
            self._decide()

    def _decide(self) -> None:
        blocks = sys.getallocatedblocks()
        if self._looks_at_all:
            self._looks_at_all = False
            self._blocks = blocks
        elif blocks > 2 * self._blocks + GROWTH:
            self._looks_at_all = True
            gc.unfreeze()  # the next full collection, which is due soon, meets everything
            return
        gc.freeze()


_WARDEN: Final = _Warden()


@contextmanager
def short_collections() -> Generator[None]:
    """Have no garbage collection of this process take long, for the length of a ``with``.

    It begins with a full collection, so it is best entered before anybody waits for anything. It may be
    entered any number of times, from any thread. When the last has left it, the collector is as it was,
    except that nothing is frozen any longer, be it by this or by `gc.freeze` before.
    """
    with _WARDEN.lock:
        _WARDEN.users += 1
        if _WARDEN.users == 1:
            _WARDEN.begin()
    try:
        yield
    finally:
        with _WARDEN.lock:
            _WARDEN.users -= 1
            if _WARDEN.users == 0:
                _WARDEN.end()
