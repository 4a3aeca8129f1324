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
    """A bar and what was met: the ratio, or the figure if the bar is on that; None if not measured.

    Attributes:
        bar: Which.
        met: Of the best rounds.
        rounds: Of each round by itself, where both were measured in it: how much it varies.
    """

    bar: Bar
    met: float | None
    rounds: Sequence[float] = ()

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
        spread = f"; rounds {min(self.rounds):,.2f} to {max(self.rounds):,.2f}" if self.rounds[1:] else ""
        return f"{what:<78} {self.met:>12,.2f} (bar {sign} {bar.factor:,g}: {word}{spread})"


def verdicts(results: Results) -> list[Verdict]:
    """Every bar on a measure that was made."""
    return [_verdict(bar, results[bar.measure]) for bar in BARS if bar.measure in results]


def _verdict(bar: Bar, rows: Mapping[str, Sequence[Figures]]) -> Verdict:
    ours = rows.get(bar.ours, ())
    met, rounds = best(ours, bar.key), [row[bar.key] for row in ours if bar.key in row]
    if met is not None and bar.against is not None:
        theirs = rows.get(bar.against, ())
        other = best(theirs, bar.key)
        met = None if other is None else met / other
        rounds = [figure / row[bar.key] for figure, row in zip(rounds, theirs, strict=False)]
    return Verdict(bar, met, rounds)


def is_held(entrant: str, measure: str) -> bool:
    """Whether a bar rests on what this measure shows of this entrant."""
    return any(bar.measure == measure and entrant in {bar.ours, bar.against} for bar in BARS)
