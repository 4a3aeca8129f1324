"""The benchmark of stored sessions measures what it says, on as many sessions as it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from greenroom.actors.surroundings import now
from greenroom.bench import stored
from greenroom.bench.stock import AGENTS, CHANNELS, DAY, fill
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.records import SessionFilter, SessionState

SMALL = ["--sessions", "300", "--overdue", "20", "--runs", "5"]


def test_the_stock_holds_every_state_agent_and_channel_and_the_overdue(tmp_path: Path) -> None:
    path, at = tmp_path / "g.db", now()
    fill(path, 280, 20, at)
    store = SQLiteSessionStore(path, readonly=True)
    rows = store.list(SessionFilter())
    assert len(rows) == 300
    assert {row.id.agent_id for row in rows} == set(AGENTS)
    assert {row.id.channel_id for row in rows} == set(CHANNELS[:4])
    assert {row.state for row in rows} == set(SessionState) - {SessionState.COMPACTING}
    assert len(store.due(SessionState.ACTIVE, at - 30 * DAY, 99)) == 20
    assert len(store.search("message", SessionFilter(), None, 999)) == 4 * 30
    assert store.stats().total_messages == 4 * 30
    store.close()


def test_what_stored_sessions_cost_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    stored.main([*SMALL, "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["sessions"], figures["archived"]) == (300, 20)
    assert len(figures["lists"]) == 8
    assert all(times["p50"] > 0 for times in (*figures["lists"].values(), figures["cleaning"]))


def test_it_prints_a_table_with_a_verdict_for_each_bar(capsys: pytest.CaptureFixture[str]) -> None:
    stored.main(SMALL)
    text = capsys.readouterr().out
    assert "300 stored sessions" in text
    assert text.count("(bar ") == 1 + 8 + 1 + 1


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "greenroom.bench.stored", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "usage" in finished.stdout
