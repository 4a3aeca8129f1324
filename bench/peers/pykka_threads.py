"""Pykka: a thread for each actor."""
# pyright: basic, reportMissingImports=false
# Pykka is not installed where types are checked.

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka

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


class _Actor(pykka.ThreadingActor):
    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self._counter = Counter()

    def on_receive(self, message: Get | Increment) -> int | None:
        return self._counter.receive(message)


class Threads:
    """A `Contender`."""

    def ask(self, count: int) -> Figures:
        """As `Contender.ask`."""
        return _stopping(_ask, count)

    def tell(self, count: int) -> Figures:
        """As `Contender.tell`; the sender is this thread."""
        return _stopping(_tell, count)

    def fan_in(self, count: int) -> Figures:
        """As `Contender.fan_in`; each sender is a thread."""
        return _stopping(_fan_in, count)

    def fan_out(self, count: int) -> Figures:
        """As `Contender.fan_out`; one thread keeps the futures."""
        return _stopping(_fan_out, count)

    def spawn(self, count: int) -> Figures:
        """As `Contender.spawn`."""
        return _stopping(_spawn, count)

    def memory(self, count: int) -> Figures:
        """As `Contender.memory`."""
        return _stopping(_memory, count)


def _stopping(measure: Callable[[int], Figures], count: int) -> Figures:
    try:
        return measure(count)
    finally:
        pykka.ActorRegistry.stop_all(block=False)


def _ask(count: int) -> Figures:
    actor = _Actor.start()
    for _ in range(count // ASK_TENTH):
        actor.ask(GET)
    began = time.perf_counter()
    for _ in range(count):
        actor.ask(GET)
    seconds = time.perf_counter() - began
    latencies: list[float] = []
    for _ in range(count // ASK_TENTH):
        asked = time.perf_counter()
        actor.ask(GET)
        latencies.append(time.perf_counter() - asked)
    return speed(count, seconds, latencies)


def _tell(count: int) -> Figures:
    actor = _Actor.start()
    began = time.perf_counter()
    for _ in range(count):
        actor.tell(INCREMENT)
    handled = actor.ask(GET)
    seconds = time.perf_counter() - began
    check(count, handled)
    return speed(count, seconds)


def _fan_in(count: int) -> Figures:
    actor, each = _Actor.start(), count // SENDERS

    def send() -> None:
        for _ in range(each):
            actor.tell(INCREMENT)

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    began = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    handled = actor.ask(GET)
    seconds = time.perf_counter() - began
    check(each * SENDERS, handled)
    return speed(each * SENDERS, seconds)


def _fan_out(count: int) -> Figures:
    actors = [_Actor.start() for _ in range(ACTORS)]
    rounds = max(1, count // ACTORS)
    began = time.perf_counter()
    unanswered: deque[Any] = deque()
    for _ in range(rounds):
        for actor in actors:
            if len(unanswered) == OPEN:
                unanswered.popleft().get()
            unanswered.append(actor.ask(GET, block=False))
    for future in unanswered:
        future.get()
    return speed(rounds * ACTORS, time.perf_counter() - began)


def _spawn(count: int) -> Figures:
    began = time.perf_counter()
    actors = [_Actor.start() for _ in range(count)]
    for actor in actors:
        actor.ask(GET)
    return speed(count, time.perf_counter() - began)


def _memory(count: int) -> Figures:
    _Actor.start().ask(GET)
    before = resident()
    for actor in [_Actor.start() for _ in range(count)]:
        actor.ask(GET)
    return memory_each(count, before)
