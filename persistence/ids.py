"""The identity of a conversation: which agent talks with whom, where, in which thread.

The text form is ``agent:channel:peer[:thread]`` with ``:`` and ``%`` inside a part percent-encoded, so that
every valid id survives ``SessionID.parse(str(id))`` unchanged.
"""

import sys
import unicodedata
from typing import Self

import msgspec

MAX_PART_LENGTH = 256  # code points

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Bidi controls make an id read differently from what it is (Unicode TR 36, section 2.6).
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _check_part(name: str, part: str) -> None:
    if not part or len(part) > MAX_PART_LENGTH:
        raise ValueError(f"{name}: expected 1 to {MAX_PART_LENGTH} code points, met {len(part)}")
    if part.isascii() and part.isprintable():
        return  # the common case, without a look at each character
    for character in part:
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character in _BIDI_CONTROLS:
            raise ValueError(f"{name}: expected no control characters, met U+{ord(character):04X}")
    if not unicodedata.is_normalized("NFC", part):
        raise ValueError(f"{name}: expected NFC text, met another normalisation form")


def _encode(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A")


def _decode(part: str) -> str:
    text = part.replace("%3A", ":").replace("%25", "%")
    if _encode(text) != part:
        raise ValueError("session id: expected ':' and '%' as '%3A' and '%25' only")
    return text


class SessionID(msgspec.Struct, frozen=True, gc=False, order=True):
    """Names one conversation.

    Attributes:
        agent_id: Which agent answers.
        channel_id: Through which channel the peer talks.
        peer_id: Who the peer is.
        thread_id: Which thread of the channel; empty for none.

    Each part is 1 to 256 code points of NFC text without control, surrogate, line-separator or bidi-control
    characters; ``thread_id`` may also be empty.

    Raises:
        ValueError: A part breaks these rules.
    """

    agent_id: str
    channel_id: str
    peer_id: str
    thread_id: str = ""

    def __post_init__(self) -> None:
        _check_part("agent_id", self.agent_id)
        _check_part("channel_id", self.channel_id)
        _check_part("peer_id", self.peer_id)
        if self.thread_id:
            _check_part("thread_id", self.thread_id)

    def __str__(self) -> str:
        parts = [self.agent_id, self.channel_id, self.peer_id]
        if self.thread_id:
            parts.append(self.thread_id)
        return ":".join(map(_encode, parts))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Only the canonical spelling is read, so that one conversation has one name.

        Raises:
            ValueError: ``text`` is not a canonical session id.
        """
        parts = text.split(":")
        if len(parts) not in (3, 4):
            raise ValueError(f"session id: expected agent:channel:peer[:thread], met {len(parts)} parts")
        if not parts[-1]:
            raise ValueError("session id: expected a last part, met nothing after ':'")
        agent, channel, *rest = map(_decode, parts)
        return cls(sys.intern(agent), sys.intern(channel), *rest)  # few of these; not one more per session
