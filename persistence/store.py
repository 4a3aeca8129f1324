"""The contract of a session store.

Every call may raise `StoreClosedError`, `StoreUnavailableError` or, where it meets damage,
`StoreFormatError`.

Rules:
1. Writes (`commit`, `save`, `archive`, `delete`, `close`) come from one thread at a time; reads may come from
   any thread, at any time, and see everything committed before they began.
2. `commit` returns only when every append it reports as stored is durable. Appends stand or fail one by one;
   a failed one leaves nothing behind.
"""

from collections.abc import Sequence
from typing import Protocol

from .errors import StoreError
from .ids import SessionID
from .records import Append, Entry, SessionFacts, SessionFilter, SessionRecord, StoreStats


class SessionStore(Protocol):
    """Keeps sessions: one row of facts and an append-only journal each."""

    @property
    def blocking(self) -> bool:
        """Whether calls wait for a disk, so that an event loop must make them on a thread."""
        ...

    def commit(self, batch: Sequence[Append]) -> Sequence[SessionFacts | StoreError]:
        """Store a batch durably; one answer per append, in order.

        An answer is the stored row (``key`` and ``chain`` filled in) or the error that kept the append out:
        `StaleHeadError`, `DuplicateClientIdError`, `UnstorableError` (a bug of the caller's),
        `StoreFormatError` (that session's journal is damaged) or `StoreUnavailableError` (then nothing of the
        batch is stored).
        """
        ...

    def save(self, record: SessionRecord) -> None:
        """Insert or replace the facts of one session; its messages are left alone.

        ``key``, ``head_seq`` and ``chain`` belong to the journal: they stay as stored, or begin at 0 and
        empty.

        Raises:
            UnstorableError: A value cannot be stored, or a pending seq is not in the journal.
        """
        ...

    def load(self, session: SessionID) -> SessionRecord | None:
        """Read what a session needs to live, or None if it was never stored."""
        ...

    def delete(self, session: SessionID) -> bool:
        """Remove a session's row and journal; False if there was none."""
        ...

    def archive(self, session: SessionID) -> bool:
        """Set a session's state to archived; False if there is none."""
        ...

    def list(self, where: SessionFilter) -> Sequence[SessionFacts]:
        """Sessions matching ``where``, newest ``last_active_at`` first, ties by id text."""
        ...

    def facts(self, session: SessionID) -> SessionFacts | None:
        """One session's row, or None."""
        ...

    def entries(self, session: SessionID, after_seq: int, limit: int) -> Sequence[Entry]:
        """At most ``limit`` journal entries with ``seq > after_seq``, oldest first."""
        ...

    def history(self, session: SessionID, epoch: int, before_seq: int | None, limit: int) -> Sequence[Entry]:
        """The newest ``limit`` messages of one epoch before ``before_seq``, oldest first."""
        ...

    def outcome(self, session: SessionID, seq: int) -> tuple[Entry, Sequence[Entry]] | None:
        """How message ``seq`` was answered: the entry that used it up, and that turn's messages.

        None while it is pending.
        """
        ...

    def epochs(self, session: SessionID, limit: int) -> Sequence[int]:
        """The newest ``limit`` epoch numbers that hold entries, newest first."""
        ...

    def unfinished(self, after_key: int, limit: int) -> Sequence[SessionFacts]:
        """Rows with pending messages or a begun turn, by rising ``key`` above ``after_key``."""
        ...

    def stats(self) -> StoreStats:
        """Counts over all stored sessions."""
        ...

    def close(self) -> None:
        """Release everything; idempotent. Later calls raise `StoreClosedError`."""
        ...
