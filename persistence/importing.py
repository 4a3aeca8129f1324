"""Whole sessions that come from elsewhere: rules both stores share, and the writing of them into SQLite."""

from collections.abc import Iterable

import msgspec
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .commit import write_whole
from .errors import SessionExistsError, StoreError, UnstorableError
from .queries import read_facts
from .records import Append, SessionFacts, SessionImport


def import_append(session: SessionImport) -> Append:
    """The append that stores a whole session in a store that does not have it."""
    return Append(msgspec.structs.replace(session.facts, key=0, chain=b""), 0, session.entries)


def require_chain(session: SessionImport, chain: bytes) -> None:
    """Refuse a session whose chain, if it is said, is not the one of its entries.

    Raises:
        UnstorableError: An entry was changed, lost or moved since the chain was made.
    """
    if session.facts.chain not in (b"", chain):
        raise UnstorableError(f"{session.facts.id}: damaged: expected the chain of its entries, met another")


def import_all(connection: sqlite3.Connection, sessions: Iterable[SessionImport]) -> list[SessionFacts]:
    """Store whole sessions inside a transaction, which any error must end.

    Raises:
        SessionExistsError: One is stored already.
        UnstorableError: One breaks the store's rules, or its chain is not that of its entries.
        sqlite3.Error: SQLite could not write.
    """
    stored: list[SessionFacts] = []
    for session in sessions:
        if read_facts(connection, session.facts.id) is not None:
            raise SessionExistsError(f"{session.facts.id}: expected a new session, met a stored one")
        answer = write_whole(connection, import_append(session))
        if isinstance(answer, StoreError):
            raise answer
        require_chain(session, answer.chain)
        stored.append(answer)
    return stored
