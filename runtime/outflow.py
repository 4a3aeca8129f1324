"""Writing to a TCP socket without ever waiting for it."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

import trio


class Outflow:
    """Takes bytes at once, gives the socket what it accepts, and keeps the rest for a writer task.

    The writer runs only while there is a rest. Each ``put`` stays whole and in order.

    Attributes:
        broken: The connection was reset or closed; what was left is dropped, and so is what still comes.
        stalled_since: When the backlog last shrank or began, on Trio's clock; None if there is none.
        on_drained: Called when a backlog has gone; it must not raise.
    """

    def __init__(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        self.broken = False
        self.stalled_since: float | None = None
        self.on_drained: Callable[[], None] = lambda: None
        self._stream = stream
        self._nursery = nursery
        self._buffer = bytearray()
        self._holding = False
        self._writing = False
        self._moved: trio.Event | None = None  # exists while somebody waits for the backlog

    @property
    def backlog(self) -> int:
        """Bytes that the socket has not taken yet."""
        return len(self._buffer)

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes, and try the socket with them unless others are waiting before them."""
        if self.broken:
            return
        self._buffer += data
        if not self._writing and not self._holding:
            self._push()

    @contextmanager
    def joined(self) -> Generator[None]:
        """Let what is put inside leave in one write at the end."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._buffer and not self._writing:
                self._push()

    async def shrunk(self) -> None:
        """Wait until the backlog shrinks or is dropped; there must be one."""
        if self._moved is None:  # asked this way: an event has no truth value
            self._moved = trio.Event()
        await self._moved.wait()

    async def flush(self) -> None:
        """Wait until the socket has taken everything, or never will."""
        self._holding = False
        if self._buffer and not self._writing:
            self._push()
        while self._writing:
            await self.shrunk()

    def drop(self) -> None:
        """Give up: forget what is left and take nothing more."""
        self.broken = True
        self._buffer.clear()
        self.stalled_since = None
        self._tell_moved()

    def _push(self) -> None:
        self._try()
        if not self._buffer:
            return
        self.stalled_since = self.stalled_since or trio.current_time()
        try:
            self._nursery.start_soon(self._write)
        except RuntimeError:  # the connection's nursery has ended before its last sender
            self.drop()
        else:
            self._writing = True

    def _try(self) -> None:
        try:
            sent = os.write(self._stream.socket.fileno(), self._buffer)
        except BlockingIOError:
            return
        except OSError:  # reset by the peer, or closed here: either way nothing more goes out
            self.drop()
            return
        del self._buffer[:sent]
        self.stalled_since = trio.current_time() if self._buffer else None
        self._tell_moved()

    async def _write(self) -> None:
        try:
            while self._buffer:
                await self._stream.wait_send_all_might_not_block()
                self._try()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.drop()
        finally:
            self._writing = False
            self._tell_moved()
        self.on_drained()

    def _tell_moved(self) -> None:
        if self._moved is not None:
            self._moved.set()
            self._moved = None
