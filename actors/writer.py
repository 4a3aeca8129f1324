"""The persistence actor: every write to the store goes through it, and nothing is answered before COMMIT.

It has a thread of its own, so that no worker limit and no cancellation can reach a commit. Each wake-up takes
everything waiting and makes one transaction of it (group commit); it never waits for more. Its queue needs no
capacity of its own: a session has at most one append in flight, so it holds at most one per live session.
"""

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec
import trio

from ..persistence.errors import StoreError, StoreUnavailableError
from ..persistence.records import Append, Entry, Message, SessionFacts
from ..persistence.store import SessionStore
from .errors import UnavailableError
from .reply import ReplySlot
from .reports import CommitFailed, Reporter, describe

# Seconds. SQLite's calls give up the interpreter lock one by one, and a busy event loop hands it back only
# after this long each time: at Python's own 5 ms a commit of a few dozen rows took seconds beside it.
SWITCH_INTERVAL = 0.0005
MAX_BATCH = 1024  # appends; bounds how long the first of a batch waits for its commit


class Committed(msgspec.Struct, frozen=True):
    """An append is durable: the row and entries as stored."""

    facts: SessionFacts
    entries: tuple[Entry, ...]


class WriterFailedError(Exception):
    """The writer's thread died of something other than the store's refusal; no write is possible any more."""


class _Job(msgspec.Struct):
    append: Append
    slot: ReplySlot[Committed]


class Writer:
    """Serialises the writes to one store.

    Use `run` as a task that outlives every user of `append`. A store that never blocks is written at once,
    without a thread.
    """

    def __init__(self, store: SessionStore, count_tokens: Callable[[str], int], report: Reporter) -> None:
        self._store = store
        self._count_tokens = count_tokens
        self._report = report
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
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
        job = _Job(append, ReplySlot())
        if self._is_closed:
            raise UnavailableError("writer: expected it open, met it closed", retry_after=1.0)
        if self._store.blocking:
            self._jobs.put(job)
        else:
            self._deliver([job], self._commit([job]))
        try:
            return await job.slot.wait()
        except StoreUnavailableError as exc:
            raise UnavailableError("store: expected a commit, met a refusal", retry_after=1.0) from exc

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

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        jobs: list[_Job] = []
        try:
            while (first := self._jobs.get()) is not None:
                jobs = [first]
                is_last = self._gather(jobs)
                answers = self._commit(jobs)
                token.run_sync_soon(self._deliver, jobs, answers)
                jobs = []
                if is_last:
                    break
            self._store.close()
        # Of whatever kind: a dying thread must not leave its askers waiting; it is raised in `run`.
        except BaseException as exc:  # noqa: ASYNC103, BLE001 - no Cancelled comes to a thread
            _soon(token, self._fail, exc, jobs)
            with suppress(StoreError):  # the first failure is the one to tell
                self._store.close()
        finally:
            _soon(token, self._thread_ended.set)

    def _gather(self, jobs: list[_Job]) -> bool:
        """Add what waits, without waiting for more; True if the end was among it."""
        while len(jobs) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return False
            if job is None:
                return True
            jobs.append(job)
        return False

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
        """The append with each message's tokens, counted once and here: off the event loop."""
        if not append.entries:
            return append
        entries = tuple(
            msgspec.structs.replace(entry, tokens=self._count_tokens(entry.body.content))
            if isinstance(entry.body, Message)
            else entry
            for entry in append.entries
        )
        tokens = append.facts.token_count + sum(entry.tokens for entry in entries)
        return Append(msgspec.structs.replace(append.facts, token_count=tokens), append.base_seq, entries)

    def _deliver(self, jobs: list[_Job], answers: list[Committed | StoreError]) -> None:
        refusals = [answer for answer in answers if isinstance(answer, StoreUnavailableError)]
        if refusals:
            self._report(CommitFailed(len(refusals), str(refusals[0])))
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, StoreError):
                job.slot.reject(answer)
            else:
                job.slot.resolve(answer)

    def _fail(self, failure: BaseException, jobs: list[_Job]) -> None:
        """Answer everyone. Runs on the event loop, as `append` does: none can slip in behind the last."""
        self._failure = failure
        self._is_closed = True
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                jobs.append(job)
        lost = StoreUnavailableError(
            "writer: expected a commit, met the writer's end; the outcome is unknown"
        )
        self._deliver(jobs, [lost] * len(jobs))


def _soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *args: object) -> None:
    try:
        token.run_sync_soon(call, *args)
    except trio.RunFinishedError:  # the loop is gone, and with it everyone who could be told
        return
