"""A bounded queue with one reader: what an actor takes its commands from."""

from collections import deque
from typing import Generic, TypeVar

import trio

from .errors import MailboxClosedError, MailboxFullError

C = TypeVar("C")

RETRY_AFTER = 0.1  # seconds; about the time an actor needs for a full mailbox


class Mailbox(Generic[C]):
    """Holds at most ``capacity`` commands, oldest first, for one actor.

    `put` never waits: a full mailbox refuses. `take` hands over everything waiting, up to a limit, in one
    wake-up. Commands put with `put_control` overtake the others and are never refused for lack of room:
    they come from the actor's own tasks, one each.
    """

    __slots__ = ("_capacity", "_closed", "_control", "_parked", "_waiting", "peak")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[C] = deque()
        self._control: deque[C] = deque()
        self._parked: trio.lowlevel.Task | None = None
        self._closed = False
        self.peak = 0

    @property
    def depth(self) -> int:
        """How many commands wait."""
        return len(self._waiting) + len(self._control)

    @property
    def is_closed(self) -> bool:
        """Whether the actor has ended."""
        return self._closed

    def put(self, command: C) -> None:
        """Add a command at the end.

        Raises:
            MailboxFullError: ``capacity`` commands wait already.
            MailboxClosedError: The actor has ended.
        """
        self._check_open()
        if len(self._waiting) >= self._capacity:
            raise MailboxFullError(
                f"mailbox: expected at most {self._capacity} waiting commands, met one more",
                retry_after=RETRY_AFTER,
            )
        self._waiting.append(command)
        self.peak = max(self.peak, len(self._waiting))
        self._wake()

    def put_surely(self, command: C) -> None:
        """Add a command at the end even if there is no room: Stop is never refused for a flood before it.

        Raises:
            MailboxClosedError: The actor has ended.
        """
        self._check_open()
        self._waiting.append(command)
        self._wake()

    def put_control(self, command: C) -> None:
        """Add a command before all ordinary ones.

        Raises:
            MailboxClosedError: The actor has ended.
        """
        self._check_open()
        self._control.append(command)
        self._wake()

    async def take(self, limit: int) -> list[C]:
        """Wait for commands and remove up to ``limit`` of them, control first.

        There is no checkpoint between the removal and the return, so the caller can note them as in flight
        before anything can cancel it.

        Raises:
            MailboxClosedError: The mailbox was closed and is empty.
        """
        if self.depth:
            await trio.lowlevel.checkpoint()
        while not self.depth:
            self._check_open()
            await self._park()
        commands: list[C] = []
        for lane in (self._control, self._waiting):
            while lane and len(commands) < limit:
                commands.append(lane.popleft())
        return commands

    def close(self) -> list[C]:
        """Refuse further commands and hand over those still waiting; idempotent."""
        self._closed = True
        self._wake()
        left = [*self._control, *self._waiting]
        self._control.clear()
        self._waiting.clear()
        return left

    def _check_open(self) -> None:
        if self._closed:
            raise MailboxClosedError("mailbox: expected a live actor, met one that has ended")

    async def _park(self) -> None:
        self._parked = trio.lowlevel.current_task()

        def abandon(_: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abandon)

    def _wake(self) -> None:
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None
