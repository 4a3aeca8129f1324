"""What a client's frame headers announce, read before the frame reaches the library (RFC 6455, 5.2).

The library bounds a message by the length of its text and so counts neither empty fragments nor bytes. The
meter here counts both, from the headers alone, and says no before one byte of an oversize frame is kept.
"""

import struct

# What one fragment costs the library beyond its bytes: a small str object and its place in a list.
FRAGMENT_CHARGE = 64

PING = b"\x89\x00"

_TEXT = 0x81
_CLOSE = 0x88
_MASKED = 0x80
_FIN = 0x80
_CONTROL = 0x08
_LENGTH = 0x7F
_LENGTH_16 = 126
_LENGTH_64 = 127
_LONGEST_CONTROL = 125
_LONGEST_REASON = _LONGEST_CONTROL - 2
_TOP_BIT = 1 << 63

# RFC 6455, 7.4.1: these three name an end that no close frame told of, so no frame may carry them.
_NEVER_SENT = frozenset({1005, 1006, 1015})


def close_frame(code: int, reason: str = "") -> bytes:
    """Spell a server's close frame; a reason over 123 bytes is cut."""
    text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
    return struct.pack("!BBH", _CLOSE, 2 + len(text), code) + text


def text_frame(text: str) -> bytes:
    """Spell a server's text message: one frame, not masked (RFC 6455, 5.1).

    Raises:
        UnicodeEncodeError: ``text`` holds a lone surrogate.
    """
    payload = text.encode()
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT, _LENGTH_16, size) + payload
    return struct.pack("!BBQ", _TEXT, _LENGTH_64, size) + payload


def is_close_frame(frame: bytes | bytearray | memoryview) -> bool:
    """Tell whether a whole outgoing frame is a close frame."""
    return frame[:1] == b"\x88"


def may_be_sent(code: int) -> bool:
    """Tell whether a close frame may carry ``code``."""
    return 1000 <= code <= 4999 and code not in _NEVER_SENT  # noqa: PLR2004 - RFC 6455, 7.4.2


class FrameMeter:
    """Measures the unfinished message of one client, whatever pieces its bytes come in.

    A message costs the payload bytes of its frames plus ``FRAGMENT_CHARGE`` for every frame after its first.
    Control frames cost nothing: they are at most 125 bytes and are used up at once. Malformed frames are
    let through, for the library to judge.

    Attributes:
        limit: Most that one message may cost, in bytes; it may be changed at any time and holds for the next
            frame.
        exceeded: A frame was announced that takes its message over the limit. Nothing passes after that.
        ended: How many messages, and control frames outside a message, have come to their end.
    """

    __slots__ = ("_blind", "_cost", "_final", "_header", "_in_message", "_left", "ended", "exceeded", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.exceeded = False
        self.ended = 0
        self._header = b""  # the begun header of the next frame
        self._left = 0  # payload bytes of the present frame still to come
        self._final = False  # the present frame's end is also the unit's end
        self._in_message = False
        self._cost = 0
        self._blind = False

    @property
    def unfinished(self) -> bool:
        """A message or a frame has begun and its end has not come."""
        return self._in_message or self._left > 0 or bool(self._header)

    def feed(self, data: bytes) -> int:
        """Read the next bytes from the client.

        Returns:
            How many of them may reach the library: all, or those before the header that went too far.
        """
        at = 0
        end = len(data)
        while at < end and not self._blind and not self.exceeded:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                if not self._left:
                    self._end_frame()
                continue
            began = len(self._header)
            header = self._header + data[at : at + 14 - began]
            size = _header_size(header)
            if len(header) < size:
                self._header = header
                return end
            self._header = b""
            if not self._begin_frame(header):
                return at
            at += size - began
            if not self._left:
                self._end_frame()
        return 0 if self.exceeded else end

    def _begin_frame(self, header: bytes) -> bool:
        first, second = header[0], header[1]
        length = second & _LENGTH
        control = bool(first & _CONTROL)
        if length == _LENGTH_16:
            (length,) = struct.unpack_from("!H", header, 2)
        elif length == _LENGTH_64:
            (length,) = struct.unpack_from("!Q", header, 2)
        if length >= _TOP_BIT or (control and length > _LONGEST_CONTROL):
            self._blind = True  # the library ends the connection at this header, before any payload
            return True
        self._left = length
        if control:
            self._final = not self._in_message
            return True
        cost = self._cost + length + (FRAGMENT_CHARGE if self._in_message else 0)
        if cost > self.limit:
            self.exceeded = True
            return False
        self._cost = cost
        self._in_message = True
        self._final = bool(first & _FIN)
        return True

    def _end_frame(self) -> None:
        if self._blind or not self._final:
            return
        self._final = False
        self._in_message = False
        self._cost = 0
        self.ended += 1


def _header_size(header: bytes) -> int:
    """Say how long this header is in all; 2 as long as its first two bytes are not there."""
    if len(header) < 2:  # noqa: PLR2004 - the two bytes that tell the rest
        return 2
    code = header[1] & _LENGTH
    extended = 2 if code == _LENGTH_16 else 8 if code == _LENGTH_64 else 0
    return 2 + extended + (4 if header[1] & _MASKED else 0)
