"""The benchmark of neighbours measures every fault, and no ack is missing; its speed is nobody's test."""

import json
import subprocess
import sys

import pytest
from greenroom.bench import neighbours

SMALL = ["--sessions", "20", "--messages", "5", "--rounds", "2"]


def test_f17_f25_every_message_beside_every_fault_is_acked(capsys: pytest.CaptureFixture[str]) -> None:
    neighbours.main([*SMALL, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["beside"], row["acks"]) for row in rows] == [
        ("nothing", 200),
        ("a session that crashes", 200),
        ("every thread taken", 200),
    ]
    assert rows[0]["ratio"] == 1
    assert all(0 < row["p50"] <= row["p99"] <= row["worst"] for row in rows)


def test_it_prints_a_table_with_a_verdict_for_each_fault(capsys: pytest.CaptureFixture[str]) -> None:
    neighbours.main(SMALL)
    head, *rows = capsys.readouterr().out.splitlines()
    assert "p99 ms" in head
    assert ["(bar 1.1: " in row for row in rows] == [False, True, True]


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "greenroom.bench.neighbours", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "usage" in finished.stdout
