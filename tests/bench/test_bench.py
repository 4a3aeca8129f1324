"""The benchmarks run, lose nothing and report true counts; their speed is nobody's test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from greenroom.bench import sessions, startup
from greenroom.bench.server import ServerFailedError, running_server


def test_every_message_of_the_load_is_acked_and_answered(capsys: pytest.CaptureFixture[str]) -> None:
    sessions.main(["--sessions", "6", "--messages", "4", "--connections", "3", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["agent"], row["acked"], row["finished_turns"]) for row in rows] == [
        ("none", 24, 0),
        ("none", 24, 0),
        ("echo", 24, 24),
    ]


def test_the_load_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    sessions.main(["--sessions", "2", "--messages", "2"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert "acked/s" in head
    assert len(rows) == 3


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "text"])
def test_start_up_is_measured(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    startup.main(["--runs", "1", *options])
    text = capsys.readouterr().out
    assert (json.loads(text)["ready_seconds"] > 0) if options else ("serve ready" in text)


async def test_a_server_that_cannot_start_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedError, match="ready line"):
        async with running_server(tmp_path, agent="echo"):  # a folder is no database
            pytest.fail("expected no server")


@pytest.mark.parametrize("name", ["sessions", "startup"])
def test_each_benchmark_runs_as_a_module(name: str) -> None:
    command = [sys.executable, "-m", f"greenroom.bench.{name}", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "usage" in finished.stdout
