"""Reads a peer's handshake and answers it, unless it may become a WebSocket."""

import trio

from .handshake import (
    BAD_HANDSHAKE,
    FIRST_LINE,
    LINE,
    MAX_HEAD,
    TIMED_OUT,
    TOO_LARGE,
    HandshakePolicy,
    HandshakeRefusedError,
    Refusal,
    Upgrade,
    judge,
)
from .tap import LINGER, drain


async def admit(stream: trio.SocketStream, policy: HandshakePolicy, deadline: float) -> tuple[Upgrade, bytes]:
    """Read a request head within ``deadline`` seconds, and answer it if it is not acceptable.

    Returns:
        The upgrade, and what the peer sent after its head.

    Raises:
        HandshakeRefusedError: It was not acceptable; the peer has been told and the stream is closed.
        trio.BrokenResourceError: The peer went away.
    """
    refusal = TIMED_OUT
    with trio.move_on_after(deadline):
        read = await read_head(stream)
        if isinstance(read, Refusal):
            refusal = read
        elif isinstance(verdict := judge(read[0], policy), Refusal):
            refusal = verdict
        else:
            return verdict, read[1]
    with trio.move_on_after(LINGER):
        await stream.send_all(refusal.spell())
        await drain(stream)
    stream.socket.close()
    raise HandshakeRefusedError(refusal)


async def read_head(stream: trio.abc.ReceiveStream) -> tuple[bytes, bytes] | Refusal:
    """Read up to the blank line that ends a request head; the deadline is the caller's.

    Returns:
        The head with its blank line, and the bytes that came after it; or the answer to what can never become
        a head, as soon as that is clear.

    Raises:
        trio.BrokenResourceError: The peer went away.
    """
    buffer = bytearray()
    while True:
        data = await stream.receive_some(4096)
        if not data:
            raise trio.BrokenResourceError("expected a request head, met the end")
        buffer += data
        end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end >= 0:
            return bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
        if (refusal := _hopeless(buffer)) is not None:
            return refusal


def _hopeless(buffer: bytearray) -> Refusal | None:
    """Tell early that these bytes are no request: TLS, another protocol's banner, garbage, too much."""
    line, newline, _ = buffer.partition(b"\n")
    if newline and not FIRST_LINE.fullmatch(line.removesuffix(b"\r")):
        return BAD_HANDSHAKE
    if not buffer[:1].isalpha() or not LINE.fullmatch(line.removesuffix(b"\r")):
        return BAD_HANDSHAKE
    if b"\n\n" in buffer:
        return BAD_HANDSHAKE  # bare line feeds: a head that would never end for us
    return TOO_LARGE if len(buffer) >= MAX_HEAD else None
