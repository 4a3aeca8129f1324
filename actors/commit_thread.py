"""The thread that writes: no worker limit and no cancellation can reach a commit.

Each wake-up takes everything waiting and makes one transaction of it (group commit); it never waits for more.
When nothing has come for a moment it brings the store's search index forward, a chunk at a time.
"""

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import trio

from ..persistence.errors import StoreError
from ..persistence.store import SessionStore
from .committing import Call, Committed, Committer, Job
from .reports import IndexingFailed

# Seconds. SQLite's calls give up the interpreter lock one by one, and a busy event loop hands it back only
# after this long each time: at Python's own 5 ms a commit of a few dozen rows took seconds beside it.
SWITCH_INTERVAL = 0.0005
MAX_BATCH = 1024  # appends; bounds how long the first of a batch waits for its commit
IDLE = 0.05  # seconds without a job, after which messages are indexed
INDEX_CHUNK = 64  # messages; 2 ms of what people type: how long a commit may have to wait for indexing

Jobs = queue.SimpleQueue[Job | Call | None]
"""What a thread takes its work from; None ends it."""


class Office(Protocol):
    """Whom the thread tells what came of its work: on the event loop, in the order in which it happened."""

    def committed(self, jobs: Sequence[Job], answers: Sequence[Committed | StoreError], /) -> None:
        """A batch was committed or refused; one answer per job, in order."""
        ...

    def done(self, call: Call, value: Any, error: Exception | None, /) -> None:  # noqa: ANN401 - of any kind
        """A call has returned, or raised."""
        ...

    def report(self, record: msgspec.Struct, /) -> None:
        """Something is for the operator to know."""
        ...

    def ended(self, failure: BaseException | None, /) -> None:
        """The thread has closed the store and ended, or has died of what it raised and left all as it was."""
        ...


class CommitThread:
    """Takes jobs until it takes None; then it closes the store.

    Args:
        store: Where it writes; nobody else writes there meanwhile.
        committer: How.
        jobs: What.
        office: Who is told.
    """

    def __init__(self, store: SessionStore, committer: Committer, jobs: Jobs, office: Office) -> None:
        self._store = store
        self._committer = committer
        self._jobs = jobs
        self._office = office
        self._token = trio.lowlevel.current_trio_token()
        self._ahead: list[Call | None] = []  # what ended the last batch and comes before the queue
        self._index_is_behind = True  # as far as is known: a former thread may have left it so
        self._index_failed = False

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: No thread can be had.
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        threading.Thread(target=self._run, name="greenroom-writer", daemon=True).start()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._work()
            self._store.close()
        # Of whatever kind: a dying thread must not leave its askers waiting; the office raises it.
        except BaseException as exc:  # noqa: ASYNC103, BLE001 - no Cancelled comes to a thread
            failure = exc
        self._tell(self._office.ended, failure)

    def _work(self) -> None:
        while (first := self._next()) is not None:
            if isinstance(first, Call):
                self._tell(self._office.done, first, *self._committer.do(first))
            else:
                jobs = self._gather(first)
                self._tell(self._office.committed, jobs, self._committer.commit(jobs))
            self._index_is_behind = True

    def _next(self) -> Job | Call | None:
        """The next job, or None at the end; messages are indexed while none comes."""
        if self._ahead:
            return self._ahead.pop()
        patience = IDLE
        while self._index_is_behind:
            try:
                return self._jobs.get(timeout=patience)
            except queue.Empty:
                self._index_is_behind = self._index()
                patience = 0
        return self._jobs.get()

    def _gather(self, first: Job) -> list[Job]:
        """Every append that waits, up to something else, without waiting for more."""
        jobs = [first]
        while len(jobs) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job, Job):
                self._ahead.append(job)
                break
            jobs.append(job)
        return jobs

    def _index(self) -> bool:
        """Index one chunk; whether there may be more. After a failure the next job has to come first."""
        try:
            count = self._store.index_messages(INDEX_CHUNK)
        except StoreError as exc:
            if not self._index_failed:
                self._tell(self._office.report, IndexingFailed(str(exc)))
            self._index_failed = True
            return False
        self._index_failed = False
        return count > 0

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._token.run_sync_soon(call, *args)
        except trio.RunFinishedError:  # the loop is gone, and with it everyone who could be told
            return
