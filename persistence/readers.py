"""A few read-only connections, lent to whichever thread asks."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import StoreClosedError
from .opening import open_reader, refusal

READERS = 4
"""Reads that run at once; a further one waits for the first of them to end."""


class Readers:
    """Lends connections that see everything committed before they were lent."""

    def __init__(self, place: Path) -> None:
        """Open all connections.

        Raises:
            StoreOpenError: The file cannot be read.
        """
        self._place = place
        self._changed = Condition()
        self._closed = False
        self._free: list[sqlite3.Connection] = []
        try:
            for _ in range(READERS):
                self._free.append(open_reader(place))
        except BaseException:
            self._close_free()
            raise

    @contextmanager
    def snapshot(self) -> Generator[sqlite3.Connection]:
        """Lend a connection inside a read transaction, so that several queries see one state.

        Raises:
            StoreClosedError: The store was closed.
            StoreUnavailableError: SQLite could not read.
            StoreFormatError: SQLite met damage.
        """
        with self._changed:
            while not self._free and not self._closed:
                self._changed.wait()
            if self._closed:
                raise StoreClosedError(f"{self._place}: expected an open store, met a closed one")
            connection = self._free.pop()
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            raise refusal(error, f"{self._place}: cannot read") from error
        finally:
            # An open read transaction would keep the write-ahead log from being cut back.
            try:
                connection.rollback()
            finally:
                with self._changed:
                    self._free.append(connection)
                    self._changed.notify()

    def close(self) -> None:
        """Refuse new reads, await running ones, close the connections."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while len(self._free) < READERS:
                self._changed.wait()
            self._close_free()

    def _close_free(self) -> None:
        while self._free:
            self._free.pop().close()
