"""Makes a batch of appends durable: counts their tokens, has the store commit them, and makes the answers."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..persistence.errors import StoreError
from ..persistence.records import Append, Entry, Message, SessionFacts
from ..persistence.store import SessionStore
from .reply import ReplySlot


class Committed(msgspec.Struct, frozen=True):
    """An append is durable: the row and entries as stored."""

    facts: SessionFacts
    entries: tuple[Entry, ...]


class Job(msgspec.Struct, eq=False):
    """An append, and where its answer goes."""

    append: Append
    slot: ReplySlot[Committed]


class Call(msgspec.Struct, eq=False):
    """A write of another kind, and where its answer goes."""

    work: Callable[[SessionStore], Any]
    slot: ReplySlot[Any]


class Committer:
    """Writes to one store, from one thread at a time.

    Attributes:
        commits: How many batches the store was given.
        appends: How many appends were in them.
    """

    def __init__(self, store: SessionStore, count_tokens: Callable[[str], int]) -> None:
        self._store = store
        self._count_tokens = count_tokens
        self.commits = 0
        self.appends = 0

    def commit(self, jobs: Sequence[Job]) -> list[Committed | StoreError]:
        """Store a batch durably; one answer per job, in order."""
        for job in jobs:
            job.append = self._counted(job.append)
        answers = self._store.commit([job.append for job in jobs])
        self.commits += 1
        self.appends += len(jobs)
        return [
            answer if isinstance(answer, StoreError) else Committed(answer, job.append.entries)
            for job, answer in zip(jobs, answers, strict=True)
        ]

    def do(self, call: Call) -> tuple[Any, Exception | None]:
        """What came of a call: its answer, or the error it raised, which does not end the writer."""
        try:
            return call.work(self._store), None
        except Exception as exc:  # noqa: BLE001 - it is the caller's, who is told
            return None, exc

    def _counted(self, append: Append) -> Append:
        """The append with each message's tokens, counted once and here: off the event loop.

        They join the sum of the epoch they belong to: of the new row, and of the row that an end keeps. Those
        of a session that is removed are counted for the end alone, and not stored.
        """
        if not append.entries:
            return append
        entries = tuple(
            msgspec.structs.replace(entry, tokens=self._count_tokens(entry.body.content))
            if isinstance(entry.body, Message)
            else entry
            for entry in append.entries
        )
        ending = append.ending
        if ending is not None:
            ending = msgspec.structs.replace(ending, facts=_with_tokens(ending.facts, entries))
        if append.removes:
            return msgspec.structs.replace(append, entries=(), ending=ending)
        facts = _with_tokens(append.facts, entries)
        return msgspec.structs.replace(append, facts=facts, entries=entries, ending=ending)


def _with_tokens(facts: SessionFacts, entries: tuple[Entry, ...]) -> SessionFacts:
    tokens = sum(entry.tokens for entry in entries if entry.epoch == facts.epoch)
    return msgspec.structs.replace(facts, token_count=facts.token_count + tokens)
