"""What the README shows, run."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from greenroom.runtime import exits

from tests.runtime.processes import RunningServer, greenroom

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
READING, ALONE = re.findall(r"```sh\n((?:.venv/bin/greenroom sessions .*\n)+)```", README)
GREENROOM = Path(sys.executable).with_name("greenroom")
PATIENCE = 30  # seconds


def snippet(marker: str) -> str:
    """The one snippet that holds a text."""
    (found,) = [text for text in SNIPPETS if marker in text]
    return found


def run(text: str, folder: Path) -> str:
    """Run a snippet as a program of its own; what it prints."""
    finished = subprocess.run(  # noqa: S603 - the README's own text
        [sys.executable, "-c", text],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[str]:
    """A server whose agent is the README's own; its WebSocket URL."""
    (tmp_path / "yourmodule.py").write_text(snippet("async def shout"))
    options = ["--db", "r.db", "--port", "0", "--http-port", "0", "--agent", "yourmodule:shout", "--json"]
    server = subprocess.Popen(  # noqa: S603 - our program
        [GREENROOM, "serve", *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())["ws"]
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0
        server.stdout.close()


def test_the_client_of_a_few_lines_gets_an_ack_deltas_and_the_final_message(
    serve: str, tmp_path: Path
) -> None:
    printed = run(snippet("websockets.sync.client").replace("ws://127.0.0.1:8765/v1", serve), tmp_path)
    assert "'seq': 1" in printed
    assert printed.count("turn.delta") == 3
    assert "'HELLO! BIG! WORLD! '" in printed


def test_the_python_client_gets_its_answer(serve: str, tmp_path: Path) -> None:
    printed = run(snippet("open_client").replace("ws://127.0.0.1:8765/v1", serve), tmp_path)
    assert printed == "HELLO! AGAIN! \n"


def test_the_embedded_runtime_answers_and_stores(tmp_path: Path) -> None:
    printed = run(snippet("open_manager"), tmp_path)
    assert printed.startswith("2 hello\n")
    assert printed.count("Message(") == 3
    assert (tmp_path / "embedded.db").exists()


def test_an_actor_of_ones_own_counts(tmp_path: Path) -> None:
    assert run(snippet("open_supervisor"), tmp_path) == "2\n"


def test_the_commands_on_sessions_do_what_the_readme_says(tmp_path: Path) -> None:
    session = "echo:terminal:me"
    with RunningServer(tmp_path) as server:
        url = server.addresses["ws"]
        assert greenroom("chat", session, "--url", url, cwd=tmp_path, stdin="hello world\n").returncode == 0
        listed, shown, found, exported = commands(READING, tmp_path)
        assert server.stop() == 0
    assert listed.startswith(f"{session}\tactive\t2\t")
    assert f"id: {session}\n" in shown
    assert found.count("hello world") == 2
    assert exported == "exported 1 session to backup.jsonl\n"
    imported, archived, deleted = commands(ALONE, tmp_path)
    assert (imported, archived, deleted) == (
        "imported 1 session\n",
        f"archived {session}\n",
        f"deleted {session}\n",
    )


def commands(block: str, folder: Path) -> list[str]:
    """Run the lines of a block one after the other; what each prints."""
    printed: list[str] = []
    for line in block.splitlines():
        done = greenroom(*shlex.split(line)[1:], cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), line
        printed.append(done.stdout)
    return printed


def test_every_exit_code_is_in_the_table_and_no_other() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    table = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    assert sorted(map(int, table)) == sorted({0, *codes})


def test_every_snippet_of_the_readme_is_run_here() -> None:
    assert len(SNIPPETS) == 5
