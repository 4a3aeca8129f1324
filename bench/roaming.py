"""A few of many stored sessions live, and any may be spoken to next: what that costs."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import trio

from ..runtime.config import Cleanup, Config, Limits
from ..runtime.embedding import open_manager
from .peers.contender import check, resident
from .roamer import Roamer
from .roaming_stock import require_all
from .stored import Times

_WARMING = 10  # this part of the sessions that may live is woken before memory is measured


@dataclass(frozen=True)
class Plan:
    """How much of it.

    Attributes:
        stored: Sessions, of two short messages each; more than ``live`` and ``probes`` together.
        live: How many of them may live at once; at least 20.
        operations: Sends and reads, all over the sessions.
        callers: That make them.
        probes: Sleeping sessions woken one after the other, while nothing else happens.
    """

    stored: int
    live: int
    operations: int
    callers: int
    probes: int


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        plan: Of what.
        bytes_each: Memory that one more live session takes.
        live: Sessions that live once as many were woken as may live; and when all was over.
        resident: MB of 10^6 bytes: with a tenth of them woken, with all, and after the operations.
        per_second: Operations, among all callers.
        refused: How often a send was told to come again.
        reads: Reading a whole conversation, among all callers.
        live_sends: Until the ack, in sessions spoken to a moment ago; among all callers.
        waking_sends: The same in sessions never spoken to before, which come to life first.
        live_alone: As ``live_sends``, one after the other.
        waking_alone: As ``waking_sends``, one after the other.
        acked: Messages that were acked; each is stored as it was said, and nothing else is.
    """

    plan: Plan
    bytes_each: float
    live: tuple[int, int]
    resident: tuple[float, float, float]
    per_second: float
    refused: int
    reads: Times
    live_sends: Times
    waking_sends: Times
    live_alone: Times
    waking_alone: Times
    acked: int


def measure(db: Path, plan: Plan) -> Figures:
    """Speak to stored sessions, and look for every message in the end; best in a process of its own.

    Args:
        db: What `roaming_stock.fill` has made of ``plan.stored`` sessions.
        plan: How much of it.

    Raises:
        LostMessageError: A message that was acked is not stored as it was said.
        WrongAnswerError: There are more messages or fewer, or not as many live sessions as may be.
    """
    return trio.run(_measure, db, plan)


async def _measure(db: Path, plan: Plan) -> Figures:
    limits = Limits(live_sessions=plan.live)
    config = Config(db=str(db), agent="none", limits=limits, cleanup=Cleanup(enabled=False))
    warming = plan.live // _WARMING
    most = plan.live + plan.operations + 2 * plan.probes
    async with open_manager(config) as manager:
        roamer = Roamer(manager, plan.stored, plan.live, plan.probes, most)
        await roamer.wake(warming, plan.callers)
        warm = resident()
        await roamer.wake(plan.live - warming, plan.callers)
        full = resident()
        check(plan.live, live := (await manager.stats()).live_actors)
        progress(f"{live:,} sessions live")
        began = time.perf_counter()
        roamed = await roamer.roam(plan.operations, plan.callers)
        seconds = time.perf_counter() - began
        after = resident()
        progress(f"{plan.operations:,} operations in {seconds:.0f} s")
        probed = await roamer.probe()
        live_in_the_end = (await manager.stats()).live_actors
    acked = await trio.to_thread.run_sync(require_all, db, plan.stored, roamer.acks)
    return Figures(
        plan=plan,
        bytes_each=(full - warm) / (plan.live - warming),
        live=(live, live_in_the_end),
        resident=(warm / 1e6, full / 1e6, after / 1e6),
        per_second=plan.operations / seconds,
        refused=roamer.refused,
        reads=Times.of(roamed.reads),
        live_sends=Times.of(roamed.live),
        waking_sends=Times.of(roamed.waking),
        live_alone=Times.of(probed.live),
        waking_alone=Times.of(probed.waking),
        acked=acked,
    )


def progress(text: str) -> None:
    """Say on standard error how far it is."""
    sys.stderr.write(f"{text}\n")
