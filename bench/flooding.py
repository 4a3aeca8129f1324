"""A stretch of time in which many sessions chat, with or without a flood of another beside them."""

import statistics
from dataclasses import dataclass, field

import trio

from ..actors.errors import BusyError
from ..persistence.ids import SessionID
from ..runtime.manager import SessionManager
from .load import TEXT

_LEAD = 0.5  # seconds the flood has run when the others begin
_FLOODED = SessionID("bench", "flood", "ann")


@dataclass(frozen=True)
class Stretch:
    """What was measured between two changes of the weather; milliseconds from the moment a message is due.

    Attributes:
        flooded: Whether the flood ran.
        acked: Messages of the others.
        p50_ms: Until their acks.
        p99_ms: The same.
        worst_ms: The same.
        begun_p99_ms: Until the load came to sending them: the event loop was busy with something else.
        flood_acked: Messages of the flood.
        flood_per_second: The same.
        flood_refused: How often a sender of the flood was told to come again later.
    """

    flooded: bool
    acked: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    begun_p99_ms: float
    flood_acked: int
    flood_per_second: float
    flood_refused: int


@dataclass
class _Tally:
    begun: list[float] = field(default_factory=list[float])  # seconds late
    acks: list[float] = field(default_factory=list[float])  # seconds late
    flood_acked: int = 0
    flood_refused: int = 0


async def chat_beside(manager: SessionManager, sessions: int, senders: int, seconds: int) -> Stretch:
    """Measure one stretch; no two sessions' messages are due in the same moment.

    Args:
        manager: Runs them all.
        sessions: How many get a message a second each.
        senders: How many flood one more, 0 for none.
        seconds: How long.
    """
    tally = _Tally()
    begins = trio.current_time() + _LEAD
    async with trio.open_nursery() as nursery:
        for _ in range(senders):
            nursery.start_soon(_flood, manager, begins + seconds, tally)
        for number in range(sessions):
            nursery.start_soon(_chat, manager, number, begins + number / sessions, seconds, tally)
    cuts = statistics.quantiles(tally.acks, n=100, method="inclusive")
    return Stretch(
        flooded=senders > 0,
        acked=len(tally.acks),
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        worst_ms=max(tally.acks) * 1000,
        begun_p99_ms=statistics.quantiles(tally.begun, n=100, method="inclusive")[98] * 1000,
        flood_acked=tally.flood_acked,
        flood_per_second=tally.flood_acked / (_LEAD + seconds),
        flood_refused=tally.flood_refused,
    )


async def _chat(manager: SessionManager, number: int, begins: float, seconds: int, tally: _Tally) -> None:
    for second in range(seconds):
        due = begins + second
        await trio.sleep_until(due)
        tally.begun.append(trio.current_time() - due)
        await manager.send(peer(number), TEXT)
        tally.acks.append(trio.current_time() - due)


async def _flood(manager: SessionManager, until: float, tally: _Tally) -> None:
    while trio.current_time() < until:
        try:
            await manager.send(_FLOODED, TEXT)
        except BusyError as exc:
            tally.flood_refused += 1
            await trio.sleep(exc.retry_after or 0.0)
        else:
            tally.flood_acked += 1


def peer(number: int) -> SessionID:
    """The session of that number."""
    return SessionID("bench", "flood", f"peer{number}")
