"""The benchmark of live sessions wakes what sleeps, and finds every message that is lost or changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from greenroom.actors.surroundings import now
from greenroom.bench import live
from greenroom.bench.peers.contender import WrongAnswerError
from greenroom.bench.roaming import Plan, measure
from greenroom.bench.roaming_stock import Acks, LostMessageError, content, fill, peer, require_all
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.records import SessionFilter
from greenroom.runtime import Config, open_manager

ROAMING = ["--stored", "90", "--live", "30", "--operations", "300", "--callers", "4", "--probes", "10"]


def _silent(_: str) -> None:
    pass


async def _say(db: Path, session: int, *said: str) -> list[int]:
    async with open_manager(Config(db=str(db), agent="none")) as manager:
        return [(await manager.send(peer(session), text)).seq for text in said]


def test_the_stock_is_whole_and_indexed(tmp_path: Path) -> None:
    told = list[str]()
    fill(tmp_path / "g.db", 40, now(), told.append)
    store = SQLiteSessionStore(tmp_path / "g.db")
    assert len(store.list(SessionFilter())) == 40
    assert store.stats().total_messages == 80
    assert store.index_messages(1) == 0
    store.close()


def test_roaming_wakes_sleeping_sessions_within_the_limit_and_loses_nothing(tmp_path: Path) -> None:
    db = tmp_path / "g.db"
    fill(db, 90, now(), _silent)
    figures = measure(db, Plan(stored=90, live=30, operations=300, callers=4, probes=10))
    assert figures.live == (30, 30)
    assert figures.acked > 30 + 2 * 10
    for times in (figures.reads, figures.live_sends, figures.waking_sends, figures.waking_alone):
        assert 0 < times.p50 <= times.p99 <= times.worst


def test_a_message_stored_otherwise_than_acked_is_found(tmp_path: Path) -> None:
    db = tmp_path / "g.db"
    fill(db, 3, now(), _silent)
    first, second = trio.run(_say, db, 1, content(0), "something else")
    acks = Acks(2)
    acks.add(0, 1, first)
    acks.add(1, 1, second)
    with pytest.raises(LostMessageError, match="bench:roaming:peer1: expected"):
        require_all(db, 3, acks)


def test_a_lost_message_is_found(tmp_path: Path) -> None:
    db = tmp_path / "g.db"
    fill(db, 3, now(), _silent)
    acks = Acks(1)
    acks.add(0, 2, 3)
    with pytest.raises(LostMessageError, match="expected 3 messages as acked, met 2"):
        require_all(db, 3, acks)


def test_a_message_that_nobody_was_acked_is_found(tmp_path: Path) -> None:
    db = tmp_path / "g.db"
    fill(db, 3, now(), _silent)
    trio.run(_say, db, 0, "never acked")
    with pytest.raises(WrongAnswerError, match="expected 6, met 7"):
        require_all(db, 3, Acks(0))


def test_both_parts_print_a_table_with_a_verdict_for_each_bar(capsys: pytest.CaptureFixture[str]) -> None:
    live.main(["--sessions", "30", "--seconds", "1", *ROAMING])
    text = capsys.readouterr().out
    assert "30 live sessions" in text
    assert "90 stored sessions of which 30 may live" in text
    assert text.count("(bar ") == 1 + 2 + 1


def test_one_part_can_be_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    live.main(["--part", "roaming", *ROAMING, "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["idle"] is None
    assert figures["roaming"]["plan"]["operations"] == 300


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "greenroom.bench.live", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our module
    assert "--stored" in finished.stdout
