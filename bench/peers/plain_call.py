"""The limit of Python: an object in a dict, called."""

import time

from .contender import ACTORS, ASK_TENTH, SENDERS, Figures, check, memory_each, resident, speed
from .messages import GET, INCREMENT, Counter


class PlainCall:
    """Calls what a dict holds: one message at a time, since nothing awaits. A `Contender`."""

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        actors = {"counter": Counter()}
        began = time.perf_counter()
        for _ in range(count):
            actors["counter"].receive(GET)
        seconds = time.perf_counter() - began
        latencies: list[float] = []
        for _ in range(count // ASK_TENTH):
            asked = time.perf_counter()
            actors["counter"].receive(GET)
            latencies.append(time.perf_counter() - asked)
        return speed(count, seconds, latencies)

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`."""
        return _tell(1, count)

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`; the senders come one after the other."""
        return _tell(SENDERS, count)

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`; no question stays open."""
        actors = {number: Counter() for number in range(ACTORS)}
        rounds = max(1, count // ACTORS)
        began = time.perf_counter()
        for _ in range(rounds):
            for number in range(ACTORS):
                actors[number].receive(GET)
        return speed(rounds * ACTORS, time.perf_counter() - began)

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`."""
        actors: dict[int, Counter] = {}
        began = time.perf_counter()
        _make(actors, count)
        return speed(count, time.perf_counter() - began)

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        actors: dict[int, Counter] = {}
        before = resident()
        _make(actors, count)
        return memory_each(count, before)


def _tell(senders: int, count: int) -> Figures:
    actors = {"counter": Counter()}
    each = count // senders
    began = time.perf_counter()
    for _ in range(senders):
        for _ in range(each):
            actors["counter"].receive(INCREMENT)
    seconds = time.perf_counter() - began
    check(each * senders, actors["counter"].n)
    return speed(each * senders, seconds)


def _make(actors: dict[int, Counter], count: int) -> None:
    for number in range(count):
        actors[number] = Counter()
    for number in range(count):
        actors[number].receive(GET)
