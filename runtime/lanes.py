"""Keeps one connection's requests for one session in the order they were sent, and its large answers few.

A message, a Stop, an update or an end goes to its session's mailbox at once and keeps its order there; its
answer may come later. Everything else is an operation, a task of its own: while one of a session waits or
runs, later requests of the same connection for that session wait behind it. Operations whose answers can be
large are begun only as fast as the client reads them.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ..persistence.ids import SessionID
from .outbox import Outbox
from .protocol import Call
from .requests import (
    Attach,
    ClearQueue,
    Compact,
    Detach,
    History,
    Info,
    List,
    RemoveQueued,
    Search,
    Stats,
    Uncompact,
)

# Two, so that a session slow to answer does not hold up the others of its connection by itself.
AT_ONCE: Final = 2

_LARGE: Final = (Attach, ClearQueue, RemoveQueued, History, Search, Info, List, Stats)
# Detaching is the way for a client that lags to be told less: it never waits for room.
_SMALL: Final = (Detach, Compact, Uncompact)
_OPERATIONS: Final = _LARGE + _SMALL


class Lanes:
    """Runs one connection's requests.

    At most `AT_ONCE` large operations run at a time, and the next begins only while the outbox has room, in
    the order in which their sessions were ready for them.

    Args:
        nursery: Runs the operations; ends with the connection.
        outbox: Where the answers go.
        deliver: Passes a message on; returns at once and never raises.
        carry_out: Does an operation and returns when it is answered; never raises but `trio.Cancelled`.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        outbox: Outbox,
        deliver: Callable[[Call], None],
        carry_out: Callable[[Call], Awaitable[None]],
    ) -> None:
        self._nursery = nursery
        self._outbox = outbox
        self._deliver = deliver
        self._carry_out = carry_out
        self._lanes: dict[SessionID, deque[Call]] = {}
        self._large: deque[Call] = deque()  # each the first of its session
        self._under_way = 0

    def submit(self, call: Call) -> None:
        """Carry out a request, now or when those before it have been."""
        lane = self._lanes.get(call.session) if call.session is not None else None
        if lane is not None:
            lane.append(call)
        elif isinstance(call.request, _OPERATIONS):
            if call.session is not None:
                self._lanes[call.session] = deque()
            self._enter(call)
        else:
            self._deliver(call)

    def advance(self) -> None:
        """Begin what may begin; call it when frames have left the outbox."""
        while self._large and self._under_way < AT_ONCE and self._outbox.has_room:
            self._under_way += 1
            self._nursery.start_soon(self._run_large, self._large.popleft())

    def _enter(self, call: Call) -> None:
        if isinstance(call.request, _SMALL):
            self._nursery.start_soon(self._run, call)
        else:
            self._large.append(call)
            self.advance()

    async def _run_large(self, call: Call) -> None:
        await self._run(call)
        self._under_way -= 1
        self.advance()

    async def _run(self, call: Call) -> None:
        await self._carry_out(call)
        if call.session is None:
            return
        lane = self._lanes[call.session]
        while lane:
            following = lane.popleft()
            if isinstance(following.request, _OPERATIONS):
                self._enter(following)
                return
            self._deliver(following)
        del self._lanes[call.session]
