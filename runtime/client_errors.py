"""What can go wrong for a client, by whose doing it is.

ClientError
├── RequestError           the server answered a request with an error
├── UnexpectedAnswerError  the server said something that the protocol does not allow
├── OutcomeUnknownError    the connection went while a request that must not be repeated was under way
└── ClientClosedError      there is no connection any more and none will be tried
"""


class ClientError(Exception):
    """Any failure of a client."""


class RequestError(ClientError):
    """The server refused a request.

    Attributes:
        name: The error's stable name, e.g. ``not_found``.
        message: The server's sentence.
        code: Its JSON-RPC code.
        retryable: Whether the same request may succeed later.
        retry_after: Seconds the server asks to wait first; None if it did not say.
    """

    def __init__(
        self, name: str, message: str, code: int, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{message} ({name})")
        self.name = name
        self.message = message
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after


class UnexpectedAnswerError(ClientError):
    """The server's words are not of the protocol version spoken here."""


class OutcomeUnknownError(ClientError):
    """The connection was lost before the answer; the request may or may not have taken effect."""


class ClientClosedError(ClientError):
    """The client has ended: it was closed, or the server said not to come back.

    Attributes:
        code: The WebSocket close code, if the server closed.
        reason: What it said.
    """

    def __init__(self, message: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
