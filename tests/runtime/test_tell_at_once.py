"""A report from beside the event loop: written at once or not at all, and never where it does not belong."""

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import pytest
from greenroom.actors.watchdog import LoopBlocked, LoopReleased
from greenroom.runtime.observability import tell_at_once
from websockets.sync.client import connect

from .caller import Caller
from .processes import GREENROOM, PATIENCE

AGENTS = """
import time

async def blocking(turn):
    time.sleep(0.8)
    await turn.say("done")
"""
SERVE = [GREENROOM, "serve", "--db", "greenroom.db", "--port", "0", "--http-port", "0", "--json"]
RELEASED = LoopReleased("turn 1 of a:b:c", 0.8)


class Pipe:
    """A pipe; ``text`` empties it, ``fill`` has it take nothing more."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def fill(self) -> None:
        os.set_blocking(self.writer, False)
        for size in (65536, 1):
            try:
                while True:
                    os.write(self.writer, b"." * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writer, True)

    def text(self) -> str:
        pieces: list[bytes] = []
        try:
            while piece := os.read(self.reader, 65536):
                pieces.append(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces).decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reader)
    os.close(made.writer)


@contextmanager
def standard_error(descriptor: int) -> Generator[None]:
    """Have this process's standard error go there."""
    with os.fdopen(os.dup(descriptor), "w") as stream, redirect_stderr(stream):
        yield


@contextmanager
def serving(cwd: Path, command: list[str], stderr: int | None = None) -> Generator[tuple[Caller, int]]:
    """A caller of a server whose agent blocks its loop, and the server's process id; the body has it end."""
    (cwd / "blocking_agents.py").write_text(AGENTS)
    process = subprocess.Popen(  # noqa: S603  # our own program
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=stderr
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            url = json.loads(process.stdout.readline())["ws"]
        with connect(url, proxy=None, close_timeout=1) as socket:
            yield Caller(socket), process.pid
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def blocked(caller: Caller) -> str:
    """Have the loop blocked for longer than it may be; how the turn ended."""
    asked = {"session": "a:b:c", "client_id": "1", "content": "hello", "wait": "done"}
    return caller.call("message.send", **asked)["result"]["status"]


def test_f19_a_server_whose_standard_error_is_full_ends_in_time_after_its_loop_was_blocked(
    tmp_path: Path, pipe: Pipe
) -> None:
    pipe.fill()
    command = [*SERVE, "--agent", "blocking_agents:blocking"]
    with serving(tmp_path, command, pipe.writer) as (caller, process):
        assert blocked(caller) == "done"
        os.kill(process, signal.SIGTERM)


def test_f41_a_server_without_standard_error_whose_loop_was_blocked_writes_into_no_file_of_its_own(
    tmp_path: Path,
) -> None:
    command = f"exec {shlex.join([*SERVE, '--agent', 'blocking_agents:blocking'])} 2>&-"
    with serving(tmp_path, ["/bin/sh", "-c", command]) as (caller, process):
        assert blocked(caller) == "done"
        assert caller.say("1")["result"]["duplicate"] is True
        os.kill(process, signal.SIGTERM)
    with sqlite3.connect(tmp_path / "greenroom.db") as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
    database.close()
    for path in tmp_path.glob("greenroom.db*"):
        assert b"LoopBlocked" not in path.read_bytes()


def test_f41_a_process_without_standard_error_writes_nothing_to_whatever_has_its_descriptor(
    tmp_path: Path,
) -> None:
    script = """
from greenroom.actors.watchdog import LoopReleased
from greenroom.runtime.observability import tell_at_once

with open("victim", "wb", buffering=0) as victim:
    assert victim.fileno() == 2
    tell_at_once(LoopReleased("turn 1 of a:b:c", 0.8))
"""
    (tmp_path / "script.py").write_text(script)
    command = f"exec {shlex.quote(sys.executable)} script.py 2>&-"
    ran = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, timeout=PATIENCE, check=False)  # noqa: S603  # ours
    assert ran.returncode == 0
    assert (tmp_path / "victim").read_bytes() == b""


def test_a_report_is_one_line_of_json(pipe: Pipe) -> None:
    with standard_error(pipe.writer):
        tell_at_once(RELEASED)
        tell_at_once(LoopBlocked("a\nb", "where", ("caller",), 0.3))
    lines = [json.loads(line) for line in pipe.text().splitlines()]
    assert lines == [
        {"event": "LoopReleased", "who": "turn 1 of a:b:c", "seconds": 0.8},
        {
            "event": "LoopBlocked", "who": "a\nb", "where": "where", "callers": ["caller"],
            "seconds": 0.3, "unreported": 0,
        },
    ]  # fmt: skip


def test_a_report_that_standard_error_does_not_take_now_is_left_out(pipe: Pipe) -> None:
    pipe.fill()
    with standard_error(pipe.writer):
        teller = threading.Thread(target=tell_at_once, args=(RELEASED,), daemon=True)
        teller.start()
        teller.join(3)
        was_waiting = teller.is_alive()
        assert set(pipe.text()) == {"."}  # and whoever waited for that goes on
        teller.join(PATIENCE)
        assert not was_waiting
        assert pipe.text() == ""
        tell_at_once(RELEASED)
    assert "LoopReleased" in pipe.text()


def test_a_report_to_a_standard_error_that_was_closed_is_left_out(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        pass
    with redirect_stderr(stream):
        tell_at_once(RELEASED)
    assert (tmp_path / "stderr").read_bytes() == b""


def test_a_report_to_a_pipe_that_nobody_reads_any_more_is_left_out() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with standard_error(writer):
        tell_at_once(RELEASED)
    os.close(writer)
