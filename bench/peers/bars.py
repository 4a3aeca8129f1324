"""What figures are held to: ratios within one run, and a few figures by themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .contender import Figures
from .roster import AWAITING, BATCHED, IN_SQLITE, INLINE, PYKKA, UVLOOP, XOSCAR

Results = Mapping[str, Mapping[str, Sequence[Figures]]]
"""By measure and entrant: its figures of each round, none if it is not installed."""


@dataclass(frozen=True)
class Bar:
    """What one figure is held to.

    Attributes:
        code: Which bar.
        measure: Of what.
        ours: The name of an entrant.
        against: The entrant that it is compared with, or None: the bar is on the figure itself.
        factor: The least ratio, or the greatest if ``at_most``; without ``against``, the figure.
        at_most: Whether less is better.
        key: The figure meant.
    """

    code: str
    measure: str
    ours: str
    against: str | None
    factor: float
    at_most: bool = False
    key: str = "per_second"


BARS: Final = (
    Bar("A1", "ask", AWAITING, BATCHED, 0.9),
    Bar("A1", "ask", AWAITING, XOSCAR, 4),
    Bar("A1", "ask", AWAITING, PYKKA, 7),
    Bar("A2", "ask", INLINE, UVLOOP, 2),
    Bar("A2+", "ask", INLINE, None, 1_000_000),
    Bar("A3", "tell", AWAITING, BATCHED, 0.5),
    Bar("A3", "tell", AWAITING, PYKKA, 2),
    Bar("A3", "fan_in", AWAITING, BATCHED, 0.5),
    Bar("A3", "fan_in", AWAITING, PYKKA, 2),
    Bar("A4", "fan_out", AWAITING, BATCHED, 0.9),
    Bar("A4", "fan_out", AWAITING, XOSCAR, 5),
    Bar("A5", "spawn", AWAITING, XOSCAR, 3),
    Bar("A5", "spawn", AWAITING, BATCHED, 0.5),
    Bar("A5+", "spawn", AWAITING, None, 40_000),
    Bar("A6", "memory", AWAITING, BATCHED, 1.2, at_most=True, key="bytes"),
    Bar("A6", "memory", IN_SQLITE, BATCHED, 1.6, at_most=True, key="bytes"),
    Bar("A6+", "memory", IN_SQLITE, None, 3072, at_most=True, key="bytes"),
    Bar("A7", "delay", IN_SQLITE, None, 20, at_most=True, key="p999_ms"),
    Bar("A7", "delay", IN_SQLITE, None, 100, at_most=True, key="worst_ms"),
)


def best(rows: Sequence[Figures], key: str) -> float | None:
    """The best round's figure: the highest rate, or the least of anything else; None if there is none."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return None
    return max(values) if key == "per_second" else min(values)


@dataclass(frozen=True)
class Verdict:
    """A bar and what was met: the ratio, or the figure if the bar is on that; None if not measured."""

    bar: Bar
    met: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None if not measured."""
        if self.met is None:
            return None
        return self.met <= self.bar.factor if self.bar.at_most else self.met >= self.bar.factor

    def __str__(self) -> str:
        bar = self.bar
        against = f" / {bar.against}" if bar.against else ""
        what = f"{bar.code:<4}{bar.measure}: {bar.ours}{against} ({bar.key})"
        sign = "≤" if bar.at_most else "≥"
        if self.met is None:
            return f"{what:<78} not measured (bar {sign} {bar.factor:g})"
        missed = abs(self.met / bar.factor - 1)
        word = "met" if self.is_met else f"MISSED by {missed:.0%}"
        return f"{what:<78} {self.met:>10,.2f} (bar {sign} {bar.factor:,g}: {word})"


def verdicts(results: Results) -> list[Verdict]:
    """Every bar on a measure that was made."""
    found: list[Verdict] = []
    for bar in BARS:
        if bar.measure not in results:
            continue
        rows = results[bar.measure]
        met = best(rows.get(bar.ours, ()), bar.key)
        if met is not None and bar.against is not None:
            other = best(rows.get(bar.against, ()), bar.key)
            met = None if other is None else met / other
        found.append(Verdict(bar, met))
    return found
