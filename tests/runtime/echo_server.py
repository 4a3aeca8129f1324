"""The smallest server on the socket door: it echoes text, closes on binary, and guards each connection."""

from dataclasses import dataclass, field

import trio
from greenroom.runtime.handshake import HandshakePolicy, HandshakeRefusedError, SocketLimits
from greenroom.runtime.tap import cut
from greenroom.runtime.websocket import ServerSocket, SocketClosedError, accept


@dataclass
class EchoServer:
    """What happened on it: sockets as they were accepted, how connections ended, what was not foreseen."""

    limits: SocketLimits = field(default_factory=SocketLimits)
    policy: HandshakePolicy = field(default_factory=HandshakePolicy)
    sockets: list[ServerSocket] = field(default_factory=list)
    ends: list[Exception] = field(default_factory=list)
    crashes: list[Exception] = field(default_factory=list)
    open: int = 0
    port: int = 0
    _changed: trio.Event = field(default_factory=trio.Event)

    async def run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free port of 127.0.0.1 and give its number to ``nursery.start``."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self.port)
        await trio.serve_listeners(self._connection, listeners)

    async def until_open(self, count: int) -> None:
        """Wait until exactly ``count`` connections are open."""
        while self.open != count:
            self._changed = trio.Event()
            await self._changed.wait()

    async def _connection(self, stream: trio.SocketStream) -> None:
        self.open += 1
        try:
            async with trio.open_nursery() as nursery:
                try:
                    await self._talk(stream, nursery)
                except (SocketClosedError, HandshakeRefusedError) as error:
                    self.ends.append(error)
        except Exception as error:  # noqa: BLE001 - the accept loop's guard, as the gateway has one
            self.crashes.append(error)
            cut(stream)
        finally:
            self.open -= 1
            self._changed.set()

    async def _talk(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        socket = await accept(stream, nursery, self.policy, self.limits)
        self.sockets.append(socket)
        try:
            while isinstance(message := await socket.recv(), str):
                await socket.send(message)
            await socket.close(1003, "expected text")
        finally:
            with trio.move_on_after(5, shield=True):
                await socket.close()
