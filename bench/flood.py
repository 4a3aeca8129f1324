"""What a flood of one session does to the others: ``python -m greenroom.bench.flood``.

Many sessions get a message a second each, at fixed times whatever the answers take. Every other stretch of
that, many senders flood one more session: each sends again as soon as it is acked. Load and runtime share one
process and one event loop, so what the load itself costs is in the figures of both.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from ..runtime.config import Cleanup, Config, Limits
from ..runtime.embedding import open_manager
from .flooding import Stretch, chat_beside, peer
from .load import TEXT
from .peers.contender import check

GROWTH_BAR = 20.0  # percent that the others' p99 may grow by


@dataclass(frozen=True)
class Figures:
    """All stretches, without and with the flood in turns.

    Attributes:
        sessions: How many chat.
        senders: How many flood one more.
        seconds: Length of a stretch.
        stretches: In the order they were made.
        quiet_p99_ms: Of the best stretch without the flood; what else the machine does is in the others.
        flooded_p99_ms: Of the best stretch with it.
        growth: Percent by which the second is more than the first.
    """

    sessions: int
    senders: int
    seconds: int
    stretches: Sequence[Stretch]
    quiet_p99_ms: float
    flooded_p99_ms: float
    growth: float


async def measure(sessions: int, senders: int, seconds: int, rounds: int) -> Figures:
    """Make ``rounds`` stretches of each kind, in turns, on one fresh database.

    Raises:
        WrongAnswerError: Something acked is not stored, or something else is.
    """
    limits = Limits(live_sessions=sessions + 1)
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        db = str(Path(folder) / "bench.db")
        config = Config(db=db, agent="none", limits=limits, cleanup=Cleanup(enabled=False))
        async with open_manager(config) as manager:
            async with trio.open_nursery() as nursery:
                for number in range(sessions):
                    nursery.start_soon(manager.send, peer(number), TEXT)
            stretches = [
                await chat_beside(manager, sessions, flooding, seconds)
                for _ in range(rounds)
                for flooding in (0, senders)
            ]
            acked = sessions + sum(one.acked + one.flood_acked for one in stretches)
            check(acked, (await manager.stats()).total_messages)
    quiet = min(one.p99_ms for one in stretches if not one.flooded)
    flooded = min(one.p99_ms for one in stretches if one.flooded)
    growth = (flooded / quiet - 1) * 100
    return Figures(sessions, senders, seconds, stretches, quiet, flooded, growth)


def table(figures: Figures) -> str:
    """The figures for people, with the bar."""
    lines = [
        f"{figures.sessions:,} sessions chat, a message a second each; {figures.senders} senders flood one",
        "           acked  p50 ms  p99 ms   worst  begun p99   flood acked/s  refused",
    ]
    lines += [
        f"{'flooded' if one.flooded else 'quiet':<7} {one.acked:>8,}  {one.p50_ms:>6.2f}  {one.p99_ms:>6.2f}"
        f"  {one.worst_ms:>6.1f}  {one.begun_p99_ms:>9.2f}   {one.flood_per_second:>13,.0f}"
        f"  {one.flood_refused:>7,}"
        for one in figures.stretches
    ]
    verdict = "met" if figures.growth <= GROWTH_BAR else "MISSED"
    lines.append(
        f"p99, best of each: quiet {figures.quiet_p99_ms:.2f} ms, flooded {figures.flooded_p99_ms:.2f} ms,"
        f" {figures.growth:+.0f} %   (bar {GROWTH_BAR:+.0f} %: {verdict})"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the acks of chatting sessions without and with a flood of another."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.flood", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=1000, help="that chat")
    parser.add_argument("--senders", type=int, default=50, help="that flood one more session")
    parser.add_argument("--seconds", type=int, default=10, help="of a stretch")
    parser.add_argument("--rounds", type=int, default=3, help="of one stretch without and one with the flood")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    options = parser.parse_args(arguments)
    figures = trio.run(measure, options.sessions, options.senders, options.seconds, options.rounds)
    sys.stdout.write((json.dumps(asdict(figures)) if options.json else table(figures)) + "\n")


if __name__ == "__main__":
    main()
