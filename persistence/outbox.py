"""The outbox of ends: how one is stored, read and erased, and told from a damaged one."""

import msgspec
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .chain import seal
from .errors import StoreFormatError, UnstorableError
from .records import Ending
from .rows import Row, clamp

INSERT_ENDING = "INSERT INTO ending (end_id, body, hash) VALUES (?, ?, ?)"
"""Takes what `ending_row` makes."""

_ENDINGS = "SELECT number, end_id, body, hash FROM ending WHERE number > ? ORDER BY number LIMIT ?"

_encode = msgspec.json.Encoder().encode
_decode_ending = msgspec.json.Decoder(Ending).decode


def ending_row(ending: Ending) -> Row:
    """An end as the outbox keeps it: end_id, body, hash.

    Raises:
        UnstorableError: A text is not valid Unicode, or a number needs more than 64 bits.
    """
    try:
        body = _encode(ending).decode()
        return (ending.end_id, body, seal(ending.end_id, body))
    except (ValueError, OverflowError) as error:
        raise UnstorableError(f"end of {ending.session}: expected storable values, met {error}") from error


def ending_of(end_id: str, body: str, hashed: bytes) -> Ending:
    """Read what `ending_row` made.

    Raises:
        StoreFormatError: It is not what was stored.
    """
    if seal(end_id, body) != hashed:
        raise StoreFormatError(f"end {end_id}: damaged: its hash does not fit its row")
    try:
        return _decode_ending(body)
    except ValueError as error:
        raise StoreFormatError(f"end {end_id}: expected an end of ours, met {error}") from error


def read_endings(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, Ending]]:
    """Read the outbox above a number, in its order."""
    rows = connection.execute(_ENDINGS, (clamp(after), clamp(max(limit, 0)))).fetchall()
    return [(number, ending_of(end_id, body, hashed)) for number, end_id, body, hashed in rows]


def erase_ending(connection: sqlite3.Connection, end_id: str) -> None:
    """Take an end out of the outbox inside a transaction, if it is there."""
    try:
        connection.execute("DELETE FROM ending WHERE end_id = ?", (end_id,))
    except UnicodeEncodeError:
        return  # no stored text holds a lone surrogate
