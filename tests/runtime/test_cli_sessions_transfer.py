"""``greenroom sessions export`` and ``import`` as processes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from greenroom.persistence import InMemorySessionStore, SQLiteSessionStore
from greenroom.persistence.records import SessionFilter

from tests.persistence import hand
from tests.runtime.processes import GREENROOM, PATIENCE, RunningServer, assert_refused, greenroom
from tests.runtime.stored_sessions import exported, put, untagged


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(folder) as running:
        url = running.addresses["ws"]
        for session in ("echo:web:ann", "echo:web:bob"):
            greenroom("chat", session, "--url", url, cwd=folder, stdin="tea 😀 \x9b\n")
        yield running
        assert running.stop() == 0


def export(server: RunningServer, *arguments: str, cwd: Path) -> bytes:
    """What an export writes to standard output, in the encoding of an old terminal."""
    command = [GREENROOM, "sessions", "export", *arguments, "--db", str(server.db)]
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(  # noqa: S603  # our own program
        command, cwd=cwd, env=env, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def peers(place: Path) -> list[str]:
    store = SQLiteSessionStore(place, readonly=True)
    found = sorted(facts.id.peer_id for facts in store.list(SessionFilter()))
    store.close()
    return found


def test_sessions_travel_from_a_running_server_into_another_database(
    tmp_path: Path, server: RunningServer
) -> None:
    raw = export(server, "--all", cwd=tmp_path)
    done = greenroom("sessions", "import", "-", cwd=tmp_path, stdin=raw.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "imported 2 sessions\n", "")
    again = greenroom("sessions", "export", "--all", cwd=tmp_path)
    assert untagged(again.stdout.encode().splitlines()) == untagged(raw.splitlines())
    shown = greenroom("sessions", "show", "echo:web:bob", cwd=tmp_path)
    assert shown.stdout.count("tea 😀 \\x9b") == 2


def test_sessions_that_are_named_are_exported_once_each(tmp_path: Path, server: RunningServer) -> None:
    lines = export(server, "echo:web:bob", "echo:web:bob", cwd=tmp_path).splitlines()
    assert [json.loads(line)["id"] for line in lines if b'"session"' in line] == ["echo:web:bob"]


def test_an_export_goes_to_a_new_file_that_only_its_owner_may_read(
    tmp_path: Path, server: RunningServer
) -> None:
    command = ("sessions", "export", "echo:web:ann", "--db", str(server.db), "--output", "ann.jsonl")
    done = greenroom(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "exported 1 session to ann.jsonl\n", "")
    file = tmp_path / "ann.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == export(server, "echo:web:ann", cwd=tmp_path)
    file.write_text("mine")
    assert_refused(greenroom(*command, cwd=tmp_path), 2, "expected a new file", "ann.jsonl", "--force")
    assert file.read_text() == "mine"
    assert greenroom(*command, "--force", cwd=tmp_path).returncode == 0
    assert file.read_bytes() == export(server, "echo:web:ann", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ann.jsonl"]


@pytest.mark.parametrize("end", ["", "-wal", ".lock"])
def test_an_export_does_not_replace_the_database_it_reads(
    tmp_path: Path, server: RunningServer, end: str
) -> None:
    output = f"{server.db}{end}"
    command = ("sessions", "export", "--all", "--db", str(server.db), "--output", output, "--force")
    assert_refused(greenroom(*command, cwd=tmp_path), 2, "which is part of it")


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        (".", 2, "it is no file"),
        ("/dev/null", 2, "it is no file"),
        ("none/x.jsonl", 74, "No such file or directory"),
    ],
)
def test_an_export_to_where_no_file_can_be_is_refused(
    tmp_path: Path, server: RunningServer, output: str, code: int, words: str
) -> None:
    command = ("sessions", "export", "--all", "--db", str(server.db), "--output", output, "--force")
    assert_refused(greenroom(*command, cwd=tmp_path), code, words)
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_a_session_that_is_not_stored_writes_nothing(
    tmp_path: Path, server: RunningServer
) -> None:
    command = ("sessions", "export", "echo:web:ann", "no:such:one", "--db", str(server.db))
    done = greenroom(*command, cwd=tmp_path)
    assert_refused(done, 65, "no session no:such:one")
    assert done.stdout == ""


def test_an_export_that_meets_damage_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    store = SQLiteSessionStore(tmp_path / "greenroom.db")
    hand.write(store, hand.facts(), "hello there")
    store.close()
    place = tmp_path / "greenroom.db"
    place.write_bytes(place.read_bytes().replace(b"hello there", b"hello where"))
    before = sorted(tmp_path.iterdir())
    done = greenroom("sessions", "export", "--all", "--output", "all.jsonl", cwd=tmp_path)
    assert_refused(done, 65, "echo:web:ann: damaged")
    assert [path for path in sorted(tmp_path.iterdir()) if "greenroom.db" not in path.name] == []
    assert set(before) <= set(tmp_path.iterdir())


def test_an_export_of_all_says_how_many_sessions_it_could_not_read(tmp_path: Path) -> None:
    store = SQLiteSessionStore(tmp_path / "greenroom.db")
    hand.write(store, hand.facts("ann", tags=("a tag of hers",)))
    hand.write(store, hand.facts("bob"))
    store.close()
    place = tmp_path / "greenroom.db"
    place.write_bytes(place.read_bytes().replace(b'["a tag of hers"]', b'["a tag of hers",'))
    done = greenroom("sessions", "export", "--all", cwd=tmp_path)
    assert [json.loads(line).get("id") for line in done.stdout.splitlines()] == [None, "echo:web:bob", None]
    assert "exported 1 of 2 sessions" in done.stderr


def test_p6_an_import_into_the_database_of_a_running_server_exits_75(
    tmp_path: Path, server: RunningServer
) -> None:
    file = tmp_path / "all.jsonl"
    file.write_bytes(export(server, "--all", cwd=tmp_path))
    done = greenroom("sessions", "import", str(file), "--db", str(server.db), cwd=tmp_path)
    assert_refused(done, 75, "in use", str(server.process.pid))


def test_an_import_that_is_refused_leaves_the_database_as_it_was(
    tmp_path: Path, server: RunningServer
) -> None:
    file = tmp_path / "all.jsonl"
    raw = export(server, "--all", cwd=tmp_path)
    SQLiteSessionStore(tmp_path / "greenroom.db").close()
    file.write_bytes(raw.replace(b"tea", b"tee", 1))
    assert_refused(greenroom("sessions", "import", "all.jsonl", cwd=tmp_path), 65, "line 2: ", "damaged")
    file.write_bytes(raw[:-20])
    assert_refused(greenroom("sessions", "import", "all.jsonl", cwd=tmp_path), 65, "it was cut off")
    assert peers(tmp_path / "greenroom.db") == []
    file.write_bytes(raw)
    assert greenroom("sessions", "import", "all.jsonl", cwd=tmp_path).returncode == 0
    done = greenroom("sessions", "import", "all.jsonl", cwd=tmp_path)
    assert_refused(done, 65, "line 2: ", "expected a new session, met a stored one")
    assert peers(tmp_path / "greenroom.db") == ["ann", "bob"]


@pytest.mark.parametrize("wrong", ["the first line", "a session", "the end"])
def test_an_import_that_is_refused_leaves_no_new_database_behind(
    tmp_path: Path, server: RunningServer, wrong: str
) -> None:
    raw = export(server, "--all", cwd=tmp_path)
    file = {
        "the first line": b"hello\n" + raw,
        "a session": raw.replace(b"tea", b"tee", 1),
        "the end": raw[:-20],
    }[wrong]
    (tmp_path / "all.jsonl").write_bytes(file)
    assert_refused(greenroom("sessions", "import", "all.jsonl", cwd=tmp_path), 65, "line ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "greenroom.db.lock"]
    assert_refused(greenroom("sessions", "list", cwd=tmp_path), 74, "no database")
    (tmp_path / "all.jsonl").write_bytes(raw)
    assert greenroom("sessions", "import", "all.jsonl", cwd=tmp_path).returncode == 0
    assert peers(tmp_path / "greenroom.db") == ["ann", "bob"]


def test_a_large_import_that_is_refused_leaves_nothing_of_its_log_behind(tmp_path: Path) -> None:
    source = InMemorySessionStore()
    for number in range(100):
        text = f"{number} " * 20000  # together more than SQLite's cache holds
        put(source, [(hand.facts(f"p{number}", at=hand.NOW + number, head_seq=1), (hand.entry(1, text),))])
    (tmp_path / "all.jsonl").write_bytes(b"".join(exported(source)[:-1]))
    assert_refused(greenroom("sessions", "import", "all.jsonl", cwd=tmp_path), 65, "expected the end line")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "greenroom.db.lock"]


def test_p8_an_import_of_a_missing_file_exits_74_and_creates_no_database(tmp_path: Path) -> None:
    done = greenroom("sessions", "import", "none.jsonl", cwd=tmp_path)
    assert_refused(done, 74, "none.jsonl: No such file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", [0.6, 0.8, 1.0])
def test_f1_an_import_that_is_killed_leaves_none_of_its_sessions(tmp_path: Path, part: float) -> None:
    source = InMemorySessionStore()
    many = 300
    for number in range(many):
        text = f"{number} " * 5000  # more than SQLite's cache and any pipe hold
        put(source, [(hand.facts(f"p{number:03}", at=hand.NOW + number, head_seq=1), (hand.entry(1, text),))])
    lines = exported(source)
    place = tmp_path / "greenroom.db"
    process = subprocess.Popen(  # noqa: S603  # our own program
        [GREENROOM, "sessions", "import", "-"], cwd=tmp_path, stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    # It has read all but what a pipe holds when this is written, and it waits for more: the end is missing.
    process.stdin.write(b"".join(lines[: int((len(lines) - 1) * part)]))
    process.stdin.flush()
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)
    process.stdin.close()
    assert Path(f"{place}-wal").stat().st_size > 0
    assert peers(place) == []
    (tmp_path / "all.jsonl").write_bytes(b"".join(lines))
    done = greenroom("sessions", "import", "all.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"imported {many} sessions\n")
    assert len(peers(place)) == many
