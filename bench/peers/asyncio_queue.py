"""What asyncio offers: a task with an ``asyncio.Queue``, a future for each answer."""

import asyncio  # noqa: TID251 - a peer, in a process of its own
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any

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
from .messages import GET, INCREMENT, Counter, Get, Increment

Message = Increment | Get
Run = Callable[[Coroutine[Any, Any, Figures]], Figures]


class _Actor:
    """One loop; not bounded, not supervised."""

    __slots__ = ("_mail", "_task")

    def __init__(self) -> None:
        self._mail: asyncio.Queue[tuple[Message, asyncio.Future[int | None] | None]] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        counter = Counter()
        while True:
            message, future = await self._mail.get()
            answer = await counter.receive_async(message)
            if future is not None and not future.done():
                future.set_result(answer)

    def tell(self, message: Message) -> None:
        self._mail.put_nowait((message, None))

    async def ask(self, message: Message) -> int | None:
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._mail.put_nowait((message, future))
        return await future

    def stop(self) -> None:
        self._task.cancel()


class AsyncioQueue:
    """A `Contender`, on a loop that ``run`` brings."""

    def __init__(self, run: Run = asyncio.run) -> None:
        self._run = run

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        return self._run(_ask(count))

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`."""
        return self._run(_tell(1, BURST, count))

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`."""
        return self._run(_tell(SENDERS, FAN_BURST, count))

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`."""
        return self._run(_fan_out(count))

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`."""
        return self._run(_spawn(count))

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        return self._run(_memory(count))


def on_uvloop() -> AsyncioQueue:
    """The same on uvloop."""
    uvloop: Any = import_module("uvloop")  # which only some interpreters have
    return AsyncioQueue(uvloop.run)


async def _ask(count: int) -> Figures:
    actor = _Actor()
    await _ask_each([actor], count // ASK_TENTH)
    began = time.perf_counter()
    for _ in range(count):
        await actor.ask(GET)
    seconds = time.perf_counter() - began
    latencies: list[float] = []
    for _ in range(count // ASK_TENTH):
        asked = time.perf_counter()
        await actor.ask(GET)
        latencies.append(time.perf_counter() - asked)
    actor.stop()
    return speed(count, seconds, latencies)


async def _send(actor: _Actor, count: int, burst: int) -> None:
    tell = actor.tell
    for _ in range(count // burst):
        for _ in range(burst):
            tell(INCREMENT)
        await asyncio.sleep(0)


async def _tell(senders: int, burst: int, count: int) -> Figures:
    each = count // senders // burst * burst
    actor = _Actor()
    await _send(actor, burst, burst)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(senders):
            tasks.create_task(_send(actor, each, burst))
    handled = await actor.ask(GET)
    seconds = time.perf_counter() - began
    actor.stop()
    check(each * senders + burst, handled or 0)
    return speed(each * senders, seconds)


async def _ask_each(actors: Sequence[_Actor], rounds: int) -> None:
    for _ in range(rounds):
        for actor in actors:
            await actor.ask(GET)


async def _fan_out(count: int) -> Figures:
    rounds = max(1, count // ACTORS)
    actors = [_Actor() for _ in range(ACTORS)]
    await _ask_each(actors, 1)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(OPEN):
            tasks.create_task(_ask_each(actors[number::OPEN], rounds))
    seconds = time.perf_counter() - began
    for actor in actors:
        actor.stop()
    return speed(rounds * ACTORS, seconds)


async def _spawn(count: int) -> Figures:
    began = time.perf_counter()
    actors = [_Actor() for _ in range(count)]
    await _ask_each(actors, 1)
    seconds = time.perf_counter() - began
    for actor in actors:
        actor.stop()
    return speed(count, seconds)


async def _memory(count: int) -> Figures:
    warm = _Actor()
    await _ask_each([warm], 1)
    before = resident()
    actors = [_Actor() for _ in range(count)]
    await _ask_each(actors, 1)
    figures = memory_each(count, before)
    for actor in (warm, *actors):
        actor.stop()
    return figures
