"""The answer slot that travels with a request: set exactly once, with a value or an error."""

from typing import Generic, Protocol, TypeVar

import trio

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Reply(Protocol[T_contra]):
    """Where the answer to one command goes; both calls return at once and never raise."""

    def resolve(self, value: T_contra, /) -> None:
        """Answer with a value."""
        ...

    def reject(self, error: Exception, /) -> None:
        """Answer with an error."""
        ...


class ReplySlot(Generic[T]):
    """A reply that one task waits for.

    The asker may be cancelled at any time. Its abort takes the task out of the slot, so that a late answer
    finds nobody: waking a remembered task would wake it in some other wait.
    """

    __slots__ = ("_answered", "_error", "_task", "_value")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._answered = False
        self._value: T | None = None
        self._error: Exception | None = None

    def resolve(self, value: T, /) -> None:
        """Answer with a value; an answer after the first is ignored."""
        if not self._answered:
            self._value = value
            self._wake()

    def reject(self, error: Exception, /) -> None:
        """Answer with an error; an answer after the first is ignored."""
        if not self._answered:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        self._answered = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    async def wait(self) -> T:
        """Wait for the answer.

        Raises:
            Exception: The error the slot was rejected with.
        """
        if self._answered:
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set whenever there is no error

    def _abandon(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
