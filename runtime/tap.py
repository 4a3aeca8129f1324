"""The stream under the WebSocket library: bounds what comes in, never waits on what goes out.

The library holds one lock while it writes. A stream that waited for a slow peer would hold that lock, and
with it pings, pongs and the close frame. Here ``send_all`` never waits; whoever sends looks at ``backlog``
and decides how much is too much.
"""

import os
import socket
import struct
from collections.abc import Callable
from typing import Final

import trio

from .frames import FrameMeter, close_frame, is_close_frame, may_be_sent
from .outflow import Outflow

# Bytes taken from the socket at once: the most that one peer can give the loop to chew in one step.
RECEIVE_BYTES: Final = 16 * 1024
# A peer that leaves this much of our output unread is not read from either: its pings could grow it for ever.
BACKLOG_MARK: Final = 64 * 1024
LINGER: Final = 1.0  # seconds for the peer to read our last words and hang up
_LINGER_BYTES = 16 * 1024 * 1024  # what it may still send meanwhile

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 s, that is: drop what is unsent and reset

Closure = tuple[int, str]  # a close code and its reason
Farewell = Callable[[], Closure | None]


async def drain(stream: trio.SocketStream) -> None:
    """Half-close, then discard what comes until the peer hangs up; the deadline is the caller's.

    Closing a socket that holds unread bytes resets it, and a reset can destroy the answer on its way.

    Raises:
        trio.BrokenResourceError: The connection was reset.
        trio.ClosedResourceError: It was closed here meanwhile.
    """
    await stream.send_eof()
    discarded = 0
    while discarded < _LINGER_BYTES and (data := await stream.receive_some(64 * 1024)):
        discarded += len(data)


def cut(stream: trio.SocketStream) -> None:
    """Close at once, with a reset; harmless on a closed stream."""
    sock = stream.socket
    if sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()


class Tap(trio.abc.Stream):
    """A TCP stream for a server's WebSocket library.

    Each ``send_all`` and each ``post`` is one whole frame.

    Attributes:
        out: What is on its way to the peer.
        meter: Measures incoming messages.
        last_heard: When the peer last sent anything, on Trio's clock.
        partial_since: When the unfinished message or frame began; None if there is none.
        goodbye: The close code and reason that the tap itself sent, if it did.
        farewell: Asked, when the library closes without a close frame, why it does so.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        nursery: trio.Nursery,
        meter: FrameMeter,
        head: bytes,
        leftover: bytes = b"",
    ) -> None:
        """Wrap a connected TCP stream.

        Args:
            stream: The stream; it is the tap's from here on.
            nursery: Runs the writer task while there is a backlog.
            meter: Holds the limit for one message.
            head: The request head that the library shall read first.
            leftover: What the peer sent after its head; the library reads it after ``open``.
        """
        self.out = Outflow(stream, nursery)
        self.meter = meter
        self.last_heard: float = trio.current_time()
        self.partial_since: float | None = None
        self.goodbye: Closure | None = None
        self.farewell: Farewell = lambda: None
        self._stream = stream
        self._head = head
        self._leftover = leftover
        self._opened: trio.Event | None = trio.Event()
        self._said_close = False
        self._said_all = False
        self._closed: trio.Event | None = None  # exists from the first aclose on

    def open(self) -> None:
        """Let bytes after the head through: the library loses those it meets before it has accepted."""
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - trio's signature
        """Pass on what the peer sent, up to the header that goes too far.

        Returns:
            At most ``RECEIVE_BYTES``, whatever ``max_bytes`` says, or nothing at the end.

        Raises:
            trio.BrokenResourceError: The connection was reset.
            trio.ClosedResourceError: It was closed here.
        """
        if self._head:
            head, self._head = self._head, b""
            return head
        if self._opened is not None:
            await self._opened.wait()
        while self.out.backlog > BACKLOG_MARK:
            await self.out.shrunk()
        if self._closed is not None:
            raise trio.ClosedResourceError("expected an open connection, met one being closed")
        if not self.meter.exceeded:
            data = self._leftover or await self._read()
            self._leftover = b""
            allowed = self._measure(data)
            if allowed or not data:
                return data[:allowed] if allowed < len(data) else data
        if self.goodbye is None:
            self.goodbye = (1009, f"expected messages of at most {self.meter.limit} bytes")
        await self.aclose()
        return b""

    async def _read(self) -> bytes:
        # A socket stream would try to read before it waits, which after a whole request never succeeds.
        sock = self._stream.socket
        while (fd := sock.fileno()) != -1:
            await trio.lowlevel.wait_readable(fd)
            try:
                return os.read(fd, RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError("expected an open connection, met a reset") from error
        raise trio.ClosedResourceError("expected an open connection, met one closed before")

    def _measure(self, data: bytes) -> int:
        meter = self.meter
        ended = meter.ended
        allowed = meter.feed(data)
        self.last_heard = trio.current_time()
        if not meter.unfinished:
            self.partial_since = None
        elif self.partial_since is None or meter.ended != ended:
            self.partial_since = self.last_heard
        return allowed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Take one whole frame of the library's, as ``post`` does."""
        self.post(data)

    def post(self, frame: bytes | bytearray | memoryview) -> None:
        """Put one whole frame behind those already taken.

        Raises:
            trio.BrokenResourceError: The connection was reset, or our close frame is already out.
            trio.ClosedResourceError: It is closed here, or being closed.
        """
        if self._closed is not None:
            raise trio.ClosedResourceError("expected an open connection, met one being closed")
        if not self._said_close:
            self._said_close = is_close_frame(frame)
            self.out.put(frame)
            if not self.out.broken:
                return
        raise trio.BrokenResourceError("expected an open connection, met one that has ended")

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: ``send_all`` never blocks."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Say goodbye if nobody has, wait ``LINGER`` for the peer to take it and hang up, then close.

        Cancelled meanwhile, it cuts the connection.
        """
        if self._closed is not None:
            await self._closed.wait()
            return
        self._closed = trio.Event()
        try:
            with trio.move_on_after(LINGER):
                await self._part()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            # Gone already, or a reader is in there and will see the end itself: nothing is left to wait for.
            self.out.drop()
        finally:
            if self._said_all:
                self._stream.socket.close()
            self.abort()
            self._closed.set()

    def abort(self) -> None:
        """Close at once, with a reset and without a word; harmless when closed."""
        cut(self._stream)
        self._leftover = b""
        self.out.drop()
        self.open()

    async def _part(self) -> None:
        closure = None if self._said_close else self.goodbye or self.farewell()
        self._said_close = True
        if closure is not None and may_be_sent(closure[0]):
            self.goodbye = closure
            self.out.put(close_frame(*closure))
        await self.out.flush()
        if not self.out.broken:
            self._said_all = True
            await drain(self._stream)
