"""``greenroom sessions search`` as a process, beside a running server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.processes import RunningServer, assert_refused, greenroom


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(folder) as running:
        url = running.addresses["ws"]
        said = [
            ("echo:web:ann", "Green tea, please\n"),
            ("echo:web:ann", "Only \x1b[2J water\n"),  # by a call of its own: the first is answered by then
            ("echo:app:bob", "black TEA\n"),
        ]
        for session, text in said:
            assert greenroom("chat", session, "--url", url, cwd=folder, stdin=text).returncode == 0
        yield running
        assert running.stop() == 0


def found(server: RunningServer, *arguments: str, cwd: Path) -> list[list[str]]:
    done = greenroom("sessions", "search", *arguments, "--db", str(server.db), cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_messages_are_found_by_their_words_the_newest_first(tmp_path: Path, server: RunningServer) -> None:
    rows = found(server, "tea", cwd=tmp_path)
    assert [(row[0], row[3]) for row in rows] == [
        ("echo:app:bob", "black TEA"),
        ("echo:app:bob", "black TEA"),
        ("echo:web:ann", "Green tea, please"),
        ("echo:web:ann", "Green tea, please"),
    ]
    assert [row[2] for row in found(server, "TEA green", cwd=tmp_path)] == ["2", "1"]
    assert found(server, "tea water", cwd=tmp_path) == []


@pytest.mark.parametrize(
    "option",
    [("--session", "echo:app:bob"), ("--peer", "bob"), ("--channel", "app"), ("--agent", "none")],
    ids=lambda option: option[0],
)
def test_a_search_keeps_to_the_sessions_that_are_named(
    tmp_path: Path, server: RunningServer, option: tuple[str, str]
) -> None:
    names = {row[0] for row in found(server, "tea", *option, cwd=tmp_path)}
    assert names == (set() if option[1] == "none" else {"echo:app:bob"})


def test_what_was_said_is_shown_without_control_characters(tmp_path: Path, server: RunningServer) -> None:
    (row,) = found(server, "water", "--limit", "1", cwd=tmp_path)
    assert row[3] == "Only \\x1b[2J water"


def test_hits_as_json_name_the_epoch_that_clients_see(tmp_path: Path, server: RunningServer) -> None:
    db = str(server.db)
    done = greenroom("sessions", "search", "black", "--json", "--limit", "1", "--db", db, cwd=tmp_path)
    (hit,) = map(json.loads, done.stdout.splitlines())
    shown = greenroom("sessions", "show", "echo:app:bob", "--json", "--db", db, cwd=tmp_path)
    message = json.loads(shown.stdout.splitlines()[hit["seq"]])
    assert hit == {"session": "echo:app:bob", "epoch": message["epoch"], "seq": 2, "snippet": "black TEA"}


def test_a_search_in_a_session_that_is_not_stored_exits_65(tmp_path: Path, server: RunningServer) -> None:
    command = ("sessions", "search", "tea", "--session", "no:such:one", "--db", str(server.db))
    assert_refused(greenroom(*command, cwd=tmp_path), 65, "no session no:such:one")
