"""Moves frames from outboxes to sockets: one task for every connection there is.

Nothing here waits for a peer or for a lock: a turn ends when the outbox is empty or the socket has a backlog.
"""

from typing import Final, Protocol

import trio

from .outbox import Outbox
from .tap import BACKLOG_MARK
from .websocket import ServerSocket, SocketClosedError

# Connections served before others run: about a millisecond of work.
_SWEEP: Final = 32


class Lane(Protocol):
    """One connection, as the sender sees it; compared by identity."""

    @property
    def outbox(self) -> Outbox:
        """What waits."""
        ...

    @property
    def socket(self) -> ServerSocket:
        """Where it goes."""
        ...

    def sent(self) -> None:
        """Learn that frames may have left the outbox."""
        ...

    def failed(self, error: Exception, /) -> None:
        """Learn that sending failed for another reason than an ended connection; the socket is cut."""
        ...


class Sender:
    """Sends for all connections; ``run`` it in one task, innermost but for the connections."""

    def __init__(self) -> None:
        self._dirty: dict[Lane, None] = {}
        self._parked = trio.lowlevel.ParkingLot()

    def wake(self, lane: Lane) -> None:
        """Have ``lane`` looked at: something was put in its outbox, or its backlog has gone."""
        self._dirty[lane] = None
        self._parked.unpark()

    def forget(self, lane: Lane) -> None:
        """Do not look at ``lane`` any more."""
        self._dirty.pop(lane, None)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            if not self._dirty:
                await self._parked.park()
            lanes, self._dirty = self._dirty, {}
            for served, lane in enumerate(lanes):
                if served % _SWEEP == _SWEEP - 1:
                    await trio.lowlevel.checkpoint()
                self._serve(lane)
            if self._dirty:
                await trio.lowlevel.checkpoint()

    def _serve(self, lane: Lane) -> None:
        outbox, socket = lane.outbox, lane.socket
        try:
            with socket.joined():
                while socket.backlog < BACKLOG_MARK and (text := outbox.take()) is not None:
                    socket.post(text)
            lane.sent()
        except SocketClosedError:
            return  # whoever reads from this connection learns it there
        except Exception as error:  # noqa: BLE001 - one connection's trouble is not the others'
            socket.abort()
            lane.failed(error)
            return
        if outbox.size and socket.backlog < BACKLOG_MARK:
            self.wake(lane)  # the network took all of this turn at once: nothing else will wake it
