"""The contract of a session store.

Every call may raise `StoreClosedError`, `StoreUnavailableError` or, where it meets damage,
`StoreFormatError`.

Rules:
1. Writes (`commit`, `save`, `archive`, `delete`, `erase_ending`, `index_messages`, `import_sessions` and
   `close`) come from one thread at a time; reads may come from
   any thread, at any time, and see everything committed before they began.
2. `commit` returns only when every append it reports as stored is durable. Appends stand or fail one by one;
   a failed one leaves nothing behind.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from .errors import StoreError
from .ids import SessionID
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


class SessionStore(Protocol):
    """Keeps sessions: one row of facts and an append-only journal each."""

    @property
    def blocking(self) -> bool:
        """Whether calls wait for a disk, so that an event loop must make them on a thread."""
        ...

    def commit(self, batch: Sequence[Append]) -> Sequence[SessionFacts | StoreError]:
        """Store a batch durably; one answer per append, in order.

        An answer is the stored row (``key`` and ``chain`` filled in; after a removal, the row that was
        removed) or the error that kept the append out: `StaleHeadError`, `DuplicateClientIdError`,
        `UnstorableError` (a bug of the caller's), `StoreFormatError` (that session's journal is damaged) or
        `StoreUnavailableError` (then nothing of the batch is stored).
        """
        ...

    def import_sessions(self, sessions: Iterable[SessionImport]) -> Sequence[SessionFacts]:
        """Store whole sessions durably, all or none; answers the stored rows.

        ``sessions`` is read as it is written: an error that it raises ends the import, and nothing is stored.

        Raises:
            SessionExistsError: One of them is stored already, or comes twice.
            UnstorableError: One breaks the store's rules, or its entries are not those its chain was made of.
        """
        ...

    def save(self, record: SessionRecord) -> None:
        """Insert or replace the facts of one session; its messages are left alone.

        ``key``, ``created_at``, ``head_seq`` and ``chain`` stay as stored; head and chain of a new row are 0
        and empty.

        Raises:
            UnstorableError: A value cannot be stored, or a pending seq is not in the journal.
        """
        ...

    def load(self, session: SessionID) -> SessionRecord | None:
        """Read what a session needs to live, or None if it was never stored.

        Messages that were taken out of the queue are not in the context; `history` and `search` have them.
        """
        ...

    def delete(self, session: SessionID) -> bool:
        """Remove a session's row and journal; False if there was none."""
        ...

    def archive(self, session: SessionID) -> bool:
        """Set a session's state to archived; False if there is none."""
        ...

    def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
        """At most ``limit`` ends of the outbox with a number above ``after``, each with its number, in order.

        Numbers rise with every end and none comes twice; 0 is below all.
        """
        ...

    def erase_ending(self, end_id: str) -> None:
        """Take an end out of the outbox; without effect if it is not there."""
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
        """What became of message ``seq``: the entry that used it up, and the messages of its turn.

        The entry is the end of that turn, or the removal from the queue; then there are no messages. None
        while it is pending.
        """
        ...

    def sent(self, session: SessionID, client_ids: Sequence[str]) -> Sequence[Entry]:
        """The entries that were stored under these client ids, in their order; none for an unknown one."""
        ...

    def epochs(self, session: SessionID, limit: int) -> Sequence[int]:
        """The newest ``limit`` epoch numbers that hold entries, newest first."""
        ...

    def unfinished(self, after_key: int, limit: int) -> Sequence[SessionFacts]:
        """Rows with pending messages or a begun turn, by rising ``key`` above ``after_key``."""
        ...

    def due(self, state: SessionState, before: int, limit: int) -> Sequence[SessionFacts]:
        """Sessions in ``state`` whose ``last_active_at`` is below ``before``, in the reverse order of `list`.

        Of archived ones it is ``archived_at``; an archived session without it is never due.
        """
        ...

    def index_messages(self, limit: int) -> int:
        """Bring the search index forward by at most ``limit`` messages; how many these were, 0 if it has all.

        What is not indexed yet is found all the same, but slower: call it when nothing else is to be written.
        """
        ...

    def search(
        self, query: str, where: SessionFilter, session: SessionID | None, limit: int
    ) -> Sequence[Hit]:
        """At most ``limit`` messages that hold every word of ``query`` (see `search`), the last stored first.

        Messages of all epochs are searched, in the sessions that match ``where`` (not its limit and offset)
        and in ``session`` alone if that is given. A query without any word finds nothing.
        """
        ...

    def stats(self) -> StoreStats:
        """Counts over all stored sessions."""
        ...

    def close(self) -> None:
        """Release everything; idempotent. Later calls raise `StoreClosedError`."""
        ...
