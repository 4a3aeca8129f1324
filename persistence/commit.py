"""Writing a batch of appends: one transaction, one wait for the disk.

Theory of operation. The whole batch is written with one statement for all rows of a kind. That either does
what every append asked for or is rolled back whole. When it was rolled back because some append did not fit
(a stale head, a client id used before), the batch is written again one append at a time, each inside a
savepoint, so that those that do not fit leave nothing behind and the others stand. Nothing is answered before
COMMIT has returned.

SQLite may roll a transaction back by itself (a full disk does it); what follows would then be stored by
itself, unseen. So an error ends the transaction here too, unless it is one the savepoint was made for and the
transaction is found still open.
"""

from collections.abc import Sequence

import msgspec
from sqlite_utils.utils import sqlite3  # pyright: ignore[reportPrivateImportUsage]  # its documented door

from .errors import (
    DuplicateClientIdError,
    StaleHeadError,
    StoreError,
    StoreFormatError,
    UnstorableError,
)
from .journal import read_by_client_id
from .outbox import INSERT_ENDING, ending_row
from .queries import read_facts
from .records import Append, SessionFacts
from .rows import Row, identity_values, journal_rows, mutable_values
from .writing import INSERT_SESSION, UNBINDABLE, UPDATE_SESSION, delete_guarded, guard_values, transaction

_INSERT_ENTRY = (
    "INSERT INTO journal (session, seq, epoch, kind, at, tokens, client_id, turn_id, body, hash) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class _Misfit(Exception):  # noqa: N818 - a signal to write singly, not an error
    """Some append of the batch does not fit."""


class _Write(msgspec.Struct):
    """One append made ready: its rows, the chain after them, and its row in the outbox if it has one."""

    append: Append
    rows: list[Row]
    chain: bytes
    ending: list[Row]

    @classmethod
    def of(cls, append: Append) -> "_Write":
        rows = journal_rows(append)
        ending = [] if append.ending is None else [ending_row(append.ending)]
        return cls(append, rows, rows[-1][-1] if rows else append.facts.chain, ending)

    @property
    def creates(self) -> bool:
        return not self.append.facts.key and not self.append.removes

    def new_session(self) -> Row:
        facts = self.append.facts
        return (*identity_values(facts), *mutable_values(facts, facts.head_seq, self.chain))

    def new_facts(self) -> Row:
        facts = self.append.facts
        return (
            *mutable_values(facts, facts.head_seq, self.chain),
            *guard_values(facts, self.append.base_seq),
        )

    def stored(self, key: int) -> SessionFacts:
        return msgspec.structs.replace(self.append.facts, key=key, chain=self.chain)


def commit(connection: sqlite3.Connection, batch: Sequence[Append]) -> list[SessionFacts | StoreError]:
    """Store a batch durably; one answer per append, in order.

    Raises:
        sqlite3.Error: The transaction failed; nothing of the batch is stored.
    """
    answers: list[SessionFacts | StoreError | None] = [None] * len(batch)
    writes: dict[int, _Write] = {}
    for position, append in enumerate(batch):
        try:
            writes[position] = _Write.of(append)
        except UnstorableError as error:
            answers[position] = error
    for position, answer in zip(writes, _write(connection, list(writes.values())), strict=True):
        answers[position] = answer
    return [answer for answer in answers if answer is not None]


def write_whole(connection: sqlite3.Connection, append: Append) -> SessionFacts | StoreError:
    """Write one append inside a transaction of the caller's.

    Raises:
        UnstorableError: The append breaks the store's rules.
        sqlite3.Error: SQLite could not write.
    """
    return _write_one(connection, _Write.of(append))


def _write(connection: sqlite3.Connection, writes: list[_Write]) -> Sequence[SessionFacts | StoreError]:
    if not writes:
        return ()
    if any(write.append.removes for write in writes):
        return _write_singly(connection, writes)  # a removal and what follows it must not change places
    try:
        return _write_together(connection, writes)
    except (_Misfit, sqlite3.IntegrityError, *UNBINDABLE):
        return _write_singly(connection, writes)


def _write_together(connection: sqlite3.Connection, writes: list[_Write]) -> list[SessionFacts]:
    with transaction(connection):
        keys = [_create(connection, write) if write.creates else write.append.facts.key for write in writes]
        updates = [write.new_facts() for write in writes if not write.creates]
        if updates and connection.executemany(UPDATE_SESSION, updates).rowcount != len(updates):
            raise _Misfit
        entries = [(key, *row) for key, write in zip(keys, writes, strict=True) for row in write.rows]
        connection.executemany(_INSERT_ENTRY, entries)
        connection.executemany(INSERT_ENDING, [row for write in writes for row in write.ending])
    return [write.stored(key) for key, write in zip(keys, writes, strict=True)]


def _create(connection: sqlite3.Connection, write: _Write) -> int:
    if write.append.base_seq or write.append.facts.chain:
        raise _Misfit
    key = connection.execute(INSERT_SESSION, write.new_session()).lastrowid
    assert key is not None  # noqa: S101 - for the type checker; INSERT always sets it
    return key


def _write_singly(connection: sqlite3.Connection, writes: list[_Write]) -> list[SessionFacts | StoreError]:
    with transaction(connection):
        return [_write_one(connection, write) for write in writes]


def _write_one(connection: sqlite3.Connection, write: _Write) -> SessionFacts | StoreError:
    connection.execute("SAVEPOINT append")
    try:
        key = _put_facts(connection, write)
        connection.executemany(_INSERT_ENTRY, [(key, *row) for row in write.rows])
        connection.executemany(INSERT_ENDING, write.ending)
    except (_Misfit, sqlite3.IntegrityError, *UNBINDABLE) as error:
        if not connection.in_transaction:
            raise sqlite3.OperationalError("SQLite ended the transaction by itself") from error
        connection.execute("ROLLBACK TO append")
        connection.execute("RELEASE append")
        return _reason(connection, write, error)
    connection.execute("RELEASE append")
    return write.stored(key)


def _put_facts(connection: sqlite3.Connection, write: _Write) -> int:
    if write.creates:
        return _create(connection, write)
    facts, base_seq = write.append.facts, write.append.base_seq
    if write.append.removes:
        fits = delete_guarded(connection, facts, base_seq)
    else:
        fits = connection.execute(UPDATE_SESSION, write.new_facts()).rowcount == 1
    if not fits:
        raise _Misfit
    return facts.key


def _reason(connection: sqlite3.Connection, write: _Write, error: Exception) -> StoreError:
    facts = write.append.facts
    try:
        stored = read_facts(connection, facts.id)
        if isinstance(error, _Misfit) or (write.creates and stored is not None):
            met = "no such row" if stored is None else f"key {stored.key}, head {stored.head_seq}"
            expected = f"key {facts.key}, head {write.append.base_seq}"
            return StaleHeadError(f"{facts.id}: expected {expected}, met {met}")
        if stored is not None:
            client_ids = (entry.client_id for entry in write.append.entries if entry.client_id is not None)
            found = (read_by_client_id(connection, stored, client_id) for client_id in client_ids)
            if earlier := next(filter(None, found), None):
                return DuplicateClientIdError(earlier)
    except StoreFormatError as damage:
        return damage
    if "journal.seq" in str(error):
        return StoreFormatError(f"{facts.id}: damaged: an entry follows the head, {write.append.base_seq}")
    return UnstorableError(f"{facts.id}: expected storable values, met {error}")
