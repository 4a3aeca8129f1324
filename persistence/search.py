"""Finding messages by their words: pure rules that both stores share.

A word is a run of letters and digits in the text after compatibility decomposition (NFKD), without marks,
case folded, cut at 64 characters; each Chinese or Japanese character is a word of its own, since nothing
stands between those. Words keep the order of their first appearance. A query has no operators: it is a text
like any other, and finds the messages that hold each of its words.
"""

import re
import unicodedata
from collections.abc import Sequence

MAX_QUERY_WORDS = 32
"""Further words of a query are not looked for."""

_WORD_LENGTH = 64  # characters; FTS5 would cut at 32,768 bytes
_SNIPPET = 160  # characters
_BEFORE = 40  # characters of the snippet before the first word found

_ASCII = re.compile(r"[0-9a-z]+")
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ANY = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+")
_PIECE = re.compile(rf"[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}]+")


def words(text: str) -> list[str]:
    """The distinct words of a text."""
    if text.isascii():
        found = _ASCII.findall(text.lower())
    else:
        # Folded twice: folding may leave marks that decompose, and decomposition may leave capitals.
        decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        found = _ANY.findall("".join(c for c in decomposed if unicodedata.category(c)[0] != "M").casefold())
    return list(dict.fromkeys(word[:_WORD_LENGTH] for word in found))


def query_words(query: str) -> list[str]:
    """The words a query looks for; none if it holds none."""
    return words(query)[:MAX_QUERY_WORDS]


def snippet(text: str, wanted: Sequence[str]) -> str:
    """The piece of a text around the first of its words that is wanted, white space joined."""
    start = next((piece.start() for piece in _PIECE.finditer(text) if _holds(piece[0], wanted)), 0)
    first = max(start - _BEFORE, 0)
    last = first + _SNIPPET
    piece = " ".join(text[first:last].split())
    return f"{'…' if first else ''}{piece}{'…' if last < len(text) else ''}"


def _holds(piece: str, wanted: Sequence[str]) -> bool:
    return not set(wanted).isdisjoint(words(piece))
