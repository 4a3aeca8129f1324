"""The persistence actor: every write to the store goes through it, and nothing is answered before COMMIT.

It has a thread of its own, so that no worker limit and no cancellation can reach a commit. Each wake-up takes
everything waiting and makes one transaction of it (group commit); it never waits for more. When nothing has
come for a moment it brings the store's search index forward, a chunk at a time. Its queue needs no capacity
of its own: a session has at most one append in flight, and so has a task that calls for another write.
"""

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import trio

from ..persistence.errors import StoreError, StoreUnavailableError
from ..persistence.records import Append, Entry, Message, SessionFacts
from ..persistence.store import SessionStore
from .errors import UnavailableError
from .reply import ReplySlot
from .reports import CommitFailed, IndexingFailed, Reporter, describe

T = TypeVar("T")

# Seconds. SQLite's calls give up the interpreter lock one by one, and a busy event loop hands it back only
# after this long each time: at Python's own 5 ms a commit of a few dozen rows took seconds beside it.
SWITCH_INTERVAL = 0.0005
MAX_BATCH = 1024  # appends; bounds how long the first of a batch waits for its commit
IDLE = 0.05  # seconds without a job, after which messages are indexed
INDEX_CHUNK = 64  # messages; 2 ms of what people type: how long a commit may have to wait for indexing


class Committed(msgspec.Struct, frozen=True):
    """An append is durable: the row and entries as stored."""

    facts: SessionFacts
    entries: tuple[Entry, ...]


class WriterFailedError(Exception):
    """The writer's thread died of something other than the store's refusal; no write is possible any more."""


class _Job(msgspec.Struct):
    append: Append
    slot: ReplySlot[Committed]


class _Call(msgspec.Struct):
    work: Callable[[SessionStore], Any]
    slot: ReplySlot[Any]


class Writer:
    """Serialises the writes to one store.

    Use `run` as a task that outlives every user of `append` and `call`. A store that never blocks is written
    at once, without a thread, and searches what it holds without an index.
    """

    def __init__(self, store: SessionStore, count_tokens: Callable[[str], int], report: Reporter) -> None:
        self._store = store
        self._count_tokens = count_tokens
        self._report = report
        self._jobs: queue.SimpleQueue[_Job | _Call | None] = queue.SimpleQueue()
        self._ahead: list[_Call | None] = []  # what ended the last batch and comes before the queue
        self._index_is_behind = True  # as far as is known: a former process may have left it so
        self._index_failed = False
        self._thread_ended = trio.Event()
        self._failure: BaseException | None = None
        self._is_closed = False
        self.commits = 0
        self.appends = 0

    async def append(self, append: Append) -> Committed:
        """Store one append; returns when it is durable.

        Raises:
            StaleHeadError: The stored session is not the one the append was built on.
            DuplicateClientIdError: The session has a message with that client id already.
            UnavailableError: It could not be stored, or the writer has ended.
        """
        self._require_open()
        job = _Job(append, ReplySlot())
        if self._store.blocking:
            self._jobs.put(job)
        else:
            self._deliver([job], self._commit([job]))
        return await _answer(job.slot)

    async def call(self, work: Callable[[SessionStore], T]) -> T:
        """Do one write of another kind, in order with the appends; returns when it is done.

        Raises:
            StoreError: The store refused it, for another reason than the one below.
            UnavailableError: It could not be done, or the writer has ended.
            Exception: Another error of ``work`` itself.
        """
        self._require_open()
        call = _Call(work, ReplySlot())
        if self._store.blocking:
            self._jobs.put(call)
        else:
            _settle(call.slot, *self._do(call))
        return await _answer(call.slot)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `close`.

        Raises:
            WriterFailedError: The thread died; everyone waiting has been answered.
        """
        if self._store.blocking:
            token = trio.lowlevel.current_trio_token()
            sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
            threading.Thread(target=self._work, args=(token,), name="greenroom-writer", daemon=True).start()
        task_status.started()
        await self._thread_ended.wait()
        if self._failure is not None:
            what, where = describe(self._failure)
            raise WriterFailedError(f"writer: expected commits, met {what} at {where}") from self._failure

    async def close(self) -> None:
        """Finish what waits, close the store, end `run`; idempotent."""
        if not self._is_closed:
            self._is_closed = True
            if self._store.blocking:
                self._jobs.put(None)
            else:
                self._store.close()
                self._thread_ended.set()
        await self._thread_ended.wait()

    def _require_open(self) -> None:
        if self._is_closed:
            raise UnavailableError("writer: expected it open, met it closed", retry_after=1.0)

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        jobs: list[_Job] | list[_Call] = []
        try:
            while (first := self._next(token)) is not None:
                if isinstance(first, _Call):
                    jobs = [first]
                    token.run_sync_soon(_settle, first.slot, *self._do(first))
                else:
                    jobs = self._gather(first)
                    token.run_sync_soon(self._deliver, jobs, self._commit(jobs))
                jobs = []
                self._index_is_behind = True
            self._store.close()
        # Of whatever kind: a dying thread must not leave its askers waiting; it is raised in `run`.
        except BaseException as exc:  # noqa: ASYNC103, BLE001 - no Cancelled comes to a thread
            _soon(token, self._fail, exc, jobs)
            with suppress(StoreError):  # the first failure is the one to tell
                self._store.close()
        finally:
            _soon(token, self._thread_ended.set)

    def _next(self, token: trio.lowlevel.TrioToken) -> _Job | _Call | None:
        """The next job, or None at the end; messages are indexed while none comes."""
        if self._ahead:
            return self._ahead.pop()
        patience = IDLE
        while self._index_is_behind:
            try:
                return self._jobs.get(timeout=patience)
            except queue.Empty:
                self._index_is_behind = self._index(token)
                patience = 0
        return self._jobs.get()

    def _index(self, token: trio.lowlevel.TrioToken) -> bool:
        """Index one chunk; whether there may be more. After a failure the next job has to come first."""
        try:
            count = self._store.index_messages(INDEX_CHUNK)
        except StoreError as exc:
            if not self._index_failed:
                _soon(token, self._report, IndexingFailed(str(exc)))
            self._index_failed = True
            return False
        self._index_failed = False
        return count > 0

    def _gather(self, first: _Job) -> list[_Job]:
        """Every append that waits, up to something else, without waiting for more."""
        jobs = [first]
        while len(jobs) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job, _Job):
                self._ahead.append(job)
                break
            jobs.append(job)
        return jobs

    def _do(self, call: _Call) -> tuple[Any, Exception | None]:
        """What came of a call: its answer, or the error it raised, which does not end the writer."""
        try:
            return call.work(self._store), None
        except Exception as exc:  # noqa: BLE001 - it is the caller's, who is told
            return None, exc

    def _commit(self, jobs: list[_Job]) -> list[Committed | StoreError]:
        for job in jobs:
            job.append = self._counted(job.append)
        answers = self._store.commit([job.append for job in jobs])
        self.commits += 1
        self.appends += len(jobs)
        return [
            answer if isinstance(answer, StoreError) else Committed(answer, job.append.entries)
            for job, answer in zip(jobs, answers, strict=True)
        ]

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

    def _deliver(self, jobs: list[_Job], answers: list[Committed | StoreError]) -> None:
        refusals = [answer for answer in answers if isinstance(answer, StoreUnavailableError)]
        if refusals:
            self._report(CommitFailed(len(refusals), str(refusals[0])))
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, StoreError):
                job.slot.reject(answer)
            else:
                job.slot.resolve(answer)

    def _fail(self, failure: BaseException, jobs: list[_Job] | list[_Call]) -> None:
        """Answer everyone. Runs on the event loop, as `append` does: none can slip in behind the last."""
        self._failure = failure
        self._is_closed = True
        lost: list[_Job | _Call | None] = [*jobs, *self._ahead]
        with suppress(queue.Empty):
            while True:
                lost.append(self._jobs.get_nowait())
        waiting = [job for job in lost if job is not None]
        error = StoreUnavailableError(
            "writer: expected a commit, met the writer's end; the outcome is unknown"
        )
        if waiting:
            self._report(CommitFailed(len(waiting), str(error)))
        for job in waiting:
            job.slot.reject(error)


async def _answer(slot: ReplySlot[T]) -> T:
    try:
        return await slot.wait()
    except StoreUnavailableError as exc:
        raise UnavailableError("store: expected a commit, met a refusal", retry_after=1.0) from exc


def _settle(slot: ReplySlot[Any], value: object, error: Exception | None) -> None:
    if error is None:
        slot.resolve(value)
    else:
        slot.reject(error)


def _with_tokens(facts: SessionFacts, entries: tuple[Entry, ...]) -> SessionFacts:
    tokens = sum(entry.tokens for entry in entries if entry.epoch == facts.epoch)
    return msgspec.structs.replace(facts, token_count=facts.token_count + tokens)


def _soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *args: object) -> None:
    try:
        token.run_sync_soon(call, *args)
    except trio.RunFinishedError:  # the loop is gone, and with it everyone who could be told
        return
