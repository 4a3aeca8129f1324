"""Names who holds up the event loop, while it does: from a thread, since nothing on the loop runs then.

Theory of operation. Twenty times a second the thread looks at what the loop's thread is at. A loop that waits
for events is alive and is left asleep. One at work is asked for a sign of life, which it gives between two
passes over its tasks; until then it is *still*, and each look notes who was at work. Sessions, actors and
tasks pay nothing for it, and it goes by real time: Trio's clock may be a test's.
"""

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import msgspec
import trio

from .at_work import AtWork, at_work, is_idle
from .reports import Reporter, guarded
from .stillness import LOOK, Stillness

LIMIT: Final = 0.25  # seconds that a loop may be still; people notice what takes longer
AT_ONCE: Final = 5  # blockings reported in a row
ONE_MORE: Final = 10.0  # seconds until one more is
LOOKS: Final = 64  # remembered of one stillness
ANOTHER: Final = round(LIMIT / LOOK)  # looks in a row that show another at work: it holds the loop now
LAST_WORD: Final = 1.0  # seconds that the end waits for a reporter that writes to a full pipe


class LoopBlocked(msgspec.Struct, frozen=True):
    """The event loop is held up, and nothing else in it can run.

    It is sent while that lasts, or right after; then ``seconds`` is the whole, and no `LoopReleased` follows.

    Attributes:
        who: Who was at work at most looks: an actor, a turn or a task, by name.
        where: File and line of the innermost Python code, at the last of these looks.
        callers: Those that it was called from, the innermost first.
        seconds: For how long so far, counted from the loop's last sign of life.
        unreported: Blockings since the last report that were not reported, because there were too many.
    """

    who: str
    where: str
    callers: tuple[str, ...]
    seconds: float
    unreported: int = 0


class LoopReleased(msgspec.Struct, frozen=True):
    """The event loop that was reported as held up by ``who`` goes on; ``seconds`` is for how long it was."""

    who: str
    seconds: float


@contextmanager
def watch_loop(report: Reporter) -> Generator[None]:
    """Report for the length of a ``with`` whatever holds this task's event loop up for `LIMIT` seconds.

    What holds it up for a tenth of a second less is never reported.

    Args:
        report: Told of `LoopBlocked` and `LoopReleased` from another thread, while the loop may be blocked:
            it must neither touch Trio nor wait for the loop.
    """
    watchdog = _Watchdog(report)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    """The thread, and what it has seen of the present stillness."""

    def __init__(self, report: Reporter) -> None:
        self._report = guarded(report)
        self._token = trio.lowlevel.current_trio_token()
        self._loop = threading.get_ident()
        self._used = _processor_time()
        self._heard_at = time.monotonic()
        self._is_answered = True
        self._stillness = Stillness(self._heard_at, self._used())
        self._seen: deque[AtWork] = deque(maxlen=LOOKS)
        self._chief = ""  # who was seen most before the last report
        self._told: str | None = None  # how the one was called that was reported and still holds it up
        self._unreported = 0
        self._may_report = _Allowance(self._heard_at)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greenroom-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time, and end; called by the loop."""
        self._answer()
        self._stopping.set()
        self._thread.join(LAST_WORD)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self._look()
        self._look()

    def _look(self) -> None:
        frame = sys._current_frames().get(self._loop)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        at = time.monotonic()
        is_waiting = frame is None or is_idle(frame)
        is_answered = self._is_answered
        heard_at = self._heard_at if is_answered else None
        before = self._stillness.look(at, self._used(), heard_at=heard_at, is_waiting=is_waiting)
        if is_answered or is_waiting:
            self._end(before, at)
        if frame is None or is_waiting:
            return
        if is_answered:
            self._ask()
        seconds = self._stillness.seconds
        if seconds >= LIMIT or not is_answered:
            self._seen.append(at_work(frame))
        if self._told is not None and self._is_another():
            self._end(seconds - ANOTHER * LOOK, at)
            self._stillness.seconds = seconds = ANOTHER * LOOK
            self._seen.append(at_work(frame))
        if self._told is None and seconds >= LIMIT:
            self._tell(seconds, at)

    def _is_another(self) -> bool:
        """Whether the one that was reported has ended, and the next one holds the loop in the same pass."""
        latest = list(self._seen)[-ANOTHER:]
        return len(latest) == ANOTHER and all(seen.who != self._chief for seen in latest)

    def _ask(self) -> None:
        """Ask the loop for a sign of life."""
        self._is_answered = False
        with suppress(trio.RunFinishedError):  # it has ended while the reporter was slow
            self._token.run_sync_soon(self._answer)

    def _answer(self) -> None:
        """The sign of life; called by the loop."""
        self._heard_at = time.monotonic()  # before the next line: the thread reads them the other way round
        self._is_answered = True

    def _end(self, seconds: float, at: float) -> None:
        """Whoever was at work has let go after so many seconds."""
        if self._told is not None:
            self._report(LoopReleased(self._told, round(seconds, 3)))
        elif seconds >= LIMIT and self._seen:  # it let go shortly before this look
            self._unreported += not self._tell(seconds, at)
        self._told = None
        self._seen.clear()

    def _tell(self, seconds: float, at: float) -> bool:
        """Report who was seen at work, unless there were too many reports; whether it was."""
        if not self._may_report(at):
            return False
        [(who, count)] = Counter(seen.who for seen in self._seen).most_common(1)
        last = next(seen for seen in reversed(self._seen) if seen.who == who)
        self._chief, self._told = who, who if 2 * count > len(self._seen) else f"several, {who} among them"
        self._report(LoopBlocked(self._told, last.where, last.callers, round(seconds, 3), self._unreported))
        self._unreported = 0
        self._seen.clear()
        return True


class _Allowance:
    """Lets `AT_ONCE` pass in a row, and then one each `ONE_MORE` seconds."""

    def __init__(self, at: float) -> None:
        self._left = float(AT_ONCE)
        self._at = at

    def __call__(self, at: float) -> bool:
        """Whether one may pass now."""
        self._left = min(AT_ONCE, self._left + (at - self._at) / ONE_MORE)
        self._at = at
        may_pass = self._left >= 1.0
        self._left -= may_pass
        return may_pass


def _processor_time() -> Callable[[], float]:
    """What tells the processor time of this thread, in seconds, to any thread.

    Where there is no such clock, code that keeps the interpreter's lock to itself goes unseen.
    """
    if sys.platform == "linux":
        return partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))
    return lambda: 0.0
