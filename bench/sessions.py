"""How many durable messages a server takes: ``python -m greenroom.bench.sessions``.

Every message is acked after its commit to a real file under ``synchronous=FULL``. Server and load are two
processes on one machine, so on two cores each has one.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from .load import Plan, put_load
from .server import running_server


@dataclass(frozen=True)
class Figures:
    """One row of the table; latencies from sending a message to its ack."""

    agent: str
    window: int
    acked: int
    finished_turns: int
    acked_per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


async def measure(agent: str, plan: Plan) -> Figures:
    """Run one plan against a fresh server on a fresh database."""
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        async with running_server(Path(folder) / "bench.db", agent=agent) as server:
            result = await put_load(server.url, plan)
            rss = server.rss()
    cuts = statistics.quantiles(result.latencies, n=100)
    return Figures(
        agent=agent,
        window=plan.window,
        acked=len(result.latencies),
        finished_turns=result.finished_turns,
        acked_per_second=len(result.latencies) / result.seconds,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        rss_mb=rss,
    )


def table(rows: Sequence[Figures]) -> str:
    """The rows for people."""
    lines = ["agent  window    acked   turns  acked/s  p50 ms  p99 ms  RSS MB"]
    lines += [
        f"{row.agent:<5}  {row.window:>6}  {row.acked:>7,}  {row.finished_turns:>6,}"
        f"  {row.acked_per_second:>7,.0f}  {row.p50_ms:>6.1f}  {row.p99_ms:>6.1f}  {row.rss_mb:>6.1f}"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure plain storing with one and sixteen messages under way per connection, and a whole chat."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.sessions", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=10, help="per session")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object per line")
    options = parser.parse_args(arguments)
    rows: list[Figures] = []
    for agent, window in (("none", 1), ("none", 16), ("echo", 1)):
        plan = Plan(
            connections=min(options.connections, options.sessions),
            sessions=options.sessions,
            messages=options.messages,
            window=window,
            attached=agent != "none",
        )
        rows.append(trio.run(measure, agent, plan))
    if options.json:
        sys.stdout.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    else:
        sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
