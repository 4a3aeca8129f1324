"""Keeps one connection's requests for one session in the order they were sent.

Commands reach their session's mailbox at once and keep their order there. A read is a task of its own: while
one runs, later requests of the same connection for the same session wait behind it.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ..persistence.ids import SessionID
from .protocol import Call
from .requests import Detach, History, Info, List, Stats

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

    def submit(self, call: Call) -> None:
        """Carry out a request, now or when those before it have been."""
        lane = self._lanes.get(call.session) if call.session is not None else None
        if lane is not None:
            lane.append(call)
        elif isinstance(call.request, READS):
            if call.session is not None:
                self._lanes[call.session] = deque()
            self._nursery.start_soon(self._run, call)
        else:
            self._deliver(call)

    async def _run(self, call: Call) -> None:
        await self._read(call)
        if call.session is None:
            return
        lane = self._lanes[call.session]
        while lane:
            following = lane.popleft()
            if isinstance(following.request, READS):
                await self._read(following)
            else:
                self._deliver(following)
        del self._lanes[call.session]
