"""The measures for whatever runs on Trio: one code for the limits written by hand and for our own actors."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

import trio

from .contender import (
    ACTORS,
    ASK_TENTH,
    BURST,
    FAN_BURST,
    OPEN,
    SENDERS,
    Figures,
    check,
    memory_each,
    resident,
    speed,
)


class Asked(Protocol):
    """An actor, as an asker sees it."""

    def ask(self, message: Any, /) -> Awaitable[Any]:  # noqa: ANN401 - each contender has its own messages
        """The answer to a question."""
        ...


A = TypeVar("A", bound=Asked)


class System(Protocol[A]):
    """Where actors live; its end is theirs.

    Attributes:
        get: The question of how many were counted.
    """

    get: Any

    async def start(self) -> A:
        """A new actor, which counts from zero."""
        ...

    async def send(self, actor: A, count: int, burst: int) -> None:
        """Tell an actor ``count`` times to count one more, with a checkpoint after each ``burst``."""
        ...


class OnTrio(Generic[A]):
    """A `Contender` made of a `System`."""

    def __init__(self, open_system: Callable[[], AbstractAsyncContextManager[System[A]]]) -> None:
        self._open = open_system

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        return trio.run(self._ask, count)

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`."""
        return trio.run(self._tell, 1, BURST, count)

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`."""
        return trio.run(self._tell, SENDERS, FAN_BURST, count)

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`."""
        return trio.run(self._fan_out, count)

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`."""
        return trio.run(self._spawn, count)

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        return trio.run(self._memory, count)

    async def _ask(self, count: int) -> Figures:
        async with self._open() as system:
            actor, get = await system.start(), system.get
            await _ask_each([actor], get, count // ASK_TENTH)
            began = time.perf_counter()
            for _ in range(count):
                await actor.ask(get)
            seconds = time.perf_counter() - began
            latencies: list[float] = []
            for _ in range(count // ASK_TENTH):
                asked = time.perf_counter()
                await actor.ask(get)
                latencies.append(time.perf_counter() - asked)
        return speed(count, seconds, latencies)

    async def _tell(self, senders: int, burst: int, count: int) -> Figures:
        each = count // senders // burst * burst
        async with self._open() as system:
            actor = await system.start()
            await system.send(actor, burst, burst)
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(senders):
                    nursery.start_soon(system.send, actor, each, burst)
            handled = await actor.ask(system.get)
            seconds = time.perf_counter() - began
        check(each * senders + burst, handled)
        return speed(each * senders, seconds)

    async def _fan_out(self, count: int) -> Figures:
        rounds = max(1, count // ACTORS)
        async with self._open() as system:
            actors = [await system.start() for _ in range(ACTORS)]
            await _ask_each(actors, system.get, 1)
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for number in range(OPEN):
                    nursery.start_soon(_ask_each, actors[number::OPEN], system.get, rounds)
            seconds = time.perf_counter() - began
        return speed(rounds * ACTORS, seconds)

    async def _spawn(self, count: int) -> Figures:
        async with self._open() as system:
            began = time.perf_counter()
            actors = [await system.start() for _ in range(count)]
            await _ask_each(actors, system.get, 1)
            seconds = time.perf_counter() - began
        return speed(count, seconds)

    async def _memory(self, count: int) -> Figures:
        async with self._open() as system:
            await _ask_each([await system.start()], system.get, 1)
            before = resident()
            actors = [await system.start() for _ in range(count)]
            await _ask_each(actors, system.get, 1)
            return memory_each(count, before)


async def _ask_each(actors: Sequence[Asked], get: object, rounds: int) -> None:
    for _ in range(rounds):
        for actor in actors:
            await actor.ask(get)
