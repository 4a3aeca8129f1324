"""What a fault next door costs everybody else: ``python -m greenroom.bench.neighbours``.

Many sessions get a message each, again and again, in a manager on a real file: in one round beside nothing,
in the next beside a session that crashes whenever it is asked anything, in the next beside a host whose jobs
have taken every thread of the event loop's limiter. The rounds are interleaved, so that all meet the same
machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
import trio

from ..actors.errors import QuarantinedError, UnavailableError
from ..persistence.ids import SessionID
from ..persistence.records import SessionRecord
from ..persistence.sqlite import SQLiteSessionStore
from ..runtime.config import Cleanup, Config
from ..runtime.embedding import open_manager
from ..runtime.manager import SessionManager

P99_BAR = 1.1  # times what it is beside nothing
CALLERS = 32  # that send, each one message at a time
PAUSE = 0.02  # seconds that each rests after an ack, so that no round is about a server without time to spare
POKE = 0.01  # seconds between two messages to the session that crashes

_ALONE = "nothing"
_TEXT = "A short message of a conversation, as people write them."
_BAD = "bad"

Fault = Callable[[SessionManager], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Figures:
    """What was met beside one fault; milliseconds from sending a message to its ack.

    Attributes:
        beside: What happened next door.
        p50: Median of the rounds' medians.
        p99: Median of the rounds' 99th percentiles.
        worst: The slowest ack of all.
        ratio: Median of the rounds' quotients of the 99th percentile and the one beside nothing.
        acks: How many there were, in all rounds.
    """

    beside: str
    p50: float
    p99: float
    worst: float
    ratio: float
    acks: int


class _Spoiled(SQLiteSessionStore):
    """Fails in an unforeseen way whenever a session whose channel is `_BAD` is read."""

    def load(self, session: SessionID) -> SessionRecord | None:
        """Read what a session needs to live.

        Raises:
            RuntimeError: It is a bad one.
        """
        if session.channel_id == _BAD:
            raise RuntimeError("a bad session")
        return super().load(session)


@asynccontextmanager
async def _nothing(_manager: SessionManager) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def _crashing(numbers: Iterator[int], manager: SessionManager) -> AsyncGenerator[None]:
    """A session that nobody has heard of, so with all its crashes before it, is asked all the time."""
    session = SessionID("bench", _BAD, f"peer{next(numbers)}")

    async def poke() -> None:
        with suppress(QuarantinedError, UnavailableError):
            await manager.send(session, _TEXT)

    async def keep_poking() -> None:
        while True:
            nursery.start_soon(poke)
            await trio.sleep(POKE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_poking)
        yield
        nursery.cancel_scope.cancel(reason="measured")


@asynccontextmanager
async def _threads_taken(_manager: SessionManager) -> AsyncGenerator[None]:
    """Jobs of the host wait on every thread that `trio.to_thread` gives out, and one more for its turn."""
    limiter, let_go = trio.to_thread.current_default_thread_limiter(), threading.Event()
    async with trio.open_nursery() as nursery:
        try:
            for _ in range(int(limiter.total_tokens) + 1):
                nursery.start_soon(trio.to_thread.run_sync, let_go.wait)
            while not limiter.statistics().tasks_waiting:  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.01)
            yield
        finally:
            let_go.set()


async def measure(sessions: int, messages: int, rounds: int) -> list[Figures]:
    """Measure every fault in each round.

    Args:
        sessions: How many live.
        messages: Per session and round.
        rounds: How often each fault is there.
    """
    faults: dict[str, Fault] = {
        _ALONE: _nothing,
        "a session that crashes": partial(_crashing, count()),
        "every thread taken": _threads_taken,
    }
    met: dict[str, list[list[float]]] = {name: [] for name in faults}
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        store = await trio.to_thread.run_sync(_Spoiled, Path(folder) / "bench.db")
        config = Config(agent="none", cleanup=Cleanup(enabled=False))
        async with open_manager(config, store=store, report=_ignore) as manager:
            await _talk(manager, sessions, 1)  # loads what first messages need, and each session
            for number in range(rounds):
                names = list(faults)
                turn = number % len(names)
                for name in (*names[turn:], *names[:turn]):
                    async with faults[name](manager):
                        met[name].append(await _talk(manager, sessions, messages))
    return [_figures(name, met[name], met[_ALONE]) for name in faults]


def _ignore(_: msgspec.Struct) -> None:
    """Crashes are what is wanted here."""


async def _talk(manager: SessionManager, sessions: int, messages: int) -> list[float]:
    """Seconds until each ack; raises if anything is refused."""
    seconds: list[float] = []
    turns = iter([number for _ in range(messages) for number in range(sessions)])

    async def call() -> None:
        for number in turns:
            began = time.perf_counter()
            await manager.send(SessionID("bench", "good", f"peer{number}"), _TEXT)
            seconds.append(time.perf_counter() - began)
            await trio.sleep(PAUSE)

    async with trio.open_nursery() as nursery:
        for _ in range(min(CALLERS, sessions)):
            nursery.start_soon(call)
    return seconds


def _figures(name: str, met: Sequence[Sequence[float]], alone: Sequence[Sequence[float]]) -> Figures:
    p99s = [_percentile(seconds, 99) for seconds in met]
    return Figures(
        beside=name,
        p50=statistics.median(_percentile(seconds, 50) for seconds in met),
        p99=statistics.median(p99s),
        worst=max(map(max, met)) * 1000,
        ratio=statistics.median(
            p99 / _percentile(seconds, 99) for p99, seconds in zip(p99s, alone, strict=True)
        ),
        acks=sum(map(len, met)),
    )


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


def table(rows: Sequence[Figures]) -> str:
    """The rows for people, each with its verdict."""
    lines = ["beside                     acks   p50 ms   p99 ms    worst"]
    for row in rows:
        line = f"{row.beside:<22}  {row.acks:>7,}   {row.p50:>6.2f}   {row.p99:>6.2f}   {row.worst:>6.2f}"
        if row.beside != _ALONE:
            verdict = "met" if row.ratio <= P99_BAR else "MISSED"
            line += f"   p99 x {row.ratio:.2f} (bar {P99_BAR:g}: {verdict})"
        lines.append(line)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what a fault next door costs."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.neighbours", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=5, help="per session and round")
    parser.add_argument("--rounds", type=int, default=9, help="of each fault, interleaved")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object per line")
    options = parser.parse_args(arguments)
    rows = trio.run(measure, options.sessions, options.messages, options.rounds)
    if options.json:
        sys.stdout.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    else:
        sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
