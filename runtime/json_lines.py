"""JSON on one line, which a terminal can be shown as it is."""

import re

import msgspec

# JSON escapes what is below U+0020 by itself. A terminal also obeys U+007F to U+009F (ECMA-48, C1 controls),
# here as UTF-8; in JSON that we write they stand in strings only, where the escape means the same.
_TERMINAL_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def json_line(value: object) -> bytes:
    """``value`` as JSON in UTF-8, without a line feed and without any control character.

    Raises:
        UnicodeEncodeError: A text in it holds a lone surrogate.
    """
    return _TERMINAL_CONTROLS.sub(_escape, msgspec.json.encode(value))


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match.group().decode())
