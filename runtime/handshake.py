"""The door for h11: judges a request head before any WebSocket library sees a byte of it.

What passes is boiled down to an ``Upgrade``; the head that the library is given is our own spelling of it, so
that nothing a peer wrote except its key gets any further.
"""

import base64
import binascii
import re
from typing import Final

import h11
import msgspec

PATH: Final = "/v1"
SUBPROTOCOL: Final = "greenroom.v1"

MAX_HEAD: Final = 8 * 1024  # bytes
MAX_HEADERS: Final = 64
MAX_TARGET: Final = 2048  # bytes of path and query

_KEY_BYTES = 16  # RFC 6455, 4.1
FIRST_LINE = re.compile(rb"[A-Z]{1,20} [!-~]+ HTTP/[0-9]\.[0-9]")
LINE = re.compile(rb"[ -~]*")
_SINGLE = (b"host", b"origin", b"sec-websocket-key")
_TOKEN_PARAMETER = re.compile(r"(?:^|[&;])(?:access_)?token=", re.IGNORECASE)
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
}


class HandshakePolicy(msgspec.Struct, frozen=True):
    """Which pages may connect: the ``Origin`` values allowed, each spelled exactly as a browser sends it."""

    origins: frozenset[str] = frozenset()


class SocketLimits(msgspec.Struct, frozen=True):
    """Bounds of a socket, in seconds and bytes; the gateway's watchdog keeps the others."""

    handshake: float = 5.0
    frame_bytes_before: int = 64 * 1024
    frame_bytes: int = 512 * 1024


class Upgrade(msgspec.Struct, frozen=True):
    """A request that may become a WebSocket.

    Attributes:
        key: The client's ``Sec-WebSocket-Key``.
        subprotocol: ``greenroom.v1`` if the client offered it.
    """

    key: str
    subprotocol: str | None = None

    def spell(self) -> bytes:
        """Write the canonical request head that the library is given."""
        offer = f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n" if self.subprotocol else ""
        return (
            f"GET {PATH} HTTP/1.1\r\nHost: greenroom\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n{offer}\r\n"
        ).encode("ascii")


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer that ends the connection: its status, a stable error name, and headers of its own."""

    status: int
    name: str
    headers: tuple[tuple[str, str], ...] = ()

    def spell(self) -> bytes:
        """Write the whole response."""
        body = b'{"error":"%s"}' % self.name.encode("ascii")
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            *(f"{name}: {value}" for name, value in self.headers),
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class HandshakeRefusedError(Exception):
    """The peer's handshake was refused and answered.

    Attributes:
        refusal: The answer it was given.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            f"expected a WebSocket upgrade of {PATH}, refused with {refusal.status} {refusal.name}"
        )
        self.refusal = refusal


TIMED_OUT: Final = Refusal(408, "handshake_timeout")

BAD_HANDSHAKE = Refusal(400, "bad_handshake")
_BAD_HEADER = Refusal(400, "bad_header")
TOO_LARGE = Refusal(431, "header_too_large")
_VERSION_HEADER = ("Sec-WebSocket-Version", "13")
_UPGRADE_REQUIRED = Refusal(426, "upgrade_required", (_VERSION_HEADER, ("Upgrade", "websocket")))
_BAD_VERSION = Refusal(426, "unsupported_version", (_VERSION_HEADER, ("Upgrade", "websocket")))


def judge(head: bytes, policy: HandshakePolicy) -> Upgrade | Refusal:
    """Decide whether a complete request head may become a WebSocket."""
    lines = head[:-4].split(b"\r\n")
    if not FIRST_LINE.fullmatch(lines[0]):
        return BAD_HANDSHAKE
    if len(lines) - 1 > MAX_HEADERS:
        return TOO_LARGE
    if not all(map(LINE.fullmatch, lines)):
        return _BAD_HEADER
    names = [line.partition(b":")[0].strip().lower() for line in lines[1:]]
    if any(names.count(name) > 1 for name in _SINGLE):
        return _BAD_HEADER
    request = _parse(head)
    if request is None:
        return BAD_HANDSHAKE
    return _judge_target(request) or _judge_upgrade(request) or _judge_peer(request, policy)


def _parse(head: bytes) -> h11.Request | None:
    parser = h11.Connection(h11.SERVER)
    try:
        parser.receive_data(head)
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


def _values(request: h11.Request, name: bytes) -> list[str]:
    return [value.decode("ascii") for key, value in request.headers if key == name]


def _items(request: h11.Request, name: bytes) -> list[str]:
    """Read a header that is a list: its items over all lines, in order."""
    return [item.strip() for value in _values(request, name) for item in value.split(",")]


def _judge_target(request: h11.Request) -> Refusal | None:
    if request.http_version != b"1.1":
        return BAD_HANDSHAKE
    if request.method != b"GET":
        return Refusal(405, "method_not_allowed", (("Allow", "GET"),))
    length = _values(request, b"content-length")
    if (length and length != ["0"]) or _values(request, b"transfer-encoding"):
        return BAD_HANDSHAKE  # a body has no place before an upgrade
    target = request.target.decode("ascii")
    path, _, query = target.partition("?")
    if len(target) > MAX_TARGET or ".." in path or "%00" in target:
        return Refusal(400, "bad_path")
    return Refusal(400, "token_in_url") if _TOKEN_PARAMETER.search(query) else None


def _judge_upgrade(request: h11.Request) -> Refusal | None:
    upgrade = [item.lower() for item in _items(request, b"upgrade")]
    keys = _values(request, b"sec-websocket-key")
    versions = _values(request, b"sec-websocket-version")
    if not (upgrade or keys or versions):
        return _UPGRADE_REQUIRED
    connection = [item.lower() for item in _items(request, b"connection")]
    if upgrade != ["websocket"] or "upgrade" not in connection:
        return BAD_HANDSHAKE
    if versions != ["13"]:
        return _BAD_VERSION
    return None if keys and _is_key(keys[0]) else BAD_HANDSHAKE


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _judge_peer(request: h11.Request, policy: HandshakePolicy) -> Upgrade | Refusal:
    if request.target.partition(b"?")[0] != PATH.encode("ascii"):
        return Refusal(404, "not_found")
    (origin,) = _values(request, b"origin") or [None]
    if origin is not None and origin not in policy.origins:
        return Refusal(403, "origin_not_allowed")
    (key,) = _values(request, b"sec-websocket-key")
    return Upgrade(
        key=key,
        subprotocol=SUBPROTOCOL if SUBPROTOCOL in _items(request, b"sec-websocket-protocol") else None,
    )
