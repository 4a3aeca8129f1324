"""Trio as its tutorial has it: a memory channel to each actor, an event for each answer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from .messages import GET, INCREMENT, Counter, Get, Increment
from .on_trio import OnTrio

Message = Increment | Get

_CAPACITY = 256


class _Slot:
    __slots__ = ("answer", "answered")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: int | None = None


class _Actor:
    """One loop; bounded, not supervised."""

    __slots__ = ("_receive", "_send")

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[tuple[Message, _Slot | None]](_CAPACITY)

    async def run(self) -> None:
        counter = Counter()
        async for message, slot in self._receive:
            answer = await counter.receive_async(message)
            if slot is not None:
                slot.answer = answer
                slot.answered.set()

    async def tell(self, message: Message) -> None:
        await self._send.send((message, None))

    async def ask(self, message: Message) -> int | None:
        slot = _Slot()
        await self._send.send((message, slot))
        await slot.answered.wait()
        return slot.answer


class _System:
    """A nursery of loops."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.get = GET

    async def start(self) -> _Actor:
        actor = _Actor()
        self._nursery.start_soon(actor.run)
        return actor

    async def send(self, actor: _Actor, count: int, burst: int) -> None:  # noqa: ARG002 - each send is one
        for _ in range(count):
            await actor.tell(INCREMENT)


@asynccontextmanager
async def _system() -> AsyncGenerator[_System]:
    async with trio.open_nursery() as nursery:
        yield _System(nursery)
        nursery.cancel_scope.cancel(reason="measured")


def tutorial() -> OnTrio[_Actor]:
    """The contender."""
    return OnTrio(_system)
