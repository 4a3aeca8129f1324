"""``greenroom sessions`` as a process, beside a running server."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore

from tests.persistence import hand
from tests.runtime.processes import GREENROOM, RunningServer, assert_refused, greenroom


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def test_sessions_are_listed_beside_a_running_server(tmp_path: Path, server: RunningServer) -> None:
    db = str(server.db)
    for session in ("echo:list:ann", "echo:list:bob:thread%3A1"):
        greenroom("chat", session, "--url", server.addresses["ws"], cwd=tmp_path, stdin="hi\n")
    done = greenroom("sessions", "list", "--db", db, "--channel", "list", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        ["echo:list:bob:thread%3A1", "active", "2"],
        ["echo:list:ann", "active", "2"],
    ]
    done = greenroom(
        "sessions", "list", "--db", db, "--peer", "ann", "--channel", "list", "--json", cwd=tmp_path
    )
    (info,) = map(json.loads, done.stdout.splitlines())
    assert (info["id"], info["agent_id"], info["state"]) == ("echo:list:ann", "echo", "active")
    done = greenroom("sessions", "list", "--state", "archived", cwd=tmp_path, env={"GREENROOM_DB": db})
    assert (done.returncode, done.stdout) == (0, "")


def test_a_list_can_begin_later_and_keep_to_times_of_creation(tmp_path: Path) -> None:
    store = SQLiteSessionStore(tmp_path / "greenroom.db")
    hour = 3_600_000_000  # microseconds
    for number, peer in enumerate(("ann", "bob", "cy")):
        hand.write(store, hand.facts(peer, at=hand.NOW + number * hour))
    store.close()

    def listed(*options: str) -> list[str]:
        done = greenroom("sessions", "list", *options, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t")[0].rpartition(":")[2] for line in done.stdout.splitlines()]

    assert listed("--offset", "1", "--limit", "1") == ["bob"]
    assert listed("--offset", "3") == []
    # Both are exclusive, and a time may be told in any zone.
    assert listed("--created-after", "2027-01-15T08:00:00Z") == ["cy", "bob"]
    assert listed("--created-before", "2027-01-15T11:00:00.000001+01:00") == ["cy", "bob", "ann"]
    assert listed("--created-before", "2027-01-15T11:00:00+01:00") == ["bob", "ann"]


def test_on_a_terminal_sessions_are_a_table(tmp_path: Path, server: RunningServer) -> None:
    url = server.addresses["ws"]
    greenroom("chat", "echo:table:ann", "--url", url, cwd=tmp_path, stdin="hi\n")
    reading, terminal = pty.openpty()
    done = subprocess.run(  # noqa: S603  # our own program
        [GREENROOM, "sessions", "list", "--channel", "table", "--db", str(server.db)],
        cwd=tmp_path,
        stdout=terminal,
        check=False,
    )
    shown = os.read(reading, 65536).decode()
    os.close(reading)
    os.close(terminal)
    assert done.returncode == 0
    assert "last active" in shown
    assert "echo:table:ann" in shown


def test_one_session_is_shown_with_its_messages(tmp_path: Path, server: RunningServer) -> None:
    show = ("sessions", "show", "echo:show:ann", "--db", str(server.db))
    url = server.addresses["ws"]
    greenroom("chat", "echo:show:ann", "--url", url, cwd=tmp_path, stdin="one\ntwo \x1b[2J\n")
    done = greenroom(*show, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "id: echo:show:ann\n" in done.stdout
    assert "\x1b" not in done.stdout
    done = greenroom(*show, "--json", "--limit", "3", cwd=tmp_path)
    info, *messages = map(json.loads, done.stdout.splitlines())
    assert info["message_count"] == 4
    said = [(message["role"], message["content"]) for message in messages]
    assert said == [("assistant", "one"), ("user", "two \x1b[2J"), ("assistant", "two \x1b[2J")]


def test_a_session_that_is_not_stored_exits_65(tmp_path: Path, server: RunningServer) -> None:
    done = greenroom("sessions", "show", "no:such:session", "--db", str(server.db), cwd=tmp_path)
    assert_refused(done, 65, "no session no:such:session")


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "a:b:c"],
        ["search", "tea"],
        ["export", "--all"],
        ["archive", "a:b:c"],
        ["delete", "a:b:c", "--yes"],
    ],
)
def test_p8_looking_for_a_missing_database_exits_74_and_creates_none(
    tmp_path: Path, command: list[str]
) -> None:
    done = greenroom("sessions", *command, "--db", "none.db", cwd=tmp_path)
    assert_refused(done, 74, "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_exits_74_without_a_word(tmp_path: Path, server: RunningServer) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603  # our own program
        [GREENROOM, "sessions", "list", "--json", "--db", str(server.db)],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (74, b"")


def test_a_full_disk_under_the_output_exits_74(tmp_path: Path, server: RunningServer) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603  # our own program
            [GREENROOM, "sessions", "list", "--json", "--db", str(server.db)],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert_refused(done, 74, "No space left")
