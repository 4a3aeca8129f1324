"""The store on an SQLite file: one connection that writes, a few that only read."""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from . import journal, outbox, queries, writing
from .commit import commit
from .creation import create
from .errors import StoreClosedError, StoreError, StoreOpenError, StorePermissionError, StoreUnavailableError
from .ids import SessionID
from .importing import import_all
from .listing import read_list
from .location import ProcessLock, locate, require_writable
from .opening import open_writer, refusal, require_ours
from .readers import Readers
from .records import (
    Append,
    Ending,
    Entry,
    Hit,
    SessionFacts,
    SessionFilter,
    SessionImport,
    SessionRecord,
    SessionState,
    StoreStats,
)
from .searching import index_messages, read_hits

T = TypeVar("T")

DEFAULT_MAX_TOKENS = 128_000
"""Tokens of live context that a load returns at most, unless one message has more."""


class SQLiteSessionStore:
    """A `SessionStore` in one file, durable when a call returns (WAL, ``synchronous=FULL``).

    A missing file is created; an empty one is refused. One store in one process writes at a time; any number
    opened with ``readonly`` may read beside it.
    """

    blocking = True

    def __init__(
        self, path: str | os.PathLike[str], *, max_tokens: int = DEFAULT_MAX_TOKENS, readonly: bool = False
    ) -> None:
        """Open the database at ``path``.

        Args:
            path: The file; symbolic links are followed.
            max_tokens: Budget of the context that `load` returns.
            readonly: Take no lock, create nothing, refuse every write.

        Raises:
            StoreOpenError: The path cannot serve; what lies there is unchanged.
        """
        self._max_tokens = max_tokens
        self._readonly = readonly
        self._closed = False
        self._place, exists = locate(path)
        if readonly:
            if not exists:
                raise StoreOpenError(f"no database at {self._place}")
            require_ours(self._place)
            self._readers = Readers(self._place)
            return
        require_writable(self._place, exists=exists)
        if exists:
            require_ours(self._place, older=True)
        self._lock = ProcessLock(self._place)
        try:
            self._db, self._readers = _open(self._place)
        except BaseException:
            self._lock.release()
            raise

    @property
    def path(self) -> Path:
        """Where the file really lies."""
        return self._place

    def commit(self, batch: Sequence[Append]) -> list[SessionFacts | StoreError]:
        """See `SessionStore.commit`."""
        connection = self._writer()
        try:
            return commit(connection, batch)
        except sqlite3.Error as error:
            return [_unavailable(self._place, error) for _ in batch]

    def import_sessions(self, sessions: Iterable[SessionImport]) -> list[SessionFacts]:
        """See `SessionStore.import_sessions`."""
        with self._writing() as connection:
            return import_all(connection, sessions)

    def save(self, record: SessionRecord) -> None:
        """See `SessionStore.save`."""
        with self._writing() as connection:
            writing.save(connection, record.facts)

    def load(self, session: SessionID) -> SessionRecord | None:
        """See `SessionStore.load`."""
        with self._readers.snapshot() as connection:
            return queries.read_record(connection, session, self._max_tokens)

    def delete(self, session: SessionID) -> bool:
        """See `SessionStore.delete`."""
        with self._writing() as connection:
            return writing.delete(connection, session)

    def archive(self, session: SessionID) -> bool:
        """See `SessionStore.archive`."""
        with self._writing() as connection:
            return writing.archive(connection, session)

    def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
        """See `SessionStore.endings`."""
        with self._readers.snapshot() as connection:
            return outbox.read_endings(connection, after, limit)

    def erase_ending(self, end_id: str) -> None:
        """See `SessionStore.erase_ending`."""
        with self._writing() as connection:
            outbox.erase_ending(connection, end_id)

    def list(self, where: SessionFilter) -> list[SessionFacts]:
        """See `SessionStore.list`."""
        with self._readers.snapshot() as connection:
            return read_list(connection, where)

    def facts(self, session: SessionID) -> SessionFacts | None:
        """See `SessionStore.facts`."""
        with self._readers.snapshot() as connection:
            return queries.read_facts(connection, session)

    def entries(self, session: SessionID, after_seq: int, limit: int) -> Sequence[Entry]:
        """See `SessionStore.entries`."""
        return self._of(session, (), lambda c, facts: journal.read_entries(c, facts, after_seq, limit))

    def history(self, session: SessionID, epoch: int, before_seq: int | None, limit: int) -> Sequence[Entry]:
        """See `SessionStore.history`."""
        return self._of(
            session, (), lambda c, facts: journal.read_history(c, facts, epoch, before_seq, limit)
        )

    def outcome(self, session: SessionID, seq: int) -> tuple[Entry, Sequence[Entry]] | None:
        """See `SessionStore.outcome`."""
        return self._of(session, None, lambda c, facts: journal.read_outcome(c, facts, seq))

    def sent(self, session: SessionID, client_ids: Sequence[str]) -> Sequence[Entry]:
        """See `SessionStore.sent`."""
        return self._of(session, (), lambda c, facts: journal.read_sent(c, facts, client_ids))

    def epochs(self, session: SessionID, limit: int) -> Sequence[int]:
        """See `SessionStore.epochs`."""
        return self._of(session, (), lambda c, facts: journal.read_epochs(c, facts, limit))

    def unfinished(self, after_key: int, limit: int) -> Sequence[SessionFacts]:
        """See `SessionStore.unfinished`."""
        with self._readers.snapshot() as connection:
            return queries.read_unfinished(connection, after_key, limit)

    def due(self, state: SessionState, before: int, limit: int) -> Sequence[SessionFacts]:
        """See `SessionStore.due`."""
        with self._readers.snapshot() as connection:
            return queries.read_due(connection, state, before, limit)

    def index_messages(self, limit: int) -> int:
        """See `SessionStore.index_messages`."""
        with self._writing() as connection:
            return index_messages(connection, limit)

    def search(
        self, query: str, where: SessionFilter, session: SessionID | None, limit: int
    ) -> Sequence[Hit]:
        """See `SessionStore.search`."""
        with self._readers.snapshot() as connection:
            return read_hits(connection, query, where, session, limit)

    def stats(self) -> StoreStats:
        """See `SessionStore.stats`."""
        with self._readers.snapshot() as connection:
            return queries.read_stats(connection)

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it; idempotent.

        Raises:
            StoreUnavailableError: The log could not be folded in; it stays beside the file, whole.
        """
        if self._closed:
            return
        self._closed = True
        self._readers.close()
        if self._readonly:
            return
        try:
            self._db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise refusal(error, f"{self._place}: cannot fold the log in") from error
        finally:
            self._db.close()
            self._lock.release()

    def _of(
        self,
        session: SessionID,
        missing: T,
        read: Callable[[sqlite3.Connection, SessionFacts], T],
    ) -> T:
        with self._readers.snapshot() as connection:
            facts = queries.read_facts(connection, session)
            return missing if facts is None else read(connection, facts)

    def _writer(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosedError(f"{self._place}: expected an open store, met a closed one")
        if self._readonly:
            raise StorePermissionError(f"{self._place} was opened for reading only")
        return self._db.conn

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        connection = self._writer()
        try:
            with writing.transaction(connection):
                yield connection
        except sqlite3.Error as error:
            raise refusal(error, f"{self._place}: cannot write") from error


def _open(place: Path) -> tuple[Database, Readers]:
    if not place.exists():
        create(place)
    require_ours(place, older=True)
    db = open_writer(place)
    try:
        return db, Readers(place)
    except BaseException:
        db.close()
        raise


def _unavailable(place: Path, error: sqlite3.Error) -> StoreUnavailableError:
    answer = StoreUnavailableError(f"{place}: cannot commit: {error}")
    answer.__cause__ = error
    return answer
