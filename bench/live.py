"""What live sessions cost, and waking them among many stored ones: ``python -m greenroom.bench.live``.

First all are live: the memory of each, and how late the event loop is while some of them chat. Then far more
are stored than may live, and any may be spoken to next: the memory of each live one, what it takes to wake
one, and whether everything that was acked is stored. Each part is a process of its own, on SQLite in a
temporary folder.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from ..actors.surroundings import now
from . import roaming
from .peers import contender, our_sessions
from .roaming_stock import fill
from .stored import Times

P = ParamSpec("P")
T = TypeVar("T")

BYTES_BAR = 3072.0  # of one live session with two short messages
DELAY_BARS = (20.0, 100.0)  # ms: how late the loop may be, p99.9 and worst


@dataclass(frozen=True)
class Idle:
    """What sessions cost that all live.

    Attributes:
        sessions: How many, of two short messages each; one in a hundred chats while the delay is measured.
        bytes_each: Memory that one more takes.
        delay: How late the loop is, ms.
    """

    sessions: int
    bytes_each: float
    delay: contender.Figures


def idle(sessions: int, seconds: int) -> Idle:
    """Measure sessions that all live, ``seconds`` of it chatting."""
    size = _apart(_memory, sessions)
    roaming.progress(f"{sessions:,} live sessions: memory measured")
    return Idle(sessions, size["bytes"], _apart(_delay, sessions, seconds))


def roam(plan: roaming.Plan) -> roaming.Figures:
    """Measure sessions few of which live."""
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        db = Path(folder) / "bench.db"
        _apart(fill, db, plan.stored, now(), roaming.progress)
        return _apart(roaming.measure, db, plan)


def _memory(sessions: int) -> contender.Figures:
    return our_sessions.in_sqlite().memory(sessions)


def _delay(sessions: int, seconds: int) -> contender.Figures:
    return our_sessions.Sessions(lambda: None, seconds).delay(sessions)


def _apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do it in a fresh process, so that no memory of what came before is counted, or taken up again."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as pool:
        return pool.submit(work, *args, **kwargs).result()


def table(of_idle: Idle | None, of_roaming: roaming.Figures | None) -> str:
    """The figures for people, each with its bar."""
    return "\n".join(
        [
            *(_idle_rows(of_idle) if of_idle is not None else ()),
            *(_roaming_rows(of_roaming) if of_roaming is not None else ()),
        ]
    )


def _idle_rows(figures: Idle) -> Sequence[str]:
    late, worst = figures.delay["p999_ms"], figures.delay["worst_ms"]
    chatting = len(range(1, figures.sessions + 1, our_sessions.CHATTING))
    return (
        f"{figures.sessions:,} live sessions",
        f"memory of each           {figures.bytes_each:,.0f} bytes{_verdict(figures.bytes_each, BYTES_BAR)}",
        f"delay while {chatting:,} chat   p50 {figures.delay['p50_ms']:.2f} ms",
        f"                         p99.9 {late:.1f} ms{_verdict(late, DELAY_BARS[0])}",
        f"                         worst {worst:.1f} ms{_verdict(worst, DELAY_BARS[1])}",
    )


def _roaming_rows(figures: roaming.Figures) -> Sequence[str]:
    plan = figures.plan
    warm, full, after = figures.resident
    return (
        f"{plan.stored:,} stored sessions of which {plan.live:,} may live",
        f"memory of each that does {figures.bytes_each:,.0f} bytes{_verdict(figures.bytes_each, BYTES_BAR)}",
        f"memory of the process    {warm:.0f} MB with a tenth, {full:.0f} with all, {after:.0f} after",
        f"{plan.operations:,} operations of {plan.callers} callers   {figures.per_second:,.0f}/s",
        "                             p50 ms   p99 ms    worst",
        _row("ack, live", figures.live_sends),
        _row("ack, waking", figures.waking_sends),
        _row("read a conversation", figures.reads),
        _row("ack, live, alone", figures.live_alone),
        _row("ack, waking, alone", figures.waking_alone),
        f"{figures.acked:,} acked messages, each stored as it was said; {figures.refused:,} refusals",
    )


def _row(name: str, times: Times) -> str:
    return f"{name:<27} {times.p50:>7.2f}  {times.p99:>7.2f}  {times.worst:>7.2f}"


def _verdict(met: float, bar: float) -> str:
    return f"   (bar {bar:,g}: {'met' if met <= bar else 'MISSED'})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure live sessions, and the waking of stored ones."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.live", description=main.__doc__)
    parser.add_argument("--part", choices=("idle", "roaming"), help="only this one")
    parser.add_argument("--sessions", type=int, default=100_000, help="that all live")
    parser.add_argument("--seconds", type=int, default=our_sessions.CHAT_SECONDS, help="of their chatting")
    parser.add_argument("--stored", type=int, default=1_000_000, help="sessions of which few may live")
    parser.add_argument("--live", type=int, default=10_000, help="of them, at once")
    parser.add_argument("--operations", type=int, default=200_000, help="sends and reads all over them")
    parser.add_argument("--callers", type=int, default=10, help="that make the operations")
    parser.add_argument("--probes", type=int, default=1000, help="sessions woken one after the other")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    options = parser.parse_args(arguments)
    plan = roaming.Plan(options.stored, options.live, options.operations, options.callers, options.probes)
    of_idle = None if options.part == "roaming" else idle(options.sessions, options.seconds)
    of_roaming = None if options.part == "idle" else roam(plan)
    if options.json:
        parts = {"idle": of_idle, "roaming": of_roaming}
        text = json.dumps({name: None if part is None else asdict(part) for name, part in parts.items()})
    else:
        text = table(of_idle, of_roaming)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
