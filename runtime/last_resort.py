"""Ends the process when its event loop cannot: a thread that waits for the time after a signal to run out.

Python runs signal handlers between two bytecodes of the main thread, so they are heard even while an agent
holds the event loop and nothing that is scheduled on it ever runs.
"""

import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final, Self

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_GRACE: Final = 4.5  # seconds beyond the drain in which the process must be gone, whoever will not stop
AT_ONCE: Final = 0.9  # seconds; a little less than the one that is promised after a second signal
LAST_WORD: Final = 0.2  # seconds for one line on standard error, which may be a full pipe

BEYOND_REPAIR: Final = 70  # exit code, as in `exits`
_HELD = "expected an orderly end in time, met code that would not let go; every acked message is stored"
_STORED = "left without waiting for what would not end; everything accepted is stored"


class LastResort:
    """From the first signal on, ends the process by force when its time is over.

    Use it as a context inside the one that handles the signals; after an orderly end nothing is left of it.

    Args:
        drain: Seconds that running turns get after the first signal.
    """

    def __init__(self, drain: float) -> None:
        self._patience = drain + EXIT_GRACE
        self._is_signalled = False
        self._is_stored = False
        # Its `put` may interrupt itself, which those of other queues, events and locks may not.
        self._deadlines: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="last resort", daemon=True)
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        self._thread.start()
        for number in SIGNALS:
            signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._deadlines.put(None)
        self._thread.join()

    def all_is_stored(self) -> None:
        """From now on an end by force is a success: only what would not stop is lost."""
        self._is_stored = True

    def leave_soon(self, seconds: float = AT_ONCE) -> None:
        """Give the process at most so many seconds from now on."""
        self._deadlines.put(time.monotonic() + seconds)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._is_signalled:
            self.leave_soon()
        else:
            self._is_signalled = True
            self._deadlines.put(time.monotonic() + self._patience)
        handler = self._handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def _watch(self) -> None:
        """Wait for the earliest of the deadlines, then end the process; None ends this thread instead."""
        earliest: float | None = None
        while True:
            try:
                left = None if earliest is None else max(0.0, earliest - time.monotonic())
                deadline = self._deadlines.get(timeout=left)
            except queue.Empty:
                self._leave()
                return
            if deadline is None:
                return
            earliest = deadline if earliest is None else min(earliest, deadline)

    def _leave(self) -> None:
        word = threading.Thread(target=_tell, args=[_STORED if self._is_stored else _HELD], daemon=True)
        with suppress(RuntimeError):  # no thread to be had: then it leaves without a word
            word.start()
            word.join(LAST_WORD)
        os._exit(0 if self._is_stored else BEYOND_REPAIR)


def _tell(sentence: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it, or it is closed; the exit code still tells
        if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when started without one
            print("greenroom:", sentence, file=sys.stderr, flush=True)  # noqa: T201  # the operator's last word
