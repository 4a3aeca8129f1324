"""Listening sockets, and what can be in the way of one."""

import errno
from typing import Final

import trio

BACKLOG: Final = 1024  # connections the kernel may hold for us; a restart brings many at once


class AddressInUseError(Exception):
    """Another program listens on the address.

    Attributes:
        address: ``host:port`` as asked for.
    """

    def __init__(self, address: str) -> None:
        super().__init__(f"address in use: {address}")
        self.address = address


class BindError(Exception):
    """The address cannot be bound: it is not one of this machine's, or not ours to bind.

    Attributes:
        is_forbidden: The operating system refused it to this user.
    """

    def __init__(self, address: str, error: OSError) -> None:
        super().__init__(f"cannot bind {address}: {error.strerror or error}")
        self.is_forbidden = error.errno == errno.EACCES


async def bind(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on an address; port 0 takes one free port.

    Raises:
        AddressInUseError: It is taken.
        BindError: It cannot be had at all.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError(f"{host}:{port}") from exc
        raise BindError(f"{host}:{port}", exc) from exc
    if port == 0:
        # A name may stand for two addresses, and each would get a free port of its own.
        for other in listeners[1:]:
            other.socket.close()
        return listeners[:1]
    return listeners


def port_of(listeners: list[trio.SocketListener]) -> int:
    """The port that was bound."""
    return listeners[0].socket.getsockname()[1]


def url(scheme: str, host: str, port: int, path: str = "") -> str:
    """A URL of this server; IPv6 addresses get their brackets."""
    return f"{scheme}://[{host}]:{port}{path}" if ":" in host else f"{scheme}://{host}:{port}{path}"
