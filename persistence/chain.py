"""The chain of hashes that makes a changed, missing or moved journal row show.

Each entry's hash covers the hash before it, the session's name and every stored column of its row, packed by
MessagePack so that no two different rows pack alike. The first entry follows the empty hash.
"""

from hashlib import blake2b

import msgspec

from .ids import SessionID

HASH_BYTES = 16
"""128 bits: 2**64 rows before two hashes are likely to agree by chance."""

Columns = tuple[int, int, int, int, int, str | None, str | None, str]
"""What a hash covers: seq, epoch, kind, at, tokens, client_id, turn_id, body."""

_pack = msgspec.msgpack.Encoder().encode


def link(previous: bytes, session: SessionID, columns: Columns) -> bytes:
    """Hash one journal row.

    Args:
        previous: The hash of the row before it; empty for the first.
        session: Whose journal it is.
        columns: The row as stored.

    Returns:
        `HASH_BYTES` bytes.

    Raises:
        ValueError: A text is not valid Unicode.
        OverflowError: A number has more than 64 bits.
    """
    return blake2b(_pack((previous, session, columns)), digest_size=HASH_BYTES).digest()


def seal(name: str, body: str) -> bytes:
    """Hash a row that stands alone; `HASH_BYTES` bytes.

    Raises:
        ValueError: A text is not valid Unicode.
    """
    return blake2b(_pack((name, body)), digest_size=HASH_BYTES).digest()
