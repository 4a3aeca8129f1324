"""Messages sent later: one heap and one task for all timers of a supervisor. They die with the process."""

from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeVar

import trio

from .ref import ActorRef

M = TypeVar("M")

SWEEP = 64  # cancelled timers in the heap, and more than half of it, before it is swept


class Timer:
    """One thing to do later, once or again and again."""

    __slots__ = ("_act", "_gone", "at", "every", "is_live")

    def __init__(
        self, at: float, every: float | None, act: Callable[["Timer"], None], gone: Callable[[], None]
    ) -> None:
        self.at = at
        self.every = every
        self.is_live = True
        self._act = act
        self._gone = gone

    def cancel(self) -> None:
        """Do it no more; idempotent. What was sent already stays sent."""
        if self.is_live:
            self.is_live = False
            self._gone()

    def fire(self) -> None:
        """Do it now."""
        self._act(self)


class Timers:
    """Due things by the monotonic clock; the task that waits for the next one lives while there is one."""

    def __init__(self, start: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        self._start = start
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._cancelled = 0
        self._wait: trio.CancelScope | None = None
        self._is_running = False

    def __len__(self) -> int:
        """How many are neither done nor cancelled."""
        return len(self._heap) - self._cancelled

    def after(self, seconds: float, ref: ActorRef[M], message: M) -> Timer:
        """Tell a message once, ``seconds`` from now; if it is refused then, it is a dead letter.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        return self.call(seconds, lambda _: ref.post(message))

    def every(self, seconds: float, ref: ActorRef[M], message: M) -> Timer:
        """Tell a message each ``seconds``, first ``seconds`` from now, until the actor ends.

        A time at which the mailbox is full, the actor rests or the loop is busy is left out, not made up for.

        Raises:
            ValueError: ``seconds`` is not positive.
        """
        if not seconds > 0:
            raise ValueError(f"timer: expected a positive number of seconds, met {seconds}")

        def act(timer: Timer) -> None:
            if not ref.is_alive:
                timer.cancel()
            else:
                ref.offer(message)

        return self._add(seconds, seconds, act)

    def call(self, seconds: float, act: Callable[[Timer], None]) -> Timer:
        """Call something once that neither waits nor raises.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        if not seconds >= 0:
            raise ValueError(f"timer: expected no negative number of seconds, met {seconds}")
        return self._add(seconds, None, act)

    def _add(self, seconds: float, every: float | None, act: Callable[[Timer], None]) -> Timer:
        timer = Timer(trio.current_time() + seconds, every, act, self._forget)
        self._push(timer)
        if not self._is_running:
            self._is_running = True
            self._start(self._run)
        elif self._wait is not None and timer.at < self._wait.deadline:
            self._wait.deadline = timer.at
        return timer

    def _push(self, timer: Timer) -> None:
        heappush(self._heap, (timer.at, next(self._numbers), timer))

    def _forget(self) -> None:
        self._cancelled += 1
        if self._cancelled > SWEEP and 2 * self._cancelled > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].is_live]
            heapify(self._heap)
            self._cancelled = 0

    async def _run(self) -> None:
        try:
            while self._heap:
                with trio.CancelScope(deadline=self._heap[0][0]) as self._wait:
                    await trio.sleep_forever()
                self._wait = None
                self._fire_due(trio.current_time())
        finally:
            self._is_running = False

    def _fire_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            timer = heappop(self._heap)[2]
            if not timer.is_live:
                self._cancelled -= 1
            elif timer.every is None:
                timer.is_live = False
                timer.fire()
            else:
                timer.at += timer.every * ((now - timer.at) // timer.every + 1)
                self._push(timer)
                timer.fire()
