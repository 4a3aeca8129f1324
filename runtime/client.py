"""A client that comes back by itself and goes on where it was.

    async with open_client("ws://127.0.0.1:8765/v1") as client:
        async with client.attach("echo:web:ann") as conversation:
            await client.send("echo:web:ann", "hello there")
            async for event in conversation:
                ...

After a lost connection it connects again, attaches every conversation at the place it had reached, and
repeats each unanswered request that may be repeated. Waiting has no time limit of its own: put a cancel scope
around it.
"""

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import trio

from .client_conversation import Conversation
from .client_errors import RequestError, UnexpectedAnswerError
from .client_events import Ack, History, Wait
from .client_link import Link
from .client_switchboard import PATIENCE_LIMIT, Switchboard

SEND_TRIES = 12  # with the waits below more than half a minute
SEND_WAIT_FIRST, SEND_WAIT_LAST = 0.1, 5.0  # seconds between tries, where the server names none

T = TypeVar("T")


class Client:
    """Speaks with one server; any number of tasks may use it at once."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    @asynccontextmanager
    async def attach(self, session: str, *, create: bool = True) -> AsyncGenerator[Conversation]:
        """Follow a session while the block runs.

        The first event is a `Snapshot`. One client follows a session once.

        Raises:
            RequestError: The server refused, e.g. ``not_found`` without ``create``.
            RuntimeError: This client follows the session already.
        """
        conversation = self._board.follow(session, create=create)
        try:
            await conversation.attached()
            yield conversation
        finally:
            self._board.unfollow(conversation)

    async def send(
        self, session: str, content: str, *, client_id: str | None = None, wait: Wait = "durable"
    ) -> Ack:
        """Send a message; once this returns, it is stored once.

        A busy or unavailable server is asked again under the same ``client_id`` for about half a minute.
        Messages sent without waiting for one another keep their order only while none has to be repeated.

        Args:
            session: To whom.
            content: The text.
            client_id: The sender's id for the message; drawn if absent.
            wait: Whether to return when it is stored (``durable``) or answered (``done``).

        Raises:
            RequestError: The server refused for good, or for too long.
            ClientClosedError: The client has ended; whether the message is stored is not known.
        """
        params = {
            "session": session,
            "client_id": client_id or uuid.uuid4().hex,
            "content": content,
            "wait": wait,
        }
        pause = SEND_WAIT_FIRST
        for _ in range(SEND_TRIES - 1):
            try:
                return await self._typed("message.send", params, Ack)
            except RequestError as exc:
                if not exc.retryable:
                    raise
                await trio.sleep(pause if exc.retry_after is None else min(exc.retry_after, PATIENCE_LIMIT))
                pause = min(2 * pause, SEND_WAIT_LAST)
        return await self._typed("message.send", params, Ack)

    async def history(
        self, session: str, *, before_seq: int | None = None, limit: int = 50, epoch: str | None = None
    ) -> History:
        """Read a page of stored messages, the newest before ``before_seq``.

        Raises:
            RequestError: The server refused.
        """
        optional = {"before_seq": before_seq, "epoch": epoch}
        given = {name: value for name, value in optional.items() if value is not None}
        return await self._typed("session.history", {"session": session, "limit": limit, **given}, History)

    async def info(self, session: str) -> dict[str, Any]:
        """A session's facts: ``info``, ``epoch``, ``head_seq``, ``epochs``.

        Raises:
            RequestError: The server refused.
        """
        return await self._typed("session.info", {"session": session}, dict[str, Any])

    async def list(self, *, limit: int = 50, offset: int = 0, **where: object) -> dict[str, Any]:
        """A page of sessions, the newest activity first: ``sessions``, ``more``.

        Args:
            limit: How many, 1 to 200.
            offset: How many to leave out first.
            where: Filter fields, e.g. ``agent_id``.

        Raises:
            RequestError: The server refused.
        """
        return await self._typed("session.list", {**where, "limit": limit, "offset": offset}, dict[str, Any])

    async def stats(self) -> dict[str, Any]:
        """The server's counts.

        Raises:
            RequestError: The server refused.
        """
        return await self._typed("stats", {}, dict[str, Any])

    async def ping(self) -> dict[str, Any]:
        """The server's time.

        Raises:
            RequestError: The server refused.
        """
        return await self._typed("ping", {}, dict[str, Any])

    async def request(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401  # any method's result
        """Send any request of the protocol and return its result.

        Raises:
            RequestError: The server refused.
            OutcomeUnknownError: The connection was lost and the request may not be repeated.
        """
        return msgspec.json.decode(await self._board.call(method, params))

    async def _typed(self, method: str, params: dict[str, Any], kind: type[T]) -> T:
        answer = await self._board.call(method, params)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as exc:
            raise UnexpectedAnswerError(f"the answer to {method} is not understood: {exc}") from exc


@asynccontextmanager
async def open_client(
    url: str, *, name: str = "greenroom-python", on_connection: Callable[[bool], None] | None = None
) -> AsyncGenerator[Client]:
    """Connect to a server; the connection is kept up while the block runs.

    Args:
        url: ``ws://HOST:PORT/v1`` or ``wss://…``.
        name: What the server may call this program in its logs.
        on_connection: Told True when a connection stands and False when it is lost.

    Raises:
        ConnectError: There was no first connection; later losses are not raised but mended.
        SocketClosedError: The server closed it at once.
        ClientError: The server refused it.
    """
    board = Switchboard()
    link = Link(url, name, board, on_connection)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        # An exception of the caller's block must not come out wrapped in this nursery's group.
        try:
            await nursery.start(link.run)
            yield Client(board)
        except Exception as exc:  # noqa: BLE001  # raised again below
            failure = exc
        finally:
            link.stop()
    if failure is not None:
        raise failure
