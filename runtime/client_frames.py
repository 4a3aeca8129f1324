"""The client's side of the wire: requests out, answers and events in; no sockets."""

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from .client_errors import ClientError, RequestError, UnexpectedAnswerError
from .client_events import WireEvent

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = 1

# May be sent again after a lost connection: reads, and messages, which their client_id makes one.
REPEATABLE = frozenset(
    {"message.send", "session.history", "session.info", "session.list", "session.search", "stats", "ping"}
)

_TOO_LARGE_CODE = -32007  # PROTOCOL: ours run downwards from -32000, too_large is the eighth


class _ErrorData(msgspec.Struct, frozen=True):
    name: str = "internal_error"
    retryable: bool = False
    retry_after_ms: float | None = None


class _Error(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: _ErrorData = _ErrorData()


class Frame(msgspec.Struct, frozen=True):
    """What the server sent: an answer (``id``) or a notification (``method``)."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")

    def answer(self) -> msgspec.Raw | RequestError:
        """The result, or the error as an exception."""
        if self.error is None:
            return self.result
        data = self.error.data
        wait = None if data.retry_after_ms is None else data.retry_after_ms / 1000
        return RequestError(
            data.name, self.error.message, self.error.code, retryable=data.retryable, retry_after=wait
        )

    def event(self) -> WireEvent | None:
        """The event it carries, if it does.

        Raises:
            UnexpectedAnswerError: It claims to, and does not.
        """
        if self.method != "event":
            return None
        try:
            return msgspec.json.decode(self.params, type=WireEvent)
        except msgspec.DecodeError as exc:
            raise UnexpectedAnswerError(f"the server's event is not understood: {exc}") from exc


_frames = msgspec.json.Decoder(Frame)


def decode_frame(text: str | bytes) -> Frame:
    """Read one frame.

    Raises:
        UnexpectedAnswerError: It is not a frame of this protocol.
    """
    if isinstance(text, bytes):
        raise UnexpectedAnswerError("the server sent a binary frame; expected text")
    try:
        return _frames.decode(text)
    except msgspec.DecodeError as exc:
        raise UnexpectedAnswerError(f"the server's frame is not understood: {exc}") from exc


class Call:
    """One request under way.

    Attributes:
        id: Its JSON-RPC id.
        frame: Its text.
        written: Whether the server may have seen it.
        repeatable: Whether it may be sent again.
    """

    def __init__(self, number: int, method: str, params: dict[str, Any]) -> None:
        """Encode the request.

        Raises:
            TypeError: ``params`` holds something JSON has no form for.
            UnicodeEncodeError: A text in it is not Unicode text (a lone surrogate).
        """
        self.id = number
        self.frame = msgspec.json.encode(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        ).decode()
        self.written = False
        self.repeatable = method in REPEATABLE
        self.on_answer: Callable[[msgspec.Raw | ClientError, int], None] | None = None
        self._done = trio.Event()
        self._answer: msgspec.Raw | ClientError | None = None

    def refuse_over(self, limit: int) -> None:
        """Refuse a frame that the server would close the connection for.

        Raises:
            RequestError: ``too_large``.
        """
        size = len(self.frame.encode())
        if size > limit:
            raise RequestError(
                "too_large", f"expected a request of at most {limit} bytes, met {size}", _TOO_LARGE_CODE
            )

    def settle(self, answer: msgspec.Raw | ClientError, size: int = 0) -> None:
        """Deliver the answer; ``size`` is its frame's length in characters."""
        if self.on_answer is not None:
            self.on_answer(answer, size)
        self._answer = answer
        self._done.set()

    async def answer(self) -> msgspec.Raw:
        """Wait for the answer.

        Raises:
            ClientError: The server refused, or the answer can no longer come.
        """
        await self._done.wait()
        if isinstance(self._answer, ClientError):
            raise self._answer
        assert self._answer is not None  # noqa: S101  # settled above
        return self._answer
