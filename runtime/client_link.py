"""The client's one connection, kept alive: connect, introduce, write, read; after a loss all that again."""

import random
from collections.abc import Callable

import msgspec
import trio

from .client_errors import ClientClosedError, ClientError, RequestError, UnexpectedAnswerError
from .client_frames import PROTOCOL, Call, decode_frame
from .client_switchboard import PATIENCE_LIMIT, Switchboard
from .dial import ConnectError
from .version import VERSION
from .websocket import ClientSocket, SocketClosedError, connect

CONNECT_DEADLINE = 10.0  # seconds for TCP, WebSocket and initialize together
BACKOFF_FIRST, BACKOFF_LAST = 0.1, 5.0  # seconds
GONE_FOR_GOOD = range(4500, 5000)  # close codes that say: do not come back unchanged
REFUSED_FOR_GOOD = frozenset({400, 401, 403, 404})  # HTTP statuses that a later try would meet again


class SilenceError(Exception):
    """The server has not been heard of for two heartbeats."""


_Loss = SocketClosedError | ConnectError | SilenceError | trio.TooSlowError | ClientError
_LOSSES = (SocketClosedError, ConnectError, SilenceError, trio.TooSlowError, ClientError)


class _Limits(msgspec.Struct, frozen=True):
    frame_bytes: int


class _Welcome(msgspec.Struct, frozen=True):
    heartbeat_ms: float
    limits: _Limits


class Link:
    """Keeps a connection to ``url`` for a switchboard."""

    def __init__(
        self, url: str, name: str, board: Switchboard, on_connection: Callable[[bool], None] | None
    ) -> None:
        self._url = url
        self._name = name
        self._board = board
        self._on_connection = on_connection or _ignore
        self._heartbeat = 20.0  # seconds
        self._losses_in_row = 0
        self._active = trio.CancelScope()
        self._stopping = False

    def stop(self) -> None:
        """Close the connection in an orderly way and end `run`."""
        self._stopping = True
        self._active.cancel(reason="the client is closed")

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep a connection until `stop`, or until the server says not to come back.

        Starts when the first connection stands; a loss after that is never raised.

        Raises:
            ConnectError: There was no first connection.
            SocketClosedError: The server closed the first connection before it stood.
            ClientError: The server refused it.
            trio.TooSlowError: It did not stand within `CONNECT_DEADLINE`.
        """
        stood = False

        def stands() -> None:
            nonlocal stood
            if not stood:
                stood = True
                task_status.started()

        while True:
            loss = await self._connection(stands)
            if loss is not None and not stood:
                raise loss
            if loss is None or _is_final(loss):
                break
            with self._until_stopped():
                await trio.sleep(self._pause(loss))
        self._board.fail(_ending(loss))

    async def _connection(self, stands: Callable[[], None]) -> _Loss | None:
        """One connection from beginning to end; None if `stop` ended it."""
        loss: _Loss | None = None
        socket: ClientSocket | None = None
        async with trio.open_nursery() as nursery:
            with self._until_stopped():
                try:
                    with trio.fail_after(CONNECT_DEADLINE):
                        socket = await connect(self._url, nursery)
                        await self._initialize(socket)
                    stands()
                    await self._converse(socket, nursery)
                except _LOSSES as exc:
                    loss = exc
            self._board.lost()
            if socket is not None:
                await socket.close()
            nursery.cancel_scope.cancel(reason="the connection has ended")
        return loss

    async def _initialize(self, socket: ClientSocket) -> None:
        params = {"protocol": PROTOCOL, "client": {"name": self._name, "version": VERSION}}
        await socket.send(Call(0, "initialize", params).frame)
        while (frame := decode_frame(await socket.recv())).id != 0:
            pass  # only a server that is draining speaks first
        answer = frame.answer()
        if isinstance(answer, RequestError):
            raise answer
        try:
            welcome = msgspec.json.decode(answer, type=_Welcome)
        except msgspec.DecodeError as exc:
            raise UnexpectedAnswerError(f"the answer to initialize is not understood: {exc}") from exc
        self._heartbeat = max(welcome.heartbeat_ms / 1000, 1.0)
        self._board.frame_limit = welcome.limits.frame_bytes

    async def _converse(self, socket: ClientSocket, nursery: trio.Nursery) -> None:
        """Write and read until the connection is lost, which is raised."""
        self._board.come_back_after = 0.0
        self._board.connected(nursery)
        self._on_connection(True)  # noqa: FBT003  # the callback's only argument
        nursery.start_soon(self._write, socket)
        try:
            await self._read(socket)
        except _LOSSES:  # and nothing else: whoever cancels or interrupts us has not lost the connection
            if not self._stopping:
                self._on_connection(False)  # noqa: FBT003
            raise

    async def _write(self, socket: ClientSocket) -> None:
        while True:
            frame = await self._board.next_frame()
            try:
                await socket.send(frame)
            except SocketClosedError:
                return  # the reader meets it too, and reports it

    async def _read(self, socket: ClientSocket) -> None:
        asked = False
        while True:
            text = None
            with trio.move_on_after(self._heartbeat):
                text = await socket.recv()
            if text is not None:
                asked = False
                self._losses_in_row = 0
                await self._board.take(text)
            elif asked:
                raise SilenceError
            else:
                asked = True
                self._board.ping()

    def _pause(self, loss: _Loss) -> float:
        """Seconds until the next try: doubling, jittered, and not before the server wants it."""
        longest = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(self._losses_in_row, 10))
        self._losses_in_row += 1
        asked = self._board.come_back_after
        if isinstance(loss, RequestError) and loss.retry_after is not None:
            asked = min(loss.retry_after, PATIENCE_LIMIT)
        return max(asked, longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret

    def _until_stopped(self) -> trio.CancelScope:
        """A scope that `stop` ends; each is entered once."""
        self._active = trio.CancelScope()
        if self._stopping:
            self._active.cancel(reason="the client is closed")
        return self._active


def _ignore(_standing: bool) -> None:  # noqa: FBT001  # the callback's only argument
    pass


def _is_final(loss: _Loss) -> bool:
    match loss:
        case SocketClosedError():
            return loss.code in GONE_FOR_GOOD
        case ConnectError(status=status):
            return status in REFUSED_FOR_GOOD
        case RequestError():
            return not loss.retryable
        case _:
            return isinstance(loss, ClientError)


def _ending(loss: _Loss | None) -> ClientError:
    match loss:
        case None:
            return ClientClosedError("the client was closed")
        case SocketClosedError():
            text = f"the server closed the connection for good: {loss.code} {loss.reason}".rstrip()
            return ClientClosedError(text, code=loss.code, reason=loss.reason)
        case _:
            return ClientClosedError(f"the server refused the connection for good: {loss}")
