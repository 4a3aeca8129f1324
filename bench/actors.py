"""What actors cost beside limits written by hand and other libraries: ``python -m greenroom.bench.actors``.

Each measure of each entrant is a process of its own. They take turns, round after round, so that all meet the
same machine; the best round counts, and bars are ratios within one run. ``make bench-peers`` installs the
libraries; what is not installed is named and left out.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import trio

from .peers.bars import Results, best, verdicts
from .peers.contender import Figures
from .peers.roster import MEASURES, ROSTER, Entrant

ROUNDS = 5
QUICK = 10  # a quick run has this part of the counts
QUICK_ROUNDS = 3
LONG = 5  # a long run has so many times the sessions, 100,000, and measures the loop's delay among them
PATIENCE = 600.0  # seconds for one measure

_FOLDER = Path(__file__).parent / "peers"


class EntrantFailedError(Exception):
    """An entrant is installed and could not be measured; the text says why."""


@dataclass(frozen=True)
class Run:
    """What is measured.

    Attributes:
        roster: Who takes part, in this order.
        measures: In this order.
        rounds: Of each measure of speed.
        peers: The folder of the peers' virtual environments.
        patience: Seconds for one measure of one entrant.
    """

    roster: Sequence[Entrant]
    measures: Sequence[str]
    rounds: int
    peers: Path
    patience: float = PATIENCE


async def measure(run: Run) -> Results:
    """Measure everything, entrants taking turns.

    Raises:
        EntrantFailedError: One failed, lost a message, or took longer than the run's patience.
    """
    results: dict[str, dict[str, list[Figures]]] = {name: {} for name in run.measures}
    for name in run.measures:
        rounds = 1 if name in {"memory", "delay"} else run.rounds  # memory hardly varies, delays are many
        for _ in range(rounds):
            for entrant in run.roster:
                if name not in entrant.counts:
                    continue
                rows = results[name].setdefault(entrant.name, [])
                if (python := entrant.interpreter(run.peers)) is not None:
                    rows.append(await _once(python, entrant, name, run.patience))
    return results


async def _once(python: str, entrant: Entrant, name: str, patience: float) -> Figures:
    package = ["-m", f"{__package__}.peers"] if entrant.venv is None else [str(_FOLDER)]
    command = [python, *package, entrant.made, name, str(entrant.counts[name])]
    with trio.move_on_after(patience):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EntrantFailedError(
            f"{entrant.name}, {name}: expected figures, met {' '.join(said) or 'nothing'}"
        )
    raise EntrantFailedError(f"{entrant.name}, {name}: expected figures within {patience:.0f} s, met none")


def report(results: Results) -> dict[str, object]:
    """Every round's figures, and what was met of each bar: a ratio, a figure, or null if not measured."""
    return {
        "results": results,
        "bars": [{**asdict(verdict.bar), "met": verdict.met} for verdict in verdicts(results)],
    }


def table(run: Run, results: Results) -> str:
    """Figures and verdicts for people."""
    lines = ["thousands per second (p50 µs); memory: bytes per idle actor or session; best of the rounds"]
    lines.append(f"{'':<31}" + "".join(f"{name:>17}" for name in run.measures))
    lines.extend(_rows(run, results))
    lines.extend(str(verdict) for verdict in verdicts(results))
    return "\n".join(lines)


def _rows(run: Run, results: Results) -> Iterator[str]:
    for entrant in run.roster:
        if entrant.interpreter(run.peers) is None:
            yield f"{entrant.name:<31}  not installed"
        else:
            cells = (_cell(results[name].get(entrant.name, ())) for name in run.measures)
            yield f"{entrant.name:<31}" + "".join(f"{cell:>17}" for cell in cells)


def _cell(rows: Sequence[Figures]) -> str:
    if (late := best(rows, "p999_ms")) is not None:
        return f"p99.9 {late:.0f} ms"
    if (size := best(rows, "bytes")) is not None:
        return f"{size:,.0f} B"
    rate, median = best(rows, "per_second"), best(rows, "p50_us")
    if rate is None:
        return "-"
    return f"{rate / 1000:,.1f}" + (f" ({median:.2f})" if median is not None else "")


def plan(options: argparse.Namespace) -> Run:
    """The run that a command line asks for."""
    roster, measures = ROSTER, tuple(options.measure or MEASURES)
    if options.quick:
        roster = tuple(_scaled(entrant, 1 / QUICK) for entrant in roster)
    elif options.long:
        roster = tuple(_lengthened(entrant) for entrant in roster)
        measures = (*measures, "delay")
    return Run(roster, measures, QUICK_ROUNDS if options.quick else ROUNDS, options.peers)


def _scaled(entrant: Entrant, factor: float) -> Entrant:
    return replace(entrant, counts={name: int(count * factor) for name, count in entrant.counts.items()})


def _lengthened(entrant: Entrant) -> Entrant:
    if "ask" in entrant.counts:
        return entrant
    return replace(entrant, counts={name: count * LONG for name, count in entrant.counts.items()})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure our actors, the limits and the peers, in turns."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.actors", description=main.__doc__)
    parser.add_argument("--measure", action="append", choices=MEASURES, help="only this one; may be repeated")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="a tenth of it, in three rounds")
    how_much.add_argument(
        "--long", action="store_true", help="100,000 sessions, and the loop's delay with them"
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(sys.prefix) / "peers",
        help="where the peers are installed, each in a virtual environment of its own (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="every round's figures as one JSON object")
    options = parser.parse_args(arguments)
    run = plan(options)
    results = trio.run(measure, run)
    sys.stdout.write((json.dumps(report(results)) if options.json else table(run, results)) + "\n")


if __name__ == "__main__":
    main()
