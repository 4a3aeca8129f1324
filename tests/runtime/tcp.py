"""Raw TCP ends for tests."""

import socket
import struct

import trio

_opened: list[trio.SocketStream] = []


async def tcp_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Connect two streams over loopback; ``close_all`` closes what a test leaves open of them."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    peer = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    ours = await listener.accept()
    await listener.aclose()
    _opened.extend((ours, peer))
    return ours, peer


def close_all() -> None:
    """Close every stream that ``tcp_pair`` gave out."""
    while _opened:
        _opened.pop().socket.close()


async def read_all(stream: trio.SocketStream) -> bytes:
    """Read to the end."""
    return b"".join([data async for data in stream])


def reset(stream: trio.SocketStream) -> None:
    """Close so that the other end meets a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
