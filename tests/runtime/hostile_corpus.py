"""Handshakes and frames that no good client sends, as data: bytes for a raw TCP socket, and what must come.

``play`` runs one case against any server that speaks the protocol at ``/v1``.
"""

import socket
import struct
from dataclasses import dataclass

import trio

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


@dataclass(frozen=True)
class Http:
    """An HTTP answer with this status, and this error name in its JSON body."""

    status: int
    error: str


@dataclass(frozen=True)
class Close:
    """A close frame with this code, and then the end of the connection."""

    code: int


@dataclass(frozen=True)
class Cut:
    """The end of the connection, with or without last words."""


@dataclass(frozen=True)
class Alive:
    """No end at all: a text message is still answered with a text message."""


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        name: What it is.
        send: The bytes, after a good handshake if ``upgraded``.
        expect: What the server must do.
        upgraded: Shake hands first.
        reset: Reset the connection after sending.
        bytewise: Send each byte by itself.
    """

    name: str
    send: bytes
    expect: Http | Close | Cut | Alive
    upgraded: bool = False
    reset: bool = False
    bytewise: bool = False


def head(
    *extra: bytes,
    line: bytes = b"GET /v1 HTTP/1.1",
    without: bytes = b"",
    key: bytes = KEY,
    version: bytes = b"13",
) -> bytes:
    """Spell a request head; ``without`` leaves out the header of that name, ``extra`` lines come last."""
    lines = [
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: " + key,
        b"Sec-WebSocket-Version: " + version,
    ]
    kept = [text for text in lines if not without or not text.startswith(without + b":")]
    return b"\r\n".join([line, *kept, *extra]) + b"\r\n\r\n"


def frame(first: int, payload: bytes = b"", length: bytes | None = None, mask: bytes = MASK) -> bytes:
    """Spell a client's frame; ``length`` overrides the length byte and what follows it."""
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes([size])
        elif size < 1 << 16:
            length = b"\x7e" + struct.pack("!H", size)
        else:
            length = b"\x7f" + struct.pack("!Q", size)
    if not mask:
        return bytes([first]) + length + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([first, length[0] | 0x80]) + length[1:] + mask + masked


def _close(code: int) -> bytes:
    return frame(0x88, struct.pack("!H", code))


BAD_HEADER = Http(400, "bad_header")
BAD_HANDSHAKE = Http(400, "bad_handshake")
VERSION = Http(426, "unsupported_version")
CLIENT_HELLO = bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(range(200))

HANDSHAKES = [
    Case("non-ASCII Host", head(b"Host: \xff\xfe", without=b"Host"), BAD_HEADER),
    Case("non-ASCII Connection", head(b"Connection: Upgrade, \xe9", without=b"Connection"), BAD_HEADER),
    Case("non-ASCII subprotocol", head(b"Sec-WebSocket-Protocol: gr\xc3\xbcn"), BAD_HEADER),
    Case("non-ASCII extensions", head(b"Sec-WebSocket-Extensions: \xff"), BAD_HEADER),
    Case("NUL in a header", head(b"X-A: a\x00b"), BAD_HEADER),
    Case("bare line feed in a header", head(b"X-A: a\nX-B: b"), BAD_HEADER),
    Case("two Hosts", head(b"Host: evil"), BAD_HEADER),
    Case("two Origins", head(b"Origin: http://a", b"Origin: http://b"), BAD_HEADER),
    Case("two keys", head(b"Sec-WebSocket-Key: " + KEY), BAD_HEADER),
    Case("plain GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Http(426, "upgrade_required")),
    Case(
        "POST",
        b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        Http(405, "method_not_allowed"),
    ),
    Case("HEAD", b"HEAD /v1 HTTP/1.1\r\nHost: x\r\n\r\n", Http(405, "method_not_allowed")),
    Case("PUT", head(line=b"PUT /v1 HTTP/1.1"), Http(405, "method_not_allowed")),
    Case("HTTP/1.0", head(line=b"GET /v1 HTTP/1.0"), BAD_HANDSHAKE),
    Case("body in GET", head(b"Content-Length: 2") + b"ab", BAD_HANDSHAKE),
    Case("chunked body in GET", head(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", BAD_HANDSHAKE),
    Case("no Host", head(without=b"Host"), BAD_HANDSHAKE),
    Case("no Upgrade", head(without=b"Upgrade"), BAD_HANDSHAKE),
    Case("no Connection", head(without=b"Connection"), BAD_HANDSHAKE),
    Case("no key", head(without=b"Sec-WebSocket-Key"), BAD_HANDSHAKE),
    Case("short key", head(key=b"eA=="), BAD_HANDSHAKE),
    Case("key that is no base64", head(key=b"!" * 24), BAD_HANDSHAKE),
    Case("no version", head(without=b"Sec-WebSocket-Version"), VERSION),
    Case("version 8", head(version=b"8"), VERSION),
    Case("unknown path", head(line=b"GET /v2 HTTP/1.1"), Http(404, "not_found")),
    Case("dots in the path", head(line=b"GET /v1/../etc HTTP/1.1"), Http(400, "bad_path")),
    Case("NUL in the path", head(line=b"GET /v1%00 HTTP/1.1"), Http(400, "bad_path")),
    Case("4 KiB query", head(line=b"GET /v1?" + b"q" * 4096 + b" HTTP/1.1"), Http(400, "bad_path")),
    Case("token in the URL", head(line=b"GET /v1?a=1&access_token=s HTTP/1.1"), Http(400, "token_in_url")),
    Case("foreign Origin", head(b"Origin: https://good.evil.example"), Http(403, "origin_not_allowed")),
    Case("null Origin", head(b"Origin: null"), Http(403, "origin_not_allowed")),
    Case("TLS on the plain port", CLIENT_HELLO, BAD_HANDSHAKE),
    Case("SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", BAD_HANDSHAKE),
    Case("garbage", bytes(range(256)) * 8, BAD_HANDSHAKE),
    Case("bare line feeds", b"GET /v1 HTTP/1.1\nHost: x\n\n", BAD_HANDSHAKE),
    Case("9 KiB header", head(b"X-A: " + b"a" * 9000), Http(431, "header_too_large")),
    Case("endless header", b"GET /v1 HTTP/1.1\r\nX-A: " + b"a" * 200_000, Http(431, "header_too_large")),
    Case("65 headers", head(*[b"X-A: a"] * 60), Http(431, "header_too_large")),
    Case("broken punycode", head(b"Host: xn--\x7e.xn--a", without=b"Host"), Alive()),
    Case("slow loris", head()[:-2], Http(408, "handshake_timeout"), bytewise=True),
    Case("half a head, then the end", head()[:40], Http(408, "handshake_timeout")),
    Case("reset before a byte", b"", Cut(), reset=True),
    Case("reset in the head", head()[:30], Cut(), reset=True),
    Case("reset after the head", head(), Cut(), reset=True),
]

FRAMES = [
    Case("reset after the upgrade", b"", Cut(), upgraded=True, reset=True),
    Case("reset in a frame", frame(0x81, b"hello")[:4], Cut(), upgraded=True, reset=True),
    Case("reset after a frame", frame(0x81, b"hello") * 50, Cut(), upgraded=True, reset=True),
    Case("unmasked frame", frame(0x81, b"hello", mask=b""), Close(1002), upgraded=True),
    Case("reserved bit", frame(0xC1, b"hello"), Close(1002), upgraded=True),
    Case("unknown data opcode", frame(0x83, b"hello"), Close(1002), upgraded=True),
    Case("unknown control opcode", frame(0x8B, b"hello"), Close(1002), upgraded=True),
    Case("control frame of 126 bytes", frame(0x89, b"p" * 126), Close(1002), upgraded=True),
    Case("fragmented control frame", frame(0x09, b"p"), Close(1002), upgraded=True),
    Case("continuation of nothing", frame(0x80, b"x"), Close(1002), upgraded=True),
    Case("message inside a message", frame(0x01, b"a") + frame(0x81, b"b"), Close(1002), upgraded=True),
    Case("length 2^63", frame(0x81, length=b"\x7f" + struct.pack("!Q", 1 << 63)), Close(1002), upgraded=True),
    Case("length 2^62", frame(0x81, length=b"\x7f" + struct.pack("!Q", 1 << 62)), Close(1009), upgraded=True),
    Case("length in too many bytes", frame(0x81, length=b"\x7e\x00\x05"), Close(1002), upgraded=True),
    Case("bad UTF-8", frame(0x81, b"ab\xff"), Close(1007), upgraded=True),
    Case("half a character", frame(0x81, b"\xe2\x82"), Close(1007), upgraded=True),
    Case("close code 0", _close(0), Close(1002), upgraded=True),
    Case("close code 1005", _close(1005), Close(1002), upgraded=True),
    Case("close code 65535", _close(65535), Close(1002), upgraded=True),
    Case("close of one byte", frame(0x88, b"\x03"), Close(1002), upgraded=True),
    Case("close reason of bad UTF-8", frame(0x88, b"\x03\xe8\xff"), Close(1007), upgraded=True),
    Case("oversize frame", frame(0x81, b"x" * 600_000), Close(1009), upgraded=True),
    Case("empty fragment flood", frame(0x01) + frame(0x00) * 20_000, Close(1009), upgraded=True),
    Case(
        "one-byte fragment flood", frame(0x01, b"a") + frame(0x00, b"a") * 20_000, Close(1009), upgraded=True
    ),
    Case("binary frame", frame(0x82, b"\x00\x01"), Close(1003), upgraded=True),
    Case("ping flood", frame(0x89, b"p" * 125) * 5_000, Alive(), upgraded=True),
    Case("pong flood", frame(0x8A) * 20_000, Alive(), upgraded=True),
    Case("close, then more", _close(1000) + frame(0x81, b"more") * 10, Close(1000), upgraded=True),
    Case("text byte by byte", frame(0x81, b"{}"), Alive(), upgraded=True, bytewise=True),
]

CORPUS = HANDSHAKES + FRAMES


async def play(port: int, case: Case) -> None:
    """Run one case; raises AssertionError if the server does anything else than ``case.expect``."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    reader = _Reader(stream)
    try:
        with trio.fail_after(20):
            if case.upgraded:
                await stream.send_all(head())
                assert (await reader.head()).startswith(b"HTTP/1.1 101 ")
            if case.reset:
                await _reset(stream, case.send)
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send, stream, case)
                await _expect(reader, case)
                nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def _reset(stream: trio.SocketStream, data: bytes) -> None:
    if data:
        await stream.send_all(data)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def _send(stream: trio.SocketStream, case: Case) -> None:
    pieces = [case.send[i : i + 1] for i in range(len(case.send))] if case.bytewise else [case.send]
    if isinstance(case.expect, Alive):
        pieces.append(frame(0x81, b"still here"))
    try:
        for piece in pieces:
            await stream.send_all(piece)
    except trio.BrokenResourceError:
        return  # the server hung up first, as it may


async def _expect(reader: "_Reader", case: Case) -> None:
    match case.expect:
        case Http(status, error):
            answer = await reader.everything()
            assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
            assert answer.endswith(b'{"error":"%s"}' % error.encode()), answer[-200:]
        case Close(code):
            while (answer := await reader.frame())[0] != 0x88:
                pass
            assert struct.unpack("!H", answer[1][:2]) == (code,), answer
            assert await reader.everything() == b""
        case Cut():
            await reader.everything()
        case Alive():
            if not case.upgraded:
                assert (await reader.head()).startswith(b"HTTP/1.1 101 ")
            while (await reader.frame())[0] != 0x81:
                pass


class _Reader:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def _more(self) -> None:
        data = await self._stream.receive_some()
        assert data, f"expected more, met the end after {self._buffer[-200:]!r}"
        self._buffer += data

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def head(self) -> bytes:
        """Read one HTTP response head."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        return await self._take(self._buffer.index(b"\r\n\r\n") + 4)

    async def frame(self) -> tuple[int, bytes]:
        """Read one server frame: its first byte and its payload."""
        first, size = await self._take(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._take(8))
        return first, await self._take(size)

    async def everything(self) -> bytes:
        """Read to the end, which may be a reset."""
        try:
            while data := await self._stream.receive_some():
                self._buffer += data
        except trio.BrokenResourceError as error:
            assert isinstance(error.__cause__, ConnectionResetError), error.__cause__  # noqa: PT017
        return self._buffer
