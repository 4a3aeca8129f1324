"""autogen-core: agents of its single-threaded runtime, made when they are first sent something."""
# pyright: basic, reportMissingImports=false
# autogen-core is not installed where types are checked.

import asyncio  # noqa: TID251 - a peer, in a process of its own
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core import SingleThreadedAgentRuntime as Runtime

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


@dataclass
class _Increment:
    pass


@dataclass
class _Get:
    pass


GET, INCREMENT = _Get(), _Increment()


class _Agent(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("counter")
        self._n = 0

    @message_handler
    async def increment(self, message: _Increment, ctx: MessageContext) -> None:  # noqa: ARG002 - its interface
        self._n += 1

    @message_handler
    async def get(self, message: _Get, ctx: MessageContext) -> int:  # noqa: ARG002 - its interface
        return self._n


class SingleThreaded:
    """A `Contender`."""

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        return _run(_ask, count)

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`: messages are published on a topic that the agent alone listens to."""
        return _run(_tell, count)

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`, published likewise."""
        return _run(_fan_in, count)

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`."""
        return _run(_fan_out, count)

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`; the question makes the agent."""
        return _run(_spawn, count)

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        return _run(_memory, count)


def _run(measure: Callable[[Runtime, int], Awaitable[Figures]], count: int) -> Figures:
    async def main() -> Figures:
        runtime = Runtime()
        await _Agent.register(runtime, "counter", _Agent)
        await runtime.add_subscription(TypeSubscription("counts", "counter"))
        runtime.start()
        try:
            return await measure(runtime, count)
        finally:
            await runtime.stop()

    return asyncio.run(main())


async def _get(runtime: Runtime, number: int) -> int:
    return await runtime.send_message(GET, AgentId("counter", str(number)))


async def _get_each(runtime: Runtime, numbers: Iterable[int], rounds: int = 1) -> None:
    for _ in range(rounds):
        for number in numbers:
            await _get(runtime, number)


async def _ask(runtime: Runtime, count: int) -> Figures:
    await _get_each(runtime, [0], count // ASK_TENTH)
    agent = AgentId("counter", "0")
    began = time.perf_counter()
    for _ in range(count):
        await runtime.send_message(GET, agent)
    seconds = time.perf_counter() - began
    latencies: list[float] = []
    for _ in range(count // ASK_TENTH):
        asked = time.perf_counter()
        await runtime.send_message(GET, agent)
        latencies.append(time.perf_counter() - asked)
    return speed(count, seconds, latencies)


async def _tell_from(runtime: Runtime, senders: int, count: int) -> Figures:
    each, topic = count // senders, TopicId("counts", "0")

    async def send() -> None:
        for _ in range(each):
            await runtime.publish_message(INCREMENT, topic)

    await _get(runtime, 0)
    began = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(senders)))
    while await _get(runtime, 0) < each * senders:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0)
    seconds = time.perf_counter() - began
    check(each * senders, await _get(runtime, 0))
    return speed(each * senders, seconds)


async def _tell(runtime: Runtime, count: int) -> Figures:
    return await _tell_from(runtime, 1, count)


async def _fan_in(runtime: Runtime, count: int) -> Figures:
    return await _tell_from(runtime, SENDERS, count)


async def _fan_out(runtime: Runtime, count: int) -> Figures:
    rounds = max(1, count // ACTORS)
    await _get_each(runtime, range(ACTORS))
    began = time.perf_counter()
    await asyncio.gather(*(_get_each(runtime, range(number, ACTORS, OPEN), rounds) for number in range(OPEN)))
    return speed(rounds * ACTORS, time.perf_counter() - began)


async def _spawn(runtime: Runtime, count: int) -> Figures:
    began = time.perf_counter()
    await _get_each(runtime, range(count))
    return speed(count, time.perf_counter() - began)


async def _memory(runtime: Runtime, count: int) -> Figures:
    await _get_each(runtime, [-1])
    before = resident()
    await _get_each(runtime, range(count))
    return memory_each(count, before)
