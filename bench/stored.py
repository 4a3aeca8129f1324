"""What many stored sessions cost those who are talking: ``python -m greenroom.bench.stored``.

Opening a manager, listing by each field, counting, and the delay of a live session's acks while a thousand
silent ones are archived beside it. All in this process, on a database in a temporary folder.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import trio

from ..actors.surroundings import now
from ..persistence.ids import SessionID
from ..persistence.records import Ending, EndReason, SessionFilter, SessionState
from ..runtime.config import Cleanup, Config
from ..runtime.embedding import open_manager
from ..runtime.manager import SessionManager
from .stock import AGENTS, CHANNELS, DAY, fill, peer

T = TypeVar("T")

OPEN_BAR = 0.5  # seconds more than with no session
LIST_BAR = 20.0  # ms, p99
STATS_BAR = 50.0  # ms, p50
ACK_BAR = 50.0  # ms, the worst

_LIMIT = 50  # sessions per list, as the wire's default
_QUIET_ACKS = 1000
_LIVE = SessionID("bench", "live", "ann")
_ASLEEP = Cleanup(enabled=False)


@dataclass(frozen=True)
class Times:
    """How long something took, milliseconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Times":
        """Times of at least two measurements."""
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(cuts[49] * 1000, cuts[98] * 1000, max(seconds) * 1000)


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        sessions: How many are stored.
        open_empty: Seconds to open a manager on an empty database, median.
        open_full: The same with all sessions.
        lists: A list of 50 by each field of a filter.
        stats: Counting all sessions.
        quiet: Acks of one live session, sent one after another, while nothing else happens.
        cleaning: The same while silent sessions are archived.
        archived: How many those are.
        archiving: Seconds it took to archive them.
    """

    sessions: int
    open_empty: float
    open_full: float
    lists: dict[str, Times]
    stats: Times
    quiet: Times
    cleaning: Times
    archived: int
    archiving: float


class _Counter:
    """A hook that counts ends by silence."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.all_told = trio.Event()

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:  # noqa: ARG002 - the protocol's
        """Count one."""
        self._left -= reason is EndReason.TIMEOUT
        if not self._left:
            self.all_told.set()


async def measure(sessions: int, overdue: int, runs: int) -> Figures:
    """Make the database, then measure everything on it.

    Args:
        sessions: Stored ones.
        overdue: Those among them that are to be archived.
        runs: Lists per field, and counts.
    """
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        empty, full = Path(folder) / "empty.db", Path(folder) / "full.db"
        at = now()
        await trio.to_thread.run_sync(fill, empty, 0, 0, at)
        await trio.to_thread.run_sync(fill, full, sessions - overdue, overdue, at)
        open_empty, open_full = await _openings(empty, full)
        async with open_manager(_config(full)) as manager:
            lists = {
                field: await _timed(wheres, manager.list)
                for field, wheres in _filters(sessions, at, runs).items()
            }
            stats = await _timed(range(runs), lambda _: manager.stats())
            await _ack(manager)  # the first loads the tokens' ranks
            quiet = Times.of([await _ack(manager) for _ in range(_QUIET_ACKS)])
        cleaning, archiving = await _acks_beside_cleaning(full, overdue)
    return Figures(
        sessions=sessions,
        open_empty=open_empty,
        open_full=open_full,
        lists=lists,
        stats=stats,
        quiet=quiet,
        cleaning=cleaning,
        archived=overdue,
        archiving=archiving,
    )


def _config(db: Path, cleanup: Cleanup = _ASLEEP) -> Config:
    return Config(db=str(db), agent="none", cleanup=cleanup)


async def _openings(empty: Path, full: Path) -> tuple[float, float]:
    """Medians of seven openings each, one after the other, so that both meet the same machine."""
    seconds: dict[Path, list[float]] = {empty: [], full: []}
    for _ in range(7):
        for db in (empty, full):
            began = time.perf_counter()
            async with open_manager(_config(db)):
                seconds[db].append(time.perf_counter() - began)
    return statistics.median(seconds[empty]), statistics.median(seconds[full])


def _filters(sessions: int, at: int, runs: int) -> dict[str, Sequence[SessionFilter]]:
    """Filters of each kind, over values that many sessions share, that few do, and that none has."""
    draw = random.Random(1)  # noqa: S311 - the same ones every time
    states = tuple(SessionState)

    def moment() -> int:
        return at - draw.randrange(370) * DAY

    makers: dict[str, Callable[[], SessionFilter]] = {
        "none": lambda: SessionFilter(limit=_LIMIT),
        "agent": lambda: SessionFilter(agent_id=draw.choice((*AGENTS, "nobody")), limit=_LIMIT),
        "channel": lambda: SessionFilter(channel_id=draw.choice(CHANNELS), limit=_LIMIT),
        "peer": lambda: SessionFilter(peer_id=peer(draw.randrange(sessions + 4)), limit=_LIMIT),
        "state": lambda: SessionFilter(state=draw.choice(states), limit=_LIMIT),
        "created after": lambda: SessionFilter(created_after=moment(), limit=_LIMIT),
        "created before": lambda: SessionFilter(created_before=moment(), limit=_LIMIT),
        "agent and state": lambda: SessionFilter(
            agent_id=draw.choice(AGENTS), state=draw.choice(states), limit=_LIMIT
        ),
    }
    return {name: [make() for _ in range(runs)] for name, make in makers.items()}


async def _timed(values: Iterable[T], call: Callable[[T], Awaitable[object]]) -> Times:
    seconds: list[float] = []
    for value in values:
        began = time.perf_counter()
        await call(value)
        seconds.append(time.perf_counter() - began)
    return Times.of(seconds)


async def _ack(manager: SessionManager) -> float:
    began = time.perf_counter()
    await manager.send(_LIVE, "A short message of a conversation.")
    return time.perf_counter() - began


async def _acks_beside_cleaning(full: Path, overdue: int) -> tuple[Times, float]:
    """Acks from the opening of the manager until every overdue session is archived and told of."""
    counter = _Counter(overdue)
    cleanup = Cleanup(idle_after=0, suspend_after=0)  # archive_after is 30 days, as by default
    async with open_manager(_config(full, cleanup), hooks=(counter,)) as manager:
        began = time.perf_counter()
        acks: list[float] = []
        while not counter.all_told.is_set():
            acks.append(await _ack(manager))
        seconds = time.perf_counter() - began
        acks.append(await _ack(manager))
    return Times.of(acks), seconds


def table(figures: Figures) -> str:
    """The figures for people, each with its bar."""
    more = _verdict(figures.open_full - figures.open_empty, OPEN_BAR, "s more")
    lines = [
        f"{figures.sessions:,} stored sessions",
        f"open with them {figures.open_full:.3f} s, with none {figures.open_empty:.3f} s{more}",
        "                        p50 ms   p99 ms    worst",
    ]
    lines += [
        _row(f"list by {field}", times, _verdict(times.p99, LIST_BAR, "ms p99"))
        for field, times in figures.lists.items()
    ]
    lines += [
        _row("stats", figures.stats, _verdict(figures.stats.p50, STATS_BAR, "ms p50")),
        _row("ack, alone", figures.quiet, ""),
        _row("ack, beside cleaning", figures.cleaning, _verdict(figures.cleaning.worst, ACK_BAR, "ms worst")),
        f"{figures.archived:,} sessions archived in {figures.archiving:.1f} s",
    ]
    return "\n".join(lines)


def _row(name: str, times: Times, verdict: str) -> str:
    return f"{name:<23} {times.p50:>6.2f}   {times.p99:>6.2f}   {times.worst:>6.2f}{verdict}"


def _verdict(met: float, bar: float, unit: str) -> str:
    return f"   (bar {bar:g} {unit}: {'met' if met < bar else 'MISSED'})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what stored sessions cost."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.stored", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument(
        "--overdue", type=int, default=1000, help="of them, silent for long enough to archive"
    )
    parser.add_argument("--runs", type=int, default=500, help="lists per field")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    options = parser.parse_args(arguments)
    figures = trio.run(measure, options.sessions, options.overdue, options.runs)
    sys.stdout.write((json.dumps(asdict(figures)) if options.json else table(figures)) + "\n")


if __name__ == "__main__":
    main()
