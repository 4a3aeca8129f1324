"""What every contender measures, and how: the same counts, the same bursts, the same clock."""

import gc
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

Figures = dict[str, float]

SENDERS = 100  # of a fan-in
ACTORS = 1000  # of a fan-out
OPEN = 100  # unanswered asks of a fan-out
BURST = 200  # tells between two checkpoints of a lone sender: with a checkpoint for each, only it is measured
FAN_BURST = 20  # the same, for each sender of a fan-in
ASK_TENTH = 10  # this part of the questions warms up, and as many again are timed one by one

# Collections among many young actors cost more than the actors; raised for every contender alike.
SPAWN_THRESHOLDS = (100_000, 50, 50)


class Contender(Protocol):
    """Something that actors can be made of; each method is one measure, made in a process of its own."""

    def ask(self, count: int) -> Figures:
        """One asker asks one actor, one question after the other; with the median time of one."""
        ...

    def tell(self, count: int) -> Figures:
        """One sender tells one actor, until all is handled."""
        ...

    def fan_in(self, count: int) -> Figures:
        """`SENDERS` senders tell one actor, until all is handled."""
        ...

    def fan_out(self, count: int) -> Figures:
        """`ACTORS` actors are asked in turn, `OPEN` questions at a time."""
        ...

    def spawn(self, count: int) -> Figures:
        """Make actors, and have one answer of each; all are alive at the end."""
        ...

    def memory(self, count: int) -> Figures:
        """Bytes for one more idle actor that has answered once."""
        ...


class WrongAnswerError(Exception):
    """A contender lost or doubled a message, so its speed means nothing."""


def check(expected: int, met: int) -> None:
    """Compare what was handled with what was sent.

    Raises:
        WrongAnswerError: They differ.
    """
    if met != expected:
        raise WrongAnswerError(f"messages handled: expected {expected}, met {met}")


def speed(count: int, seconds: float, latencies: Sequence[float] = ()) -> Figures:
    """Figures of a measure of speed; latencies in seconds."""
    figures = {"per_second": count / seconds}
    if latencies:
        figures["p50_us"] = statistics.median(latencies) * 1e6
    return figures


def memory_each(count: int, before: int) -> Figures:
    """Figures of a measure of memory, from `resident` before the actors were made."""
    return {"bytes": (resident() - before) / count}


def resident() -> int:
    """Bytes of this process in memory, after a full collection; Linux only."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
