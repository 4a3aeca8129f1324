"""The persistence actor: every write to the store goes through it, and nothing is answered before COMMIT.

The writes go straight to a thread, by a queue of their own; what is an actor here is the life of that thread.
If it dies the actor crashes, and its supervisor has another started, or gives up. What the dead thread had in
hand is answered "outcome unknown", what waits in the queue waits for the next. The queue needs no capacity:
a session has at most one append in flight, and so has a task that calls for another write.
"""

import math
import queue
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import trio

from ..persistence.errors import StoreError, StoreUnavailableError
from ..persistence.records import Append
from ..persistence.store import SessionStore
from .actor import Actor
from .commit_thread import CommitThread, Jobs
from .committing import Call, Committed, Committer, Job
from .errors import UnavailableError
from .reply import ReplySlot
from .reports import CommitFailed, Reporter, WriterDied, describe

T = TypeVar("T")


class WriterFailedError(Exception):
    """The writer's thread died of something other than the store's refusal; its cause is what it raised."""


class ThreadDied(msgspec.Struct, frozen=True):
    """What the writer's actor is told."""

    error: BaseException


class Writer:
    """Serialises the writes to one store, which are made while a `Writing` lives.

    A store that never blocks is written at once, without a thread, and searches what it holds without an
    index.

    Attributes:
        is_closed: It takes no more work.
        calm_at: When a session last stored all that it had, in monotonic seconds.
        report: Told of what goes wrong.
    """

    def __init__(self, store: SessionStore, count_tokens: Callable[[str], int], report: Reporter) -> None:
        self._store = store
        self._committer = Committer(store, count_tokens)
        self.report = report
        self._jobs: Jobs = queue.SimpleQueue()
        self._unanswered: set[Job | Call] = set()
        self._thread_ended = trio.Event()
        self._thread_ended.set()
        self._on_death: Callable[[ThreadDied], None] = lambda _: None
        self.is_closed = False
        self.calm_at = -math.inf
        self._is_released = False
        self._failure: BaseException | None = None  # of the thread, while it was closed
        self._releasing = trio.CapacityLimiter(1)

    @property
    def commits(self) -> int:
        """How many transactions the store was given."""
        return self._committer.commits

    @property
    def appends(self) -> int:
        """How many appends were in them."""
        return self._committer.appends

    async def append(self, append: Append, *, is_last: bool = True) -> Committed:
        """Store one append; returns when it is durable.

        Args:
            append: What to store.
            is_last: Whether its session has nothing more that waits.

        Raises:
            StaleHeadError: The stored session is not the one the append was built on.
            DuplicateClientIdError: The session has a message with that client id already.
            UnavailableError: It could not be stored, or the outcome is unknown, or the writer has ended.
        """
        self._require_open()
        if is_last:
            self.calm_at = trio.current_time()
        job = Job(append, ReplySlot())
        if self._store.blocking:
            self._unanswered.add(job)
            self._jobs.put(job)
        else:
            self.committed([job], self._committer.commit([job]))
        return await _answer(job.slot)

    async def call(self, work: Callable[[SessionStore], T]) -> T:
        """Do one write of another kind, in order with the appends; returns when it is done.

        Raises:
            StoreError: The store refused it, for another reason than the one below.
            UnavailableError: It could not be done, or the outcome is unknown, or the writer has ended.
            Exception: Another error of ``work`` itself.
        """
        self._require_open()
        call = Call(work, ReplySlot())
        if self._store.blocking:
            self._unanswered.add(call)
            self._jobs.put(call)
        else:
            self.done(call, *self._committer.do(call))
        return await _answer(call.slot)

    def start(self, on_death: Callable[[ThreadDied], None]) -> None:
        """Write, until `close` or until the thread dies; after its death, write on.

        Args:
            on_death: Told if it dies, once the jobs it had in hand are answered.

        Raises:
            RuntimeError: No thread can be had.
        """
        if self._store.blocking and not self.is_closed:
            self._on_death = on_death
            CommitThread(self._store, self._committer, self._jobs, self).start()
            self._thread_ended = trio.Event()

    async def close(self) -> None:
        """Finish what waits, if there is a thread to do it, and close the store; idempotent.

        Raises:
            WriterFailedError: What waited could not be finished, or the store not be closed in order. It is
                released, and everybody is answered.
        """
        if not self.is_closed:
            self.is_closed = True
            self._jobs.put(None)
        await self._thread_ended.wait()
        if self._is_released:
            return
        self._lose(tuple(self._unanswered))
        try:
            await self._release()
        except StoreError as exc:
            self._failure = self._failure or exc
        self._is_released = True
        if self._failure is not None:
            raise failed(self._failure) from self._failure

    def committed(self, jobs: Sequence[Job], answers: Sequence[Committed | StoreError]) -> None:
        """Answer a batch of appends."""
        refusals = [answer for answer in answers if isinstance(answer, StoreUnavailableError)]
        if refusals:
            self.report(CommitFailed(len(refusals), str(refusals[0])))
        self._unanswered.difference_update(jobs)
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, StoreError):
                job.slot.reject(answer)
            else:
                job.slot.resolve(answer)

    def done(self, call: Call, value: Any, error: Exception | None) -> None:  # noqa: ANN401 - of any kind
        """Answer a call."""
        self._unanswered.discard(call)
        if error is None:
            call.slot.resolve(value)
        else:
            call.slot.reject(error)

    def ended(self, failure: BaseException | None) -> None:
        """Learn that the thread has ended. Everything it had answered before has been delivered."""
        self._thread_ended.set()
        if failure is None:
            self._is_released = True
            return
        self.report(WriterDied(*describe(failure)))
        self._lose(self._in_hand())
        if self.is_closed:
            self._failure = failure
        else:
            self._on_death(ThreadDied(failure))

    def _require_open(self) -> None:
        if self.is_closed:
            raise UnavailableError("writer: expected it open, met it closed", retry_after=1.0)

    async def _release(self) -> None:
        if self._store.blocking:
            await trio.to_thread.run_sync(self._store.close, abandon_on_cancel=True, limiter=self._releasing)
        else:
            self._store.close()

    def _in_hand(self) -> Sequence[Job | Call]:
        """What the dead thread had taken out of the queue, wherever in its code it died."""
        waiting: list[Job | Call | None] = []
        with suppress(queue.Empty):
            while True:
                waiting.append(self._jobs.get_nowait())
        for job in waiting:
            self._jobs.put(job)
        return tuple(self._unanswered.difference(waiting))

    def _lose(self, jobs: Iterable[Job | Call]) -> None:
        error = StoreUnavailableError(
            "writer: expected a commit, met the writer's end; the outcome is unknown"
        )
        lost = list(jobs)
        self._unanswered.difference_update(lost)
        if lost:
            self.report(CommitFailed(len(lost), str(error)))
        for job in lost:
            job.slot.reject(error)


class Writing(Actor[ThreadDied]):
    """Keeps a writer at work: each instance stands for one thread, and crashes when that dies.

    When it ends, and not to be started again, the writer is closed: everybody who waits is answered.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def started(self) -> None:
        """Start the thread."""
        self._writer.start(self.ref.post)

    def receive(self, message: ThreadDied) -> None:
        """Crash.

        Raises:
            WriterFailedError: Always.
        """
        raise failed(message.error) from message.error

    async def stopped(self) -> None:
        """Close the writer if no further thread comes, and nobody does it in due time."""
        if not (self.ref.is_alive or self._writer.is_closed):
            await self._writer.close()


def failed(error: BaseException) -> WriterFailedError:
    """The error for what a thread died of."""
    what, where = describe(error)
    return WriterFailedError(f"writer: expected commits, met {what} at {where}")


async def _answer(slot: ReplySlot[T]) -> T:
    try:
        return await slot.wait()
    except StoreUnavailableError as exc:
        raise UnavailableError("store: expected a commit, met a refusal", retry_after=1.0) from exc
