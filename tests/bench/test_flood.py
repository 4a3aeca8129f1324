"""The benchmark of a flood measures both kinds of stretches, and counts every acked message as stored."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from greenroom.bench import flood
from greenroom.bench.flood import Figures, table
from greenroom.bench.flooding import Stretch

QUIET = Stretch(
    flooded=False,
    acked=100,
    p50_ms=1.0,
    p99_ms=2.0,
    worst_ms=3.0,
    begun_p99_ms=0.5,
    flood_acked=0,
    flood_per_second=0.0,
    flood_refused=0,
)


def test_stretches_without_and_with_the_flood_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    flood.main(["--sessions", "12", "--senders", "4", "--seconds", "1", "--rounds", "1", "--json"])
    figures = json.loads(capsys.readouterr().out)
    quiet, flooded = figures["stretches"]
    assert (quiet["flooded"], flooded["flooded"]) == (False, True)
    assert (quiet["acked"], flooded["acked"]) == (12, 12)
    assert quiet["flood_acked"] == 0 < flooded["flood_acked"]
    assert 0 < quiet["p50_ms"] <= quiet["p99_ms"] <= quiet["worst_ms"]
    assert figures["growth"] == pytest.approx((flooded["p99_ms"] / quiet["p99_ms"] - 1) * 100)


@pytest.mark.parametrize(("growth", "verdict"), [(20.0, "met"), (20.1, "MISSED")])
def test_the_table_has_a_row_for_each_stretch_and_a_verdict(growth: float, verdict: str) -> None:
    stretches = (QUIET, replace(QUIET, flooded=True))
    head, _, quiet, flooded, last = table(Figures(100, 4, 1, stretches, 2.0, 2.4, growth)).splitlines()
    assert head.startswith("100 sessions")
    assert quiet.startswith("quiet")
    assert flooded.startswith("flooded")
    assert last.endswith(f"(bar +20 %: {verdict})")


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "greenroom.bench.flood", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "--senders" in finished.stdout
