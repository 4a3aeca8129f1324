"""What an operator can do wrong: one line, a documented exit code, and nothing lost or changed."""

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .caller import Caller, dial
from .processes import RunningServer, assert_refused, greenroom


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound database with a message in it, closed."""
    with RunningServer(tmp_path_factory.mktemp("good")) as server:
        with dial(server) as one:
            assert Caller(one).say("1")["result"]["seq"] == 1
        assert server.stop() == 0
        return server.db


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def drop_a_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        (name,) = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchone()
    change(file, f'DROP TABLE "{name}"')


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (lambda file: file.write_bytes(b""), 65, "is empty"),
        (
            lambda file: change(file, "PRAGMA application_id = 1196444487"),
            65,
            "belongs to another program (0x47",
        ),
        (lambda file: change(file, "PRAGMA user_version = 999"), 65, "schema 999 is newer than this program"),
        (drop_a_table, 65, ""),
        (cut_in_half, 65, ""),
        (lambda file: file.chmod(0o400), 77, "is read-only"),
    ],
    ids=["empty", "other program", "newer", "no table", "half", "read-only"],
)
def test_p8_a_file_that_cannot_serve_is_refused_and_not_a_byte_of_it_changes(
    tmp_path: Path, good: Path, spoil: Callable[[Path], None], code: int, word: str
) -> None:
    file = tmp_path / "greenroom.db"
    shutil.copy(good, file)
    spoil(file)
    before = file.read_bytes(), file.stat().st_mtime_ns
    done = greenroom("serve", "--db", str(file), "--port", "0", "--http-port", "0", cwd=tmp_path)
    assert_refused(done, code, word)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"greenroom.db", "greenroom.db.lock"}


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("missing/greenroom.db", "no such directory"),
        ("/dev/null", "not a regular file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_p36_a_place_where_no_database_can_lie_exits_74_and_nothing_is_made(
    tmp_path: Path, place: str, word: str
) -> None:
    done = greenroom("serve", "--db", place, "--port", "0", "--http-port", "0", cwd=tmp_path)
    assert_refused(done, 74, word)
    assert list(tmp_path.iterdir()) == []


def test_p6_a_second_server_exits_75_at_once_and_the_first_serves_on(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server, dial(server) as one:
        caller = Caller(one)
        caller.say("1")
        began = time.monotonic()
        done = greenroom("serve", "--db", str(server.db), "--port", "0", "--http-port", "0", cwd=tmp_path)
        spent = time.monotonic() - began
        assert_refused(done, 75, f"in use by process {server.process.pid}")
        assert spent < 4  # mostly the start of Python; a wait for SQLite's own lock would be 5 s
        assert caller.say("2")["result"]["seq"] > 1


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_p36_a_port_in_use_exits_69_and_no_database_is_made(tmp_path: Path, option: str) -> None:
    other = {"--port": "--http-port", "--http-port": "--port"}[option]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = greenroom("serve", option, port, other, "0", cwd=tmp_path)
    assert_refused(done, 69, f"address in use: 127.0.0.1:{port}")
    assert list(tmp_path.iterdir()) == []
