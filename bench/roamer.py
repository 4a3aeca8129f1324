"""Sends and reads all over many stored sessions, and how long each took."""

import random
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice, repeat

import trio

from ..actors.errors import BusyError
from ..runtime.manager import SessionManager
from .roaming_stock import Acks, content, peer

_POPULAR = 100  # sessions that are about equally popular; behind them it goes down as one over the rank
_STRIDE = 7919  # spreads the popular ones over the others
_READS = 4  # every fourth operation is a read

_NEVER, _FIRST = -1, -2  # in place of a number: never spoken to; spoken to for the first time at this moment


@dataclass
class Waits:
    """Seconds, of each kind of operation.

    Attributes:
        reads: Reading a whole conversation.
        live: Sends to sessions in which something was said a moment ago: fewer operations lie between than
            half the number of sessions that may live.
        waking: Sends to sessions in which this process has never said anything: they come to life first.
    """

    reads: list[float] = field(default_factory=list[float])
    live: list[float] = field(default_factory=list[float])
    waking: list[float] = field(default_factory=list[float])


class Roamer:
    """Makes operations on one manager.

    Attributes:
        acks: Of every send.
        refused: How often one was told to come again.
    """

    def __init__(self, manager: SessionManager, sessions: int, live: int, probes: int, most: int) -> None:
        """Prepare.

        Args:
            manager: Of whose sessions.
            sessions: How many are stored.
            live: How many of them may live at once.
            probes: How many of them are kept for `probe`.
            most: Operations in all, at most.
        """
        self._manager = manager
        self._sessions = sessions
        self._recent = live // 2
        self._draw = random.Random(1)  # noqa: S311 - the same ones every time
        self._kept = frozenset(self._draw.sample(range(sessions), probes))
        self._numbers = count()
        self._last = array("q", repeat(_NEVER, sessions))  # the number of each session's last send
        self._waits = Waits()
        self.acks = Acks(most)
        self.refused = 0

    async def wake(self, sessions: int, callers: int) -> Waits:
        """Say something in as many sessions that were never spoken to; there must be so many."""
        return await self._share(islice(self._asleep(), sessions), callers, self._send)

    async def roam(self, operations: int, callers: int) -> Waits:
        """Send and read, half of it in any session, half in popular ones."""
        drawn = (self._popular() if n % 2 else self._any() for n in range(operations))
        return await self._share(drawn, callers, self._send_or_read)

    async def probe(self) -> Waits:
        """Wake the sessions that were kept, one after the other, and send each a second message at once."""
        twice = (number for number in self._kept for _ in range(2))
        return await self._share(twice, 1, self._send)

    def _any(self) -> int:
        while (number := self._draw.randrange(self._sessions)) in self._kept:
            pass
        return number

    def _popular(self) -> int:
        """A session by Mandelbrot's form of Zipf's law; half the draws are 10,000 of a million."""
        rank = _POPULAR * ((self._sessions + _POPULAR) / _POPULAR) ** self._draw.random() - _POPULAR
        number = int(rank) * _STRIDE % self._sessions
        return self._any() if number in self._kept else number

    def _asleep(self) -> Iterator[int]:
        while True:
            if self._last[number := self._any()] == _NEVER:
                yield number

    async def _share(
        self, sessions: Iterator[int], callers: int, operation: Callable[[int], Awaitable[None]]
    ) -> Waits:
        """Have callers make an operation on each session, each caller one after the other."""

        async def call() -> None:
            for session in sessions:
                await operation(session)

        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call)
        waits, self._waits = self._waits, Waits()
        return waits

    async def _send_or_read(self, session: int) -> None:
        await (self._send(session) if self._draw.randrange(_READS) else self._read(session))

    async def _read(self, session: int) -> None:
        next(self._numbers)
        began = time.perf_counter()
        await self._manager.get_messages(peer(session))
        self._waits.reads.append(time.perf_counter() - began)

    async def _send(self, session: int) -> None:
        number, last = next(self._numbers), self._last[session]
        if last == _NEVER:
            self._last[session] = _FIRST
        began = time.perf_counter()
        seq = await self._acked(session, content(number))
        waited = time.perf_counter() - began
        self._last[session] = number
        self.acks.add(number, session, seq)
        if last == _NEVER:
            self._waits.waking.append(waited)
        elif last >= 0 and number - last < self._recent:
            self._waits.live.append(waited)

    async def _acked(self, session: int, said: str) -> int:
        """Send until it is taken; the seq it was acked with."""
        while True:
            try:
                return (await self._manager.send(peer(session), said)).seq
            except BusyError as exc:
                self.refused += 1
                await trio.sleep(exc.retry_after or 0.0)
