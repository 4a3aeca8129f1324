"""The limit of Trio: a deque and one parked task, drained in one wake-up; answers by ``reschedule``."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import outcome
import trio

from .messages import GET, INCREMENT, Counter, Get, Increment
from .on_trio import OnTrio

Message = Increment | Get


class _Slot:
    """Who waits for an answer; nobody, once the asker was cancelled."""

    __slots__ = ("task",)

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task | None = task

    def abandon(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class _Actor:
    """One loop; not bounded, not supervised."""

    __slots__ = ("_handle", "_mail", "_parked")

    def __init__(self, handle: Callable[[Message], Awaitable[int | None]]) -> None:
        self._handle = handle
        self._mail: deque[tuple[Message, _Slot | None]] = deque()
        self._parked: trio.lowlevel.Task | None = None

    async def run(self) -> None:
        mail, handle, me = self._mail, self._handle, trio.lowlevel.current_task()
        while True:
            while mail:
                message, slot = mail.popleft()
                answer = await handle(message)
                if slot is not None and slot.task is not None:
                    trio.lowlevel.reschedule(slot.task, outcome.Value(answer))
            self._parked = me
            await trio.lowlevel.wait_task_rescheduled(self._abandon)

    def tell(self, message: Message) -> None:
        self._mail.append((message, None))
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None

    async def ask(self, message: Message) -> int | None:
        slot = _Slot(trio.lowlevel.current_task())
        self._mail.append((message, slot))
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None
        return await trio.lowlevel.wait_task_rescheduled(slot.abandon)

    def _abandon(self, _: object) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED


class _System:
    """A nursery of loops."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.get = GET

    async def start(self) -> _Actor:
        actor = _Actor(Counter().receive_async)
        self._nursery.start_soon(actor.run)
        return actor

    async def send(self, actor: _Actor, count: int, burst: int) -> None:
        tell = actor.tell
        for _ in range(count // burst):
            for _ in range(burst):
                tell(INCREMENT)
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def _system() -> AsyncGenerator[_System]:
    async with trio.open_nursery() as nursery:
        yield _System(nursery)
        nursery.cancel_scope.cancel(reason="measured")


def batched() -> OnTrio[_Actor]:
    """The contender."""
    return OnTrio(_system)
