"""The benchmark of actors loses no message, names what is not installed, and holds figures to their bars."""

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from greenroom.bench import actors
from greenroom.bench.actors import EntrantFailedError, Run, measure, plan, table
from greenroom.bench.peers import our_actors, trio_channel, trio_deque
from greenroom.bench.peers.bars import BARS, Results, verdicts
from greenroom.bench.peers.contender import Contender, WrongAnswerError, check
from greenroom.bench.peers.our_sessions import Sessions, in_memory, in_sqlite
from greenroom.bench.peers.plain_call import PlainCall
from greenroom.bench.peers.roster import AWAITING, BATCHED, MEASURES, ROSTER, XOSCAR, Entrant
from greenroom.persistence import InMemorySessionStore

SMALL = {"ask": 100, "tell": 400, "fan_in": 2000, "fan_out": 1000, "spawn": 20, "memory": 20}
PEERS = Path(actors.__file__).parent / "peers"


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "contender",
    [our_actors.awaiting(), our_actors.inline(), PlainCall(), trio_deque.batched(), trio_channel.tutorial()],
    ids=["awaiting", "inline", "plain", "deque", "channel"],
)
def test_every_measure_of_ours_and_of_the_limits_loses_nothing(contender: Contender, name: str) -> None:
    figures = getattr(contender, name)(SMALL[name])
    assert figures.get("per_second", 1) > 0
    assert ("p50_us" in figures) == (name == "ask")
    assert ("bytes" in figures) == (name == "memory")


def test_sessions_are_measured_on_both_stores() -> None:
    assert set(in_memory().memory(10)) == set(in_sqlite().memory(10)) == {"bytes"}


def test_the_delay_of_the_loop_is_measured_while_sessions_chat() -> None:
    figures = Sessions(InMemorySessionStore, chat_seconds=1).delay(10)
    assert 0 <= figures["p50_ms"] <= figures["p999_ms"] <= figures["worst_ms"]


def test_a_contender_that_loses_a_message_has_no_figures() -> None:
    with pytest.raises(WrongAnswerError, match="expected 2, met 1"):
        check(2, 1)


def test_a_contender_runs_on_an_interpreter_without_greenroom() -> None:
    alone = [sys.executable, "-S", str(PEERS), "plain_call:PlainCall", "ask", "100"]
    asyncio = [sys.executable, "-S", str(PEERS), "asyncio_queue:AsyncioQueue", "tell", "400"]
    for command in (alone, asyncio):
        finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
        assert json.loads(finished.stdout)["per_second"] > 0


def _entrant(name: str) -> Entrant:
    return next(entrant for entrant in ROSTER if entrant.name == name)


def _run(*roster: Entrant, peers: Path) -> Run:
    return Run([replace(entrant, counts=SMALL) for entrant in roster], ("ask", "memory"), 2, peers)


async def test_entrants_take_turns_and_what_is_not_installed_is_named(tmp_path: Path) -> None:
    plain = next(entrant for entrant in ROSTER if entrant.made == "plain_call:PlainCall")
    xoscar, batched = _entrant(XOSCAR), _entrant(BATCHED)
    run = _run(plain, batched, xoscar, peers=tmp_path)
    measured = await measure(run)
    assert len(measured.results["ask"][BATCHED]) == 2
    assert len(measured.results["memory"][BATCHED]) == 1
    assert len(measured.results["ask"][plain.name]) == 1  # no bar rests on it
    assert measured.results["ask"][XOSCAR] == []
    assert measured.left_out == {XOSCAR: "not installed"}
    lines = table(run, measured).splitlines()
    assert f"{XOSCAR:<31}  not installed" in lines
    assert sum(BATCHED in line and "bar" not in line for line in lines) == 1
    assert lines[-1] == "bars: 0 met, 0 missed, 8 not measured"


async def test_an_entrant_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    broken = Entrant("broken", "no_such_file:thing", {})
    with pytest.raises(EntrantFailedError, match=r"broken, ask: expected figures, met .*no_such_file"):
        await measure(_run(broken, peers=tmp_path))


async def test_a_library_that_does_not_run_is_named_and_left_out(tmp_path: Path) -> None:
    python = tmp_path / "xoscar" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)  # which has no xoscar
    run = _run(_entrant(XOSCAR), peers=tmp_path)
    measured = await measure(run)
    assert measured.results == {"ask": {XOSCAR: []}, "memory": {XOSCAR: []}}
    assert "xoscar, ask: expected figures, met ModuleNotFoundError" in measured.left_out[XOSCAR]
    assert measured.left_out[XOSCAR] in table(run, measured)


async def test_an_entrant_that_takes_too_long_is_reported(tmp_path: Path) -> None:
    run = replace(_run(ROSTER[0], peers=tmp_path), patience=0)
    with pytest.raises(EntrantFailedError, match="within 0 s, met none"):
        await measure(run)


def test_a_bar_is_met_missed_or_not_measured_and_best_rounds_count() -> None:
    slow, fast = {"per_second": 70.0, "p50_us": 1.0}, {"per_second": 80.0, "p50_us": 2.0}
    results: Results = {"ask": {AWAITING: [slow, fast], BATCHED: [{"per_second": 100.0}], XOSCAR: []}}
    to_batched, to_xoscar, *_ = verdicts(results)
    assert (to_batched.met, to_batched.is_met) == (0.8, False)
    assert to_batched.rounds == [0.7]  # the second round has nothing to compare with
    assert str(to_batched).endswith("0.80 (bar ≥ 0.9: MISSED by 11%)")
    assert (to_xoscar.met, to_xoscar.is_met) == (None, None)
    assert str(to_xoscar).endswith("not measured (bar ≥ 4)")


def test_a_verdict_tells_how_much_the_rounds_vary() -> None:
    ours, theirs = [70.0, 80.0], [100.0, 50.0]
    results: Results = {
        "ask": {
            AWAITING: [{"per_second": figure} for figure in ours],
            BATCHED: [{"per_second": figure} for figure in theirs],
        }
    }
    to_batched, *_ = verdicts(results)
    assert str(to_batched).endswith("0.80 (bar ≥ 0.9: MISSED by 11%; rounds 0.70 to 1.60)")


def test_a_bar_on_memory_is_met_from_below() -> None:
    results: Results = {"memory": {AWAITING: [{"bytes": 110.0}], BATCHED: [{"bytes": 100.0}]}}
    to_batched, *_ = verdicts(results)
    assert to_batched.met == pytest.approx(1.1)
    assert to_batched.is_met


def test_every_bar_is_on_an_entrant_that_is_measured_so() -> None:
    entrants = {entrant.name: entrant for entrant in ROSTER}
    for bar in BARS:
        for name in (bar.ours, bar.against or bar.ours):
            assert bar.measure in entrants[name].counts


def test_a_quick_run_reports_every_round_and_every_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--only", AWAITING, "--only", XOSCAR]
    actors.main(["--quick", "--measure", "spawn", *only, "--peers", str(tmp_path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [figures["per_second"] > 0 for figures in report["results"]["spawn"][AWAITING]] == [True] * 3
    assert report["left_out"] == {XOSCAR: "not installed"}
    assert [bar["is_met"] is None for bar in report["bars"]] == [True, True, False]  # two have no other side


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "greenroom.bench.actors", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "--quick" in finished.stdout


def test_a_long_run_has_100_000_sessions_and_measures_the_delay_of_the_loop(tmp_path: Path) -> None:
    run = plan(Namespace(quick=False, long=True, measure=None, only=None, peers=tmp_path))
    assert run.measures == (*MEASURES, "delay")
    assert {entrant.counts["delay"] for entrant in run.roster if "delay" in entrant.counts} == {100_000}
