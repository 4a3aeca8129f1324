"""What is in a mailbox beside plain messages: questions, control messages; and the last word of an actor."""

from typing import Any, Generic, TypeVar

from trio.lowlevel import Abort, Task, current_task, reschedule

from .waking import Wake

R_co = TypeVar("R_co", covariant=True)


class Question(Generic[R_co]):
    """A message that is answered with an ``R``: ``class Get(Question[int])``; holds no fields of its own."""

    __slots__ = ()


class Ask(Wake[Any]):
    """A question in a mailbox, together with the task that waits for its answer.

    The asker may be cancelled at any time. Its abort takes the task out, so that a late answer finds nobody:
    waking a remembered task would wake it in some other wait. The asker is woken with the ask itself.

    Attributes:
        message: The question.
        task: Who waits; None once it is answered or has left.
        answer: What it was answered.
        error: What it was answered instead.
    """

    __slots__ = ("answer", "error", "message", "task")

    def __init__(self, message: object) -> None:
        self.message = message
        self.task: Task | None = current_task()
        self.answer: object = None
        self.error: Exception | None = None

    def unwrap(self) -> Any:  # noqa: ANN401 - whatever receive returned
        """The answer, or raises what it was answered instead."""
        if self.error is not None:
            raise self.error
        return self.answer

    def settle(self, answer: object, error: Exception | None = None) -> None:
        """Answer; an answer after the first is ignored."""
        if self.task is not None:
            self.answer = answer
            self.error = error
            reschedule(self.task, self)
            self.task = None

    def leave(self, _: object) -> Abort:
        """The asker is cancelled."""
        self.task = None
        return Abort.SUCCEEDED


_CONTROL = object()


def control(message: object) -> Ask:
    """A message that nobody waits for, marked as one that goes before all ordinary mail.

    It is an `Ask` without an asker, so that whoever handles mail needs no look of its own for it.
    """
    marked = Ask.__new__(Ask)
    marked.message = message
    marked.task = None
    marked.answer = _CONTROL
    marked.error = None
    return marked


def is_control(entry: object) -> bool:
    """Whether an entry of a mailbox is such a message."""
    return type(entry) is Ask and entry.answer is _CONTROL


def message_of(entry: object) -> object:
    """What was sent, whatever it is wrapped in."""
    return entry.message if type(entry) is Ask else entry


class Finished(Exception):  # noqa: N818 - an end, not an error; raised as StopIteration is
    """Raised by an actor's `receive`: it has done its work and ends normally.

    Attributes:
        answer: What the message is answered with, if it was asked.
    """

    def __init__(self, answer: object = None) -> None:
        super().__init__(answer)
        self.answer = answer
