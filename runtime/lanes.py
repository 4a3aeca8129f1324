"""Keeps one connection's requests for one session in the order they were sent.

Commands reach their session's mailbox at once and keep their order there. A read is a task of its own: while
one runs, later requests of the same connection for the same session wait behind it.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ..actors.errors import BusyError
from ..persistence.ids import SessionID
from .protocol import Call
from .requests import Detach, History, Info, List, Stats

MAX_WAITING: Final = 256  # requests of one connection that run as reads or wait behind one
RETRY_AFTER: Final = 0.1  # seconds

READS: Final = (Detach, History, Info, List, Stats)


class Lanes:
    """Runs one connection's requests.

    Args:
        nursery: Runs the reads; ends with the connection.
        deliver: Passes a command on; returns at once and never raises.
        read: Carries out a read and answers it; never raises but `trio.Cancelled`.
    """

    def __init__(
        self, nursery: trio.Nursery, deliver: Callable[[Call], None], read: Callable[[Call], Awaitable[None]]
    ) -> None:
        self._nursery = nursery
        self._deliver = deliver
        self._read = read
        self._lanes: dict[SessionID, deque[Call]] = {}
        self._waiting = 0

    def submit(self, call: Call) -> None:
        """Carry out a request, now or when those before it have been.

        Raises:
            BusyError: Too many wait.
        """
        lane = self._lanes.get(call.session) if call.session is not None else None
        is_read = isinstance(call.request, READS)
        if lane is None and not is_read:
            self._deliver(call)
            return
        if self._waiting >= MAX_WAITING:
            text = f"connection: expected at most {MAX_WAITING} waiting reads, met one more"
            raise BusyError(text, retry_after=RETRY_AFTER)
        self._waiting += 1
        if lane is not None:
            lane.append(call)
            return
        if call.session is not None:
            self._lanes[call.session] = deque()
        self._nursery.start_soon(self._run, call)

    async def _run(self, call: Call) -> None:
        await self._read(call)
        self._waiting -= 1
        if call.session is None:
            return
        lane = self._lanes[call.session]
        while lane:
            following = lane.popleft()
            if isinstance(following.request, READS):
                await self._read(following)
            else:
                self._deliver(following)
            self._waiting -= 1
        del self._lanes[call.session]
