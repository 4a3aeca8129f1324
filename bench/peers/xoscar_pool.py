"""xoscar: actors of one pool, in one process."""
# pyright: basic, reportMissingImports=false
# xoscar is not installed where types are checked.

import asyncio  # noqa: TID251 - a peer, in a process of its own
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop
import xoscar

from .contender import (
    ACTORS,
    ASK_TENTH,
    OPEN,
    SENDERS,
    Figures,
    check,
    memory_each,
    resident,
    speed,
)
from .messages import GET, INCREMENT, Counter, Get, Increment


class _Actor(xoscar.Actor):
    def __init__(self) -> None:
        super().__init__()
        self._counter = Counter()

    async def receive(self, message: Get | Increment) -> int | None:
        return await self._counter.receive_async(message)


class Pool:
    """A `Contender`, on the loop that xoscar chooses: uvloop."""

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        return _run(_ask, count)

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`; xoscar's tells are awaited."""
        return _run(_tell, count)

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`."""
        return _run(_fan_in, count)

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`."""
        return _run(_fan_out, count)

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`."""
        return _run(_spawn, count)

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        return _run(_memory, count)


Ref = Any  # a proxy with the methods of its actor
Start = Callable[[], Awaitable[Ref]]


def _run(measure: Callable[[Start, int], Awaitable[Figures]], count: int) -> Figures:
    async def main() -> Figures:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:

            def start() -> Awaitable[Ref]:
                return xoscar.create_actor(_Actor, address=pool.external_address)

            return await measure(start, count)

    return uvloop.run(main())


async def _ask(start: Start, count: int) -> Figures:
    actor = await start()
    await _ask_each([actor], count // ASK_TENTH)
    began = time.perf_counter()
    for _ in range(count):
        await actor.receive(GET)
    seconds = time.perf_counter() - began
    latencies: list[float] = []
    for _ in range(count // ASK_TENTH):
        asked = time.perf_counter()
        await actor.receive(GET)
        latencies.append(time.perf_counter() - asked)
    return speed(count, seconds, latencies)


async def _send(actor: Ref, count: int) -> None:
    for _ in range(count):
        await actor.receive.tell(INCREMENT)


async def _handled(actor: Ref, expected: int) -> None:
    while await actor.receive(GET) < expected:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0)


async def _tell(start: Start, count: int) -> Figures:
    actor = await start()
    began = time.perf_counter()
    await _send(actor, count)
    await _handled(actor, count)
    return speed(count, time.perf_counter() - began)


async def _fan_in(start: Start, count: int) -> Figures:
    actor, each = await start(), count // SENDERS
    began = time.perf_counter()
    await asyncio.gather(*(_send(actor, each) for _ in range(SENDERS)))
    await _handled(actor, each * SENDERS)
    seconds = time.perf_counter() - began
    check(each * SENDERS, await actor.receive(GET))
    return speed(each * SENDERS, seconds)


async def _ask_each(actors: Sequence[Ref], rounds: int) -> None:
    for _ in range(rounds):
        for actor in actors:
            await actor.receive(GET)


async def _fan_out(start: Start, count: int) -> Figures:
    actors = [await start() for _ in range(ACTORS)]
    rounds = max(1, count // ACTORS)
    await _ask_each(actors, 1)
    began = time.perf_counter()
    await asyncio.gather(*(_ask_each(actors[number::OPEN], rounds) for number in range(OPEN)))
    return speed(rounds * ACTORS, time.perf_counter() - began)


async def _spawn(start: Start, count: int) -> Figures:
    began = time.perf_counter()
    await _ask_each([await start() for _ in range(count)], 1)
    return speed(count, time.perf_counter() - began)


async def _memory(start: Start, count: int) -> Figures:
    await _ask_each([await start()], 1)
    before = resident()
    actors = [await start() for _ in range(count)]
    await _ask_each(actors, 1)
    return memory_each(count, before)
