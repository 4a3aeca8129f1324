"""Reaches a WebSocket server by its URL: name, TCP, TLS; everything before the first byte of HTTP."""

import ssl
from urllib.parse import urlsplit

import msgspec
import trio

_PORTS = {"ws": 80, "wss": 443}


class ConnectError(Exception):
    """The server cannot be reached, or refused; the message says which.

    Attributes:
        status: The HTTP status it refused with; None if there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Address(msgspec.Struct, frozen=True):
    """Where a ``ws://`` or ``wss://`` URL points."""

    host: str
    port: int
    resource: str
    secure: bool

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a URL.

        Raises:
            ConnectError: It names no WebSocket server.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConnectError(f"expected ws://HOST[:PORT]/PATH, met {url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConnectError(f"expected ws://HOST[:PORT]/PATH, met {url}")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, port or _PORTS[parts.scheme], resource, parts.scheme == "wss")

    @property
    def authority(self) -> str:
        """The ``Host`` header for this address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in _PORTS.values() else f"{host}:{self.port}"


async def dial(address: Address) -> trio.abc.Stream:
    """Open the connection, with TLS where the URL asks for it; the deadline is the caller's.

    Raises:
        ConnectError: Nobody answers there, or its certificate is not good.
    """
    try:
        stream = await trio.open_tcp_stream(address.host, address.port)
    except OSError as error:
        raise ConnectError(f"expected a server at {address.authority}, met: {error}") from error
    if not address.secure:
        return stream
    secured = trio.SSLStream(
        stream, ssl.create_default_context(), server_hostname=address.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise ConnectError(f"expected TLS at {address.authority}, met: {error.__cause__}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured
