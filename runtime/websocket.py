"""The door for trio-websocket: sockets that carry messages, for the gateway and for our client.

No exception of the library or of what it stands on leaves this file. Its reader task runs under a guard of
ours, because one bad frame at the wrong moment raises in it, and the nursery it runs in belongs to others.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, cast

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from .admission import admit
from .contained import ContainedTask
from .dial import Address, ConnectError, dial
from .frames import PING, FrameMeter, text_frame
from .handshake import SUBPROTOCOL, HandshakePolicy, SocketLimits, Upgrade
from .tap import Closure, Tap, cut

CLOSE_DEADLINE: Final = 2.0  # seconds for the closing handshake
CONNECT_DEADLINE: Final = 10.0  # seconds for our client to reach a server and be accepted
# What our client accepts in one message: an answer of 512 KiB, every byte of it escaped, with room to spare.
CLIENT_MESSAGE_BYTES: Final = 16 * 1024 * 1024

_ABNORMAL = (1006, "")

# The library logs each event at debug level, and a peer's mistakes as warnings.
logging.getLogger("trio-websocket").setLevel(logging.ERROR)


class SocketClosedError(Exception):
    """The connection has ended, by whomever.

    Attributes:
        code: The close code; 1006 if there was no close frame.
        reason: The text that came with it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"expected an open WebSocket, met one closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class _Socket:
    """What a connection of either side can do."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, reader: ContainedTask) -> None:
        self._connection = connection
        self._reader = reader
        self._said: Closure | None = None  # the library forgets what we closed with

    async def recv(self) -> str | bytes:
        """Wait for the next message: text as str, binary as bytes.

        Raises:
            SocketClosedError: The connection has ended and all that came before is received.
        """
        try:
            return await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            raise self._ended() from None

    async def send(self, text: str) -> None:
        """Send one text message; on the server's side this never waits for the network.

        Raises:
            SocketClosedError: The connection has ended.
            UnicodeEncodeError: ``text`` holds a lone surrogate; nothing was sent.
        """
        try:
            await self._connection.send_message(text)
        except (trio_websocket.ConnectionClosed, ProtocolError):
            raise self._ended() from None

    async def _close(self, code: int, reason: str) -> None:
        """Do the closing handshake, if the connection is not closing yet."""
        if self._connection.closed is None:
            self._said = (code, reason)
        with trio.move_on_after(CLOSE_DEADLINE) as scope:
            self._reader.on_end = scope.cancel
            with suppress(trio_websocket.ConnectionClosed, ProtocolError, trio.BrokenResourceError):
                await self._connection.aclose(code, reason)

    def _ended(self) -> SocketClosedError:
        return SocketClosedError(*(self._closure() or _ABNORMAL))

    def _closure(self) -> Closure | None:
        reason = self._connection.closed
        return self._said or (reason and (reason.code, reason.reason or ""))


class ServerSocket(_Socket):
    """The server's side of one connection; ``upgrade`` is the request it came from."""

    def __init__(
        self,
        connection: trio_websocket.WebSocketConnection,
        reader: ContainedTask,
        tap: Tap,
        upgrade: Upgrade,
    ) -> None:
        super().__init__(connection, reader)
        self.upgrade = upgrade
        self._tap = tap
        tap.farewell = self._closure

    @property
    def backlog(self) -> int:
        """Bytes sent that the network has not taken yet."""
        return self._tap.out.backlog

    @property
    def last_heard(self) -> float:
        """When the peer last sent anything, on Trio's clock."""
        return self._tap.last_heard

    @property
    def partial_since(self) -> float | None:
        """When the message that is still incomplete began, on Trio's clock."""
        return self._tap.partial_since

    @property
    def stalled_since(self) -> float | None:
        """When the backlog last shrank or began, on Trio's clock; None without a backlog."""
        return self._tap.out.stalled_since

    def set_frame_limit(self, limit: int) -> None:
        """Accept messages of at most ``limit`` bytes from the next frame on."""
        self._tap.meter.limit = limit

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever a backlog has gone; it must not raise."""
        self._tap.out.on_drained = callback

    def joined(self) -> AbstractContextManager[None]:
        """Let messages sent inside leave in one write at the end."""
        return self._tap.out.joined()

    def post(self, text: str) -> None:
        """Send one text message, without a scheduler step: half the cost of ``send``.

        Raises:
            SocketClosedError: The connection has ended.
            UnicodeEncodeError: ``text`` holds a lone surrogate; nothing was sent.
        """
        self._post(text_frame(text))

    def ping(self) -> None:
        """Send a ping; the answer shows in ``last_heard``.

        Raises:
            SocketClosedError: The connection has ended.
        """
        self._post(PING)

    def _post(self, frame: bytes) -> None:
        try:
            self._tap.post(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._ended() from None

    def abort(self) -> None:
        """Close at once, with a reset and without a word; harmless when closed."""
        self._tap.abort()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame behind the backlog and wait ``CLOSE_DEADLINE`` for the peer's, then cut.

        Cancelled meanwhile, it cuts at once. Closing twice is harmless.
        """
        try:
            with trio.move_on_after(CLOSE_DEADLINE):
                await self._close(code, reason)
                await self._tap.aclose()  # a goodbye of the tap's own may be under way
        finally:
            self._tap.abort()

    def _closure(self) -> Closure | None:
        return self._tap.goodbye or super()._closure()


class ClientSocket(_Socket):
    """Our client's side of one connection."""

    def __init__(
        self, connection: trio_websocket.WebSocketConnection, reader: ContainedTask, stream: trio.abc.Stream
    ) -> None:
        super().__init__(connection, reader)
        self._stream = stream

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Do the closing handshake within ``CLOSE_DEADLINE``, then close; closing twice is harmless."""
        try:
            await self._close(code, reason)
        finally:
            await trio.aclose_forcefully(self._stream)


async def accept(
    stream: trio.SocketStream, nursery: trio.Nursery, policy: HandshakePolicy, limits: SocketLimits
) -> ServerSocket:
    """Make a WebSocket of a TCP connection, within ``limits.handshake`` seconds.

    The stream is the socket's from here on; on any failure it is closed.

    Args:
        stream: As the listener gave it.
        nursery: Runs the socket's reader, and its writer for a slow peer; ``close`` or ``abort`` first, then
            leave it. Neither task ever raises.
        policy: Who may connect.
        limits: Bounds of the connection.

    Raises:
        HandshakeRefusedError: It was no acceptable handshake; the peer has been told.
        SocketClosedError: The peer went away.
    """
    try:
        upgrade, leftover = await admit(stream, policy, limits.handshake)
        return await _welcome(stream, nursery, upgrade, leftover, limits)
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio_websocket.ConnectionClosed):
        cut(stream)
        raise SocketClosedError(*_ABNORMAL) from None
    except BaseException:
        cut(stream)
        raise


async def _welcome(
    stream: trio.SocketStream, nursery: trio.Nursery, upgrade: Upgrade, leftover: bytes, limits: SocketLimits
) -> ServerSocket:
    meter = FrameMeter(limits.frame_bytes_before)
    tap = Tap(stream, nursery, meter, upgrade.spell(), leftover)
    reader = ContainedTask(nursery, tap)
    try:
        request = await trio_websocket.wrap_server_stream(
            reader.as_nursery(), tap, max_message_size=limits.frame_bytes, receive_buffer_size=None
        )
        connection = await request.accept(subprotocol=upgrade.subprotocol)
    except BaseException:
        tap.abort()  # releases the reader, which waits for the acceptance
        raise
    tap.open()
    return ServerSocket(connection, reader, tap, upgrade)


async def connect(url: str, nursery: trio.Nursery) -> ClientSocket:
    """Connect to ``ws://…`` or ``wss://…`` within ``CONNECT_DEADLINE``, offering ``greenroom.v1``.

    Args:
        url: The server's full URL.
        nursery: Runs the socket's reader, which never raises.

    Raises:
        ConnectError: The URL is none, nobody answers there, or the server refused.
    """
    address = Address.parse(url)
    with trio.move_on_after(CONNECT_DEADLINE):
        stream = await dial(address)
        try:
            return await _introduce(stream, address, nursery)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
    raise ConnectError(f"expected {address.authority} to accept within {CONNECT_DEADLINE:g} s, met silence")


async def _introduce(stream: trio.abc.Stream, address: Address, nursery: trio.Nursery) -> ClientSocket:
    reader = ContainedTask(nursery, stream)
    with trio.CancelScope() as waiting:
        # The library waits for an answer for ever, even when its reader has ended without one.
        reader.on_end = waiting.cancel
        connection = await trio_websocket.wrap_client_stream(
            reader.as_nursery(),
            cast("trio.SocketStream", stream),
            address.authority,
            address.resource,
            subprotocols=[SUBPROTOCOL],
            max_message_size=CLIENT_MESSAGE_BYTES,
        )
        reader.on_end = lambda: None
        return ClientSocket(connection, reader, stream)
    if isinstance(reader.failure, trio_websocket.ConnectionRejected):
        status = reader.failure.status_code
        raise ConnectError(f"expected {address.authority} to accept, met HTTP status {status}", status)
    raise ConnectError(f"expected a WebSocket server at {address.authority}, met an end") from reader.failure
