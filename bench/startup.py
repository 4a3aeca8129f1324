"""What waiting for greenroom costs: ``python -m greenroom.bench.startup``.

Medians of several runs: the wall time of ``greenroom --help``, of ``greenroom serve`` until both listeners
accept, and the memory of a server that has nothing to do.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from .load import Plan, put_load
from .server import PROGRAM, running_server


@dataclass(frozen=True)
class Figures:
    """Medians.

    Attributes:
        help_seconds: ``greenroom --help`` from start to exit.
        ready_seconds: ``greenroom serve`` from start to its ready line.
        idle_rss_mb: Its memory then.
        used_rss_mb: Its memory after one conversation of one message, when everything is loaded.
    """

    help_seconds: float
    ready_seconds: float
    idle_rss_mb: float
    used_rss_mb: float


async def measure(runs: int) -> Figures:
    """Start everything ``runs`` times."""
    helps: list[float] = []
    readies: list[float] = []
    idle: list[float] = []
    used: list[float] = []
    one = Plan(connections=1, sessions=1, messages=1, window=1, attached=True)
    for _ in range(runs):
        began = time.perf_counter()
        await trio.run_process([str(PROGRAM), "--help"], stdout=subprocess.DEVNULL)
        helps.append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
            async with running_server(Path(folder) / "bench.db", agent="echo") as server:
                readies.append(server.ready_seconds)
                idle.append(server.rss())
                await put_load(server.url, one)
                used.append(server.rss())
    return Figures(*map(statistics.median, (helps, readies, idle, used)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what starting greenroom costs."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.startup", description=main.__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    options = parser.parse_args(arguments)
    figures = trio.run(measure, options.runs)
    if options.json:
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
        return
    sys.stdout.write(
        f"greenroom --help       {figures.help_seconds:.2f} s\n"
        f"greenroom serve ready  {figures.ready_seconds:.2f} s\n"
        f"idle server            {figures.idle_rss_mb:.1f} MB, after its first conversation"
        f" {figures.used_rss_mb:.1f} MB\n"
    )


if __name__ == "__main__":
    main()
