"""Who is measured, and how many messages or actors of each."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEASURES: Final = ("ask", "tell", "fan_in", "fan_out", "spawn", "memory")

Counts = Mapping[str, int]

_LIGHT: Final = {
    "ask": 50_000,
    "tell": 500_000,
    "fan_in": 500_000,
    "fan_out": 50_000,
    "spawn": 10_000,
    "memory": 20_000,
}
# Fewer where each takes so much longer; a rate or a size per actor is the same.
_CHANNELS: Final = {**_LIGHT, "tell": 50_000, "fan_in": 50_000}
_HEAVY: Final = {**_LIGHT, "ask": 5000, "tell": 10_000, "fan_in": 10_000, "fan_out": 5000, "memory": 5000}
_THREADS: Final = {
    **_HEAVY,
    "tell": 100_000,
    "fan_in": 100_000,
    "fan_out": 10_000,
    "spawn": 5000,
    "memory": 2000,
}


@dataclass(frozen=True)
class Entrant:
    """One row of the table.

    Attributes:
        name: For people.
        made: Its module in this folder, and the factory there.
        counts: How many, by measure; what is missing is not measured.
        venv: The folder, among those of the peers, whose interpreter it needs; None for this one.
    """

    name: str
    made: str
    counts: Counts
    venv: str | None = None

    def interpreter(self, peers: Path) -> str | None:
        """The Python that runs it, or None if it is not installed under ``peers``."""
        if self.venv is None:
            return sys.executable
        python = peers / self.venv / "bin" / "python"
        return str(python) if python.exists() else None


AWAITING: Final = "ours, async def"
INLINE: Final = "ours, def"
BATCHED: Final = "Trio: deque, drain, reschedule"
UVLOOP: Final = "asyncio.Queue on uvloop"
XOSCAR: Final = "xoscar"
PYKKA: Final = "Pykka"
IN_SQLITE: Final = "our sessions, SQLite"

ROSTER: Final = (
    Entrant(AWAITING, "our_actors:awaiting", _LIGHT),
    Entrant(INLINE, "our_actors:inline", _LIGHT),
    Entrant("plain call + dict", "plain_call:PlainCall", _LIGHT),
    Entrant(BATCHED, "trio_deque:batched", _LIGHT),
    Entrant("Trio: memory channel + Event", "trio_channel:tutorial", _CHANNELS),
    Entrant("asyncio.Queue", "asyncio_queue:AsyncioQueue", _LIGHT),
    Entrant(UVLOOP, "asyncio_queue:on_uvloop", _LIGHT, "uvloop"),
    Entrant(XOSCAR, "xoscar_pool:Pool", _HEAVY, "xoscar"),
    Entrant(PYKKA, "pykka_threads:Threads", _THREADS, "pykka"),
    Entrant("autogen-core", "autogen_runtime:SingleThreaded", _HEAVY, "autogen-core"),
    Entrant(IN_SQLITE, "our_sessions:in_sqlite", {"memory": 20_000, "delay": 20_000}),
    Entrant("our sessions, store in memory", "our_sessions:in_memory", {"memory": 10_000}),
)
