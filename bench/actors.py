"""What actors cost beside limits written by hand and other libraries: ``python -m greenroom.bench.actors``.

Each measure of each entrant is a process of its own. They take turns, round after round, so that all meet the
same machine; the best round counts, and bars are ratios within one run. On whom no bar rests has one round.
``make bench-peers`` installs the libraries; what is not installed or does not run is named and left out.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import trio

from .peers.bars import Results, best, is_held, verdicts
from .peers.contender import Figures
from .peers.roster import MEASURES, ROSTER, Entrant

ROUNDS = 5
QUICK = 10  # a quick run has this part of the counts
QUICK_ROUNDS = 3
LONG = 100_000  # sessions of a long run, which measures the loop's delay among them, too
PATIENCE = 120.0  # seconds for one measure, ten times what the slowest takes
LONG_PATIENCE = 900.0

_FOLDER = Path(__file__).parent / "peers"


class EntrantFailedError(Exception):
    """An entrant could not be measured; the text says why."""


@dataclass(frozen=True)
class Run:
    """What is measured.

    Attributes:
        roster: Who takes part, in this order.
        measures: In this order.
        rounds: Of each measure of speed that a bar rests on.
        peers: The folder of the peers' virtual environments.
        patience: Seconds for one measure of one entrant.
    """

    roster: Sequence[Entrant]
    measures: Sequence[str]
    rounds: int
    peers: Path
    patience: float = PATIENCE


@dataclass(frozen=True)
class Measured:
    """What came of a run.

    Attributes:
        results: Figures.
        left_out: By entrant, why it has none, or none from some measure on.
    """

    results: Results
    left_out: Mapping[str, str]


async def measure(run: Run) -> Measured:
    """Measure everything, entrants taking turns.

    A library that fails, loses a message or takes longer than the run's patience is left out from then on.

    Raises:
        EntrantFailedError: The same happened to one that needs no library.
    """
    results: dict[str, dict[str, list[Figures]]] = {name: {} for name in run.measures}
    left_out = {
        entrant.name: "not installed" for entrant in run.roster if entrant.interpreter(run.peers) is None
    }
    for name in run.measures:
        for number in range(run.rounds):
            for entrant in run.roster:
                if name not in entrant.counts or (number and not _varies(entrant, name)):
                    continue
                rows = results[name].setdefault(entrant.name, [])
                python = entrant.interpreter(run.peers)
                if python is None or entrant.name in left_out:
                    continue
                try:
                    rows.append(await _once(python, entrant, name, run.patience))
                except EntrantFailedError as exc:
                    if entrant.venv is None:
                        raise
                    left_out[entrant.name] = str(exc)
    return Measured(results, left_out)


def _varies(entrant: Entrant, name: str) -> bool:
    """Whether it is worth another round: memory hardly varies, and the delays of one round are many."""
    return name not in {"memory", "delay"} and is_held(entrant.name, name)


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


def report(measured: Measured) -> dict[str, object]:
    """Every round's figures, and what was met of each bar: a ratio, a figure, or null if not measured."""
    bars = [
        {**asdict(verdict.bar), "met": verdict.met, "is_met": verdict.is_met}
        for verdict in verdicts(measured.results)
    ]
    return {"results": measured.results, "left_out": measured.left_out, "bars": bars}


def table(run: Run, measured: Measured) -> str:
    """Figures and verdicts for people."""
    found = verdicts(measured.results)
    counts = [sum(verdict.is_met is state for verdict in found) for state in (True, False, None)]
    lines = ["thousands per second (p50 µs); memory: bytes per idle actor or session; best of the rounds"]
    lines.append(f"{'':<31}" + "".join(f"{name:>17}" for name in run.measures))
    lines.extend(_rows(run, measured))
    lines.extend(str(verdict) for verdict in found)
    lines.append("bars: {} met, {} missed, {} not measured".format(*counts))
    return "\n".join(lines)


def _rows(run: Run, measured: Measured) -> Iterator[str]:
    for entrant in run.roster:
        cells = [_cell(measured.results[name].get(entrant.name, ())) for name in run.measures]
        if any(cell != "-" for cell in cells):
            yield f"{entrant.name:<31}" + "".join(f"{cell:>17}" for cell in cells)
        if (reason := measured.left_out.get(entrant.name)) is not None:
            yield f"{entrant.name:<31}  {reason}"


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
    roster = tuple(entrant for entrant in ROSTER if not options.only or entrant.name in options.only)
    measures, patience = tuple(options.measure or MEASURES), PATIENCE
    if options.quick:
        roster = tuple(_scaled(entrant, 1 / QUICK) for entrant in roster)
    elif options.long:
        roster = tuple(_lengthened(entrant) for entrant in roster)
        measures, patience = (*measures, "delay"), LONG_PATIENCE
    return Run(roster, measures, QUICK_ROUNDS if options.quick else ROUNDS, options.peers, patience)


def _scaled(entrant: Entrant, factor: float) -> Entrant:
    return replace(entrant, counts={name: int(count * factor) for name, count in entrant.counts.items()})


def _lengthened(entrant: Entrant) -> Entrant:
    if "ask" in entrant.counts:
        return entrant
    return replace(entrant, counts=dict.fromkeys(entrant.counts, LONG))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure our actors, the limits and the peers, in turns."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.bench.actors", description=main.__doc__)
    parser.add_argument("--measure", action="append", choices=MEASURES, help="only this one; may be repeated")
    names = [entrant.name for entrant in ROSTER]
    parser.add_argument("--only", action="append", choices=names, help="only this entrant; may be repeated")
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
    measured = trio.run(measure, run)
    sys.stdout.write((json.dumps(report(measured)) if options.json else table(run, measured)) + "\n")


if __name__ == "__main__":
    main()
