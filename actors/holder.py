"""A task at work for an actor."""

from time import perf_counter

import trio

from .actor_reports import Doing

# A task step costs about 2 microseconds and a message a tenth of that, so a slice hides the step; it is also
# what any other task may have to wait for this one.
SLICE = 0.001  # seconds


NOTHING = object()  # in hand; None may be a message


class Batch(list[object]):
    """Several messages in hand at once: the one that was handed over, and those taken with it."""


class Holder:
    """A task that runs an actor's code which may wait: whom to cut off, and what it has in hand.

    Attributes:
        scope: Around that code.
        task: Its task.
        doing: Which of the actor's methods runs.
        in_hand: The message or `Ask` that left the mailbox and is not done, or `NOTHING`.
        gone: Set when the code has returned, if somebody waits for that.
        is_cut: Whether it was cut off; it serves no other actor after that.
        until: When its slice ends; 0 begins one, of `SLICE` from the next look at the time on.
    """

    __slots__ = ("doing", "gone", "in_hand", "is_cut", "scope", "task", "until")

    def __init__(self, scope: trio.CancelScope, doing: Doing = "receive") -> None:
        self.scope = scope
        self.doing: Doing = doing
        self.task = trio.lowlevel.current_task()
        self.in_hand = NOTHING
        self.gone: trio.Event | None = None
        self.is_cut = False
        self.until = 0.0

    def is_due(self) -> bool:
        """Look at the time: whether others are to run now."""
        now = perf_counter()
        if not self.until:
            self.until = now + SLICE
        return now >= self.until

    def cut(self, reason: str) -> None:
        """Cancel the code."""
        self.is_cut = True
        self.scope.cancel(reason=reason)
