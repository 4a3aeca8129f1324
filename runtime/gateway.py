"""The WebSocket listener: accepts connections, guards each, and watches all of them with one task."""

from contextlib import suppress
from typing import Final

import trio

from ..actors.reports import Reporter, describe
from ..actors.surroundings import now
from .bind import url
from .config import Config
from .connection import Connection, Phase
from .core import Core
from .encoding import draining_frame
from .handshake import HandshakePolicy, HandshakeRefusedError, SocketLimits
from .reports import ConnectionFailed
from .sender import Sender
from .websocket import SocketClosedError, accept

WATCH: Final = 0.5  # seconds between two looks at all connections
OVERSLEPT: Final = 2.0  # seconds late: this process, not its peers, was away
CATCH_UP: Final = 0.1  # seconds at most to hear what came while this process was away
RETRY_AFTER: Final = 1.0  # seconds; what a client is told to wait when the server ends


class Gateway:
    """Serves one runtime's sessions over WebSocket.

    Args:
        config: Limits, allowed origins, and which session an id means.
        core: The runtime.
        http_port: The server's own HTTP listener, whose pages may connect.
        report: Told of connections that fail through our fault.
    """

    def __init__(self, config: Config, core: Core, http_port: int, report: Reporter) -> None:
        own = (url("http", host, http_port) for host in (config.host, "localhost", "127.0.0.1"))
        limits = config.limits
        self._policy = HandshakePolicy(frozenset((*own, *config.origins)))
        self._socket_limits = SocketLimits(
            handshake=limits.handshake,
            frame_bytes_before=limits.frame_bytes_before,
            frame_bytes=limits.frame_bytes,
        )
        self._limits = limits
        self._isolation = config.isolation
        self._core = core
        self._report = report
        self._sender = Sender()
        self._connections: dict[Connection, None] = {}
        # Who gives a pong little time must not be away for much of it.
        self._overslept = min(OVERSLEPT, limits.pong / 4)
        self._accepting = trio.CancelScope()
        self._visited = trio.Event()

    async def run(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; the connections outlive `stop_accepting`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sender.run)
            nursery.start_soon(self._watch)
            nursery.start_soon(self._warm_up)
            with self._accepting:
                await trio.serve_listeners(
                    self._handle, listeners, handler_nursery=nursery, task_status=task_status
                )

    def stop_accepting(self) -> None:
        """Take no more connections, and tell those there are that the server ends."""
        self._accepting.cancel(reason="draining")
        text = draining_frame(now(), self._limits.drain, RETRY_AFTER)
        for connection in self._connections:
            if connection.phase is Phase.OPEN:
                connection.put(text)

    async def close_all(self) -> None:
        """Send what is queued, then close every connection with 4001."""
        for connection in list(self._connections):
            connection.end(4001, "draining")
        for connection in list(self._connections):
            await connection.ended.wait()

    async def _handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever happens in it ends here."""
        try:
            async with trio.open_nursery() as nursery:
                socket = await accept(stream, nursery, self._policy, self._socket_limits)
                await self._serve(Connection(socket, self._core, self._sender, self._isolation))
        except* (HandshakeRefusedError, SocketClosedError):
            pass  # the peer's doing, and the peer has been told
        except* Exception as group:  # noqa: BLE001 - the guard: one connection's fault is not the others'
            self._report(ConnectionFailed(*describe(group)))

    async def _serve(self, connection: Connection) -> None:
        self._connections[connection] = None
        self._visited.set()
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            connection.ended.set()

    async def _warm_up(self) -> None:
        """Load the token ranks when the first client comes.

        Not before, since an idle server needs none; not with the first message, which would wait for them. It
        does wait where there is no thread to be had now.
        """
        await self._visited.wait()
        with suppress(RuntimeError):
            await trio.to_thread.run_sync(self._core.tokens, "the first count loads them")

    async def _watch(self) -> None:
        due = trio.current_time()
        while True:
            due += WATCH
            await trio.sleep_until(due)
            at = trio.current_time()
            late = at - due
            if late > self._overslept:
                self._forgive(at, late)
            # What came while the loop was held up lies unread: it is heard before anybody is judged.
            due = at + min(late, CATCH_UP)
            await trio.sleep_until(due)
            for connection in list(self._connections):
                connection.check(at)

    def _forgive(self, at: float, late: float) -> None:
        """Give everyone the time back in which nobody could be heard."""
        for connection in self._connections:
            connection.opened_at = min(connection.opened_at + late, at)
            connection.forgive(at)
