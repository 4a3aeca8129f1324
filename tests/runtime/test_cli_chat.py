"""``greenroom chat`` as a process, through pipes and on a terminal."""

import os
import pty
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.processes import GREENROOM, PATIENCE, RunningServer, assert_refused, greenroom


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


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
    # Several, for the signal meets each at another place in its code.
    chats = [
        subprocess.Popen(  # noqa: S603  # our own program
            [GREENROOM, "chat", f"echo:pipe:carl{number}", "--url", server.addresses["ws"]],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for chat in chats:
        assert chat.stdin is not None
        assert chat.stdout is not None
        chat.stdin.write("hi\n")
        chat.stdin.flush()
        assert chat.stdout.readline() == "hi\n"
        chat.send_signal(signal.SIGINT)
        _, errors = chat.communicate(timeout=PATIENCE)
        assert (chat.returncode, errors) == (130, "")


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


def test_an_ascii_only_locale_still_shows_everything(tmp_path: Path, server: RunningServer) -> None:
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    url = server.addresses["ws"]
    done = greenroom("chat", "echo:pipe:ascii", "--url", url, cwd=tmp_path, stdin="é 🧵\n", env=plain)
    assert (done.returncode, done.stdout) == (0, "\\xe9 \\U0001f9f5\n")
