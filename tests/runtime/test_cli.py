"""The command line as a user meets it: real processes, exit codes, one line on standard error."""

import json
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE = 30  # seconds; a loaded machine is no failure


def greenroom(
    *arguments: str | bytes, cwd: Path, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [GREENROOM, *arguments],
        cwd=cwd,
        input=stdin,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class RunningServer:
    """A ``greenroom serve`` on free ports; as a context it is killed at the latest at the end."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.db = cwd / "greenroom.db"
        command = [GREENROOM, "serve", "--db", str(self.db), "--port", "0", "--http-port", "0", "--json"]
        arguments = (*command, *arguments)
        self.process = subprocess.Popen(  # noqa: S603  # our own program
            arguments, cwd=cwd, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        self.addresses = json.loads(self.first_line)
        self.port = int(self.addresses["ws"].removesuffix("/v1").rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("greenroom: ")
    for word in words:
        assert word in lines[0]


def test_u1_help_takes_at_most_400_ms_of_processor_time(tmp_path: Path) -> None:
    """Not of wall time: a loaded machine would decide that."""
    spent: list[float] = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = greenroom("--help", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0
        assert "serve" in done.stdout
    assert min(spent) <= 0.4


def test_help_imports_no_event_loop_no_database_and_no_socket_library(tmp_path: Path) -> None:
    script = "import sys\nfrom greenroom.runtime import cli\ncli.run(['--help'])\nprint(*sys.modules)"
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"trio", "sqlite3", "sqlite_utils", "trio_websocket", "tiktoken", "hypercorn"}


def test_version_is_the_installed_one(tmp_path: Path) -> None:
    done = greenroom("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sreve"], ["Did you mean", "serve"]),
        (["sessions", "lits"], ["Did you mean", "list"]),
        (["serve", "--prot", "1"], ["--prot", "Did you mean", "--port"]),
        (["serve", "--port"], ["--port", "requires an argument"]),
        (["serve", "surplus"], ["surplus"]),
        (["serve", "--json=maybe"], ["--json"]),
        (["sessions", "list", "--limit", "0"], ["--limit"]),
        (["sessions", "list", "--limit", "many"], ["--limit"]),
        (["sessions", "list", "--state", "gone"], ["--state"]),
        (["sessions", "show"], ["SESSION"]),
        (["sessions", "show", "a:b"], ["agent:channel:peer"]),
        (["chat", "a:b:"], ["session id"]),
        (["chat", "a:b:c", "d"], ["d"]),
    ],
)
def test_p36_a_command_line_that_cannot_be_followed_exits_2(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(greenroom(*arguments, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], ["port: expected 0..65535, met 70000"]),
        (["--port", "x"], ["port: expected 0..65535, met x"]),
        (["--agent", "llm"], ["llm agent is not in this version"]),
        (["--agent", "no_such_module:f"], ["no_such_module"]),
        (["--host", "0.0.0.0"], ["--insecure-bind"]),  # noqa: S104  # refused
        (["--host", "203.0.113.7", "--insecure-bind"], ["203.0.113.7"]),
        (["--config", "none.toml"], ["none.toml"]),
    ],
)
def test_p36_a_setting_that_cannot_be_used_exits_78(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(greenroom("serve", *arguments, cwd=tmp_path), 78, *words)
    assert list(tmp_path.iterdir()) == []


def test_p36_a_port_in_use_exits_69(tmp_path: Path, server: RunningServer) -> None:
    done = greenroom("serve", "--port", str(server.port), "--http-port", "0", cwd=tmp_path)
    assert_refused(done, 69, f"address in use: 127.0.0.1:{server.port}")


def test_p6_a_database_in_use_exits_75_and_its_server_goes_on(tmp_path: Path, server: RunningServer) -> None:
    done = greenroom("serve", "--db", str(server.db), "--port", "0", "--http-port", "0", cwd=tmp_path)
    assert_refused(done, 75, "in use", str(server.process.pid))
    assert server.process.poll() is None


def test_p8_a_file_that_is_no_database_exits_65_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n" * 1000)
    done = greenroom("serve", "--db", str(file), "--port", "0", "--http-port", "0", cwd=tmp_path)
    assert_refused(done, 65, str(file))
    assert file.read_text() == "my notes\n" * 1000


def test_p36_a_directory_for_a_database_exits_74(tmp_path: Path) -> None:
    done = greenroom("serve", "--db", ".", "--port", "0", "--http-port", "0", cwd=tmp_path)
    assert_refused(done, 74, "directory")


def test_the_first_line_with_json_names_both_addresses(server: RunningServer) -> None:
    ws, http = server.addresses["ws"], server.addresses["http"]
    assert server.first_line == f'{{"event":"listening","ws":"{ws}","http":"{http}"}}\n'
    assert ws.startswith("ws://127.0.0.1:")
    assert http.startswith("http://127.0.0.1:")
    for address in (ws.removesuffix("/v1"), http):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_p18_a_signal_ends_the_server_with_0(tmp_path: Path, number: int) -> None:
    with RunningServer(tmp_path) as running:
        assert running.stop(number) == 0


def test_a_signal_at_any_moment_of_the_start_leaves_no_traceback(tmp_path: Path) -> None:
    for number, delay in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]):
        command = [GREENROOM, "serve", "--port", "0", "--http-port", "0", "--db", f"{number}.db"]
        process = subprocess.Popen(  # noqa: S603  # our own program
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(delay)  # the moment is the parameter
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        # Before `main` runs, Python has the system's way to end.
        assert process.returncode in {0, -signal.SIGTERM}
        assert "Traceback" not in errors


def test_without_json_both_addresses_are_told_to_a_person(tmp_path: Path) -> None:
    command = [GREENROOM, "serve", "--port", "0", "--http-port", "0"]
    with subprocess.Popen(  # noqa: S603  # our own program
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline() + process.stdout.readline()
        process.terminate()
    assert "ws://127.0.0.1:" in told
    assert "http://127.0.0.1:" in told
    assert (tmp_path / "greenroom.db").exists()


def test_f41_a_server_whose_output_nobody_takes_serves_all_the_same(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [GREENROOM, "serve", "--port", "0", "--http-port", "0"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr is not None
    with process.stderr:
        assert "could not be written" in process.stderr.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_piped_chat_prints_the_answers_and_exits_0(tmp_path: Path, server: RunningServer) -> None:
    url = server.addresses["ws"]
    text = "hello  there\n\n \nsecond line 🧵\r\nno line end"
    done = greenroom("chat", "echo:pipe:ann", "--url", url, cwd=tmp_path, stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "hello  there\nsecond line 🧵\nno line end\n"


def test_a_chat_without_input_ends_at_once(tmp_path: Path, server: RunningServer) -> None:
    done = greenroom("chat", "echo:pipe:nobody", "--url", server.addresses["ws"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_quit_ends_a_chat_without_reading_on(tmp_path: Path, server: RunningServer) -> None:
    url = server.addresses["ws"]
    done = greenroom("chat", "echo:pipe:bob", "--url", url, cwd=tmp_path, stdin="/quit\nnot sent\n")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_message_over_the_limit_exits_65_and_says_so(tmp_path: Path, server: RunningServer) -> None:
    url = server.addresses["ws"]
    done = greenroom("chat", "echo:pipe:big", "--url", url, cwd=tmp_path, stdin="x" * 300_000 + "\n")
    assert_refused(done, 65, "too_large")


def test_ctrl_c_ends_a_chat_with_130_and_without_a_word(tmp_path: Path, server: RunningServer) -> None:
    process = subprocess.Popen(  # noqa: S603  # our own program
        [GREENROOM, "chat", "echo:pipe:carl", "--url", server.addresses["ws"]],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("hi\n")
    process.stdin.flush()
    assert process.stdout.readline() == "hi\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")


def test_an_agent_that_never_answers_does_not_keep_a_piped_chat_waiting(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--agent", "none") as running:
        url = running.addresses["ws"]
        done = greenroom("chat", "none:pipe:ann", "--url", url, cwd=tmp_path, stdin="hello\n")
    assert (done.returncode, done.stdout) == (0, "")


def test_an_agent_of_the_working_directory_can_be_named(tmp_path: Path) -> None:
    text = "async def shout(turn):\n    for m in turn.messages:\n        await turn.say(m.content.upper())\n"
    (tmp_path / "mine.py").write_text(text)
    with RunningServer(tmp_path, "--agent", "mine:shout") as running:
        url = running.addresses["ws"]
        done = greenroom("chat", "x:pipe:ann", "--url", url, cwd=tmp_path, stdin="hello\n")
    assert (done.returncode, done.stdout) == (0, "HELLO\n")


def test_a_chat_with_no_server_exits_69(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert_refused(greenroom("chat", "--url", f"ws://127.0.0.1:{port}/v1", cwd=tmp_path), 69, str(port))


def talk_on_a_terminal(url: str, cwd: Path, *exchanges: tuple[str, str]) -> str:
    """Type each first text and wait for each second one; everything the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execv(GREENROOM, [GREENROOM, "chat", "echo:tty:ann", "--url", url])  # noqa: S606  # the command under test
    shown = b""
    deadline = time.monotonic() + PATIENCE
    for typed, awaited in [*exchanges, ("", "")]:
        os.write(terminal, typed.encode())
        seen = len(shown)
        while not awaited or awaited.encode() not in shown[seen:]:
            ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, shown.decode()
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # Linux says EIO when the other side has closed the terminal
                break
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return shown.decode()


def test_on_a_terminal_the_history_comes_first_and_nothing_typed_is_repeated(
    tmp_path: Path, server: RunningServer
) -> None:
    url = server.addresses["ws"]
    greenroom("chat", "echo:tty:ann", "--url", url, cwd=tmp_path, stdin="from \x1b[2Jbefore\n")
    shown = talk_on_a_terminal(
        url, tmp_path, ("", "agent> from"), ("now then\n", "agent> now then\r\n"), ("/quit\n", "/quit")
    )
    assert "user> from \\x1b[2Jbefore" in shown
    assert "\x1b[2J" not in shown
    assert "user> now then" not in shown


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


@pytest.mark.parametrize("command", [["list"], ["show", "a:b:c"]])
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


@pytest.mark.parametrize("arguments", [[b"\xff\xfe"], [b"serve", b"--host", b"\xff"], [b"chat", b"a:b:\xff"]])
def test_arguments_that_are_no_text_are_refused_without_a_traceback(
    tmp_path: Path, arguments: list[bytes]
) -> None:
    done = greenroom(*arguments, cwd=tmp_path)
    assert_refused(done, 78 if b"--host" in arguments else 2)


def test_an_ascii_only_locale_still_shows_everything(tmp_path: Path, server: RunningServer) -> None:
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    url = server.addresses["ws"]
    done = greenroom("chat", "echo:pipe:ascii", "--url", url, cwd=tmp_path, stdin="é 🧵\n", env=plain)
    assert (done.returncode, done.stdout) == (0, "\\xe9 \\U0001f9f5\n")


def test_debug_shows_the_traceback_and_keeps_the_code(tmp_path: Path) -> None:
    done = greenroom("--debug", "sessions", "list", "--db", "none.db", cwd=tmp_path)
    assert done.returncode == 74
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("greenroom: ")
