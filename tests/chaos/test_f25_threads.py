"""Fault F25: no thread can be started, or all of the event loop's are taken: what is written is written."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from greenroom.actors.reads import Reads
from greenroom.persistence import InMemorySessionStore, SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionFilter
from greenroom.runtime.config import Cleanup, Config
from greenroom.runtime.embedding import open_manager
from websockets.sync.client import connect

from tests.chaos.journal import read_journals
from tests.chaos.unprivileged import ENOUGH, DeprivedServer, as_nobody, own_folder, requires_prlimit
from tests.runtime.caller import Caller
from tests.runtime.processes import PATIENCE

SESSIONS = 50
HOLDERS = """
import trio

async def greedy(turn):
    await turn.say("begun ")
    while True:
        pass
"""
HOST = """
import resource, sys
import trio
from greenroom.runtime.config import Config
from greenroom.runtime.embedding import open_manager

def allow(threads):
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, resource.getrlimit(resource.RLIMIT_NPROC)[1]))

async def main():
    config = Config(db=sys.argv[1])
    await trio.to_thread.run_sync(int)  # leaves a thread behind, on which the store can be opened
    allow(1)
    try:
        async with open_manager(config):
            pass
    except* RuntimeError:
        print("refused")
    allow(int(sys.argv[2]))
    async with open_manager(config):
        print("open")

trio.run(main)
"""


@asynccontextmanager
async def every_thread_taken() -> AsyncGenerator[None]:
    """A host's own jobs block every thread of the event loop's limiter."""
    limiter, let_go = trio.to_thread.current_default_thread_limiter(), threading.Event()
    count = int(limiter.total_tokens)
    async with trio.open_nursery() as nursery:
        try:
            for _ in range(count + 1):
                nursery.start_soon(trio.to_thread.run_sync, let_go.wait)
            while limiter.statistics().tasks_waiting < 1:  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.01)
            yield
            assert (limiter.borrowed_tokens, limiter.statistics().tasks_waiting) == (count, 1)
        finally:
            let_go.set()


def peer(number: int) -> SessionID:
    return SessionID("echo", "web", f"peer{number}")


async def test_f25_with_every_thread_of_the_loop_taken_all_is_written_read_and_started(
    tmp_path: Path,
) -> None:
    config = Config(db=str(tmp_path / "greenroom.db"), cleanup=Cleanup(enabled=False))
    async with open_manager(config) as manager:  # what a former process has left
        for number in range(SESSIONS):
            await manager.add_message(peer(number), Message("user", "hello"))
    async with open_manager(config) as manager, every_thread_taken():
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:

                async def talk(number: int) -> None:
                    async with manager.attach(peer(number)) as attachment:
                        assert attachment.attached.facts.head_seq == 1
                        ack = await manager.send(peer(number), "and again", wait="done")
                    assert (ack.seq, ack.stop_reason) == (2, "end_turn")

                for number in range(SESSIONS):
                    nursery.start_soon(talk, number)
            found = await manager.list(SessionFilter(limit=100))
            assert len(found) == SESSIONS
            assert len(await manager.search("again")) == SESSIONS
            assert await manager.recover() == 0
            await manager.stop()


@contextmanager
def calling(url: str) -> Generator[Caller]:
    with connect(url, proxy=None, close_timeout=1) as socket:
        yield Caller(socket)


def say_to_all(caller: Caller, client_id: str, channel: str, count: int = SESSIONS) -> list[dict[str, Any]]:
    """Send a message to each of many sessions at once; the answers in the order of the sessions."""
    for number in range(count):
        params = {"session": f"echo:{channel}:peer{number}", "client_id": client_id, "content": "hello"}
        caller.socket.send(
            json.dumps({"jsonrpc": "2.0", "id": number, "method": "message.send", "params": params})
        )
    answers = dict[int, dict[str, Any]]()
    while len(answers) < count:
        frame = json.loads(caller.socket.recv(PATIENCE))
        if "id" in frame:
            answers[frame["id"]] = frame
    return [answers[number] for number in range(count)]


def wait_until_idle(server: DeprivedServer) -> int:
    """How many threads are left when those that had something to do have gone."""
    fewest, since = server.threads(), time.monotonic()
    while time.monotonic() - since < 0.3:
        if (now := server.threads()) < fewest:
            fewest, since = now, time.monotonic()
        time.sleep(0.02)  # nobody tells of a thread's end
    return fewest


@requires_prlimit
def test_f25_where_no_thread_can_be_started_live_sessions_are_written_and_others_come_back_later() -> None:
    with own_folder() as folder, DeprivedServer(folder, "--agent", "none") as server:
        url = server.listening()
        with calling(url) as caller:
            assert all("result" in answer for answer in say_to_all(caller, "a", "web"))
            wait_until_idle(server)
            server.allow_threads(1)
            for number in range(20):
                answers = say_to_all(caller, f"b{number}", "web")
                assert [answer["result"]["seq"] for answer in answers] == [number + 2] * SESSIONS
            for _ in range(10):  # more often than a session may crash
                for answer in say_to_all(caller, "a", "mail"):
                    assert answer["error"]["data"]["name"] == "store_unavailable", answer
                    assert answer["error"]["data"]["retryable"] is True
            answer = caller.call("session.list")
            assert answer["error"]["data"]["name"] == "store_unavailable"
            with calling(url) as stranger:
                assert stranger.say("c", "echo:web:peer0")["result"]["seq"] == 22
            server.allow_threads(ENOUGH)
            assert [answer["result"]["seq"] for answer in say_to_all(caller, "a", "mail")] == [1] * SESSIONS
            assert caller.call("session.list")["result"]["sessions"]
        assert server.stop() == 0
        assert server.errors.read_text() == ""


@requires_prlimit
def test_f25_a_server_meets_its_first_client_without_a_thread_to_be_had() -> None:
    with own_folder() as folder, DeprivedServer(folder, "--agent", "none") as server:
        url = server.listening()
        wait_until_idle(server)
        server.allow_threads(1)
        with calling(url) as caller:
            assert "result" in caller.call("ping")
            server.allow_threads(ENOUGH)
            assert caller.say("a", "echo:web:peer0")["result"]["seq"] == 1
        assert server.stop() == 0
        assert "Traceback" not in server.errors.read_text()


@requires_prlimit
def test_f25_p18_the_last_resort_needs_no_further_thread() -> None:
    with own_folder() as folder:
        (folder / "holders.py").write_text(HOLDERS)
        (folder / "greenroom.toml").write_text("[limits]\ndrain = 0.2\nstop_grace = 0.2\n")
        with DeprivedServer(folder, "--config", "greenroom.toml", "--agent", "holders:greedy") as server:
            with calling(server.listening()) as caller:
                caller.say("a", "echo:web:peer0")
            server.allow_threads(1)
            server.process.terminate()
            with pytest.raises(subprocess.TimeoutExpired):  # the first is heard, and waits for the drain
                server.process.wait(0.5)
            assert server.stop() == 70
        (row, *_) = read_journals(folder / "greenroom.db")["echo:web:peer0"]
    assert (row.seq, row.client_id) == (1, "a")


@requires_prlimit
def test_f25_p36_a_server_that_gets_too_few_threads_to_start_says_so_in_one_line() -> None:
    for threads in (1, 2):
        with own_folder() as folder, DeprivedServer(folder, threads=threads) as server:
            assert server.process.wait(PATIENCE) == 70
            (line,) = server.errors.read_text().splitlines()
            assert line.startswith("greenroom: ")


@requires_prlimit
def test_f25_a_host_whose_manager_could_not_be_opened_for_want_of_a_thread_can_open_it_later() -> None:
    with own_folder() as folder:
        done = subprocess.run(  # noqa: S603 - our own program
            [*as_nobody(), sys.executable, "-c", HOST, str(folder / "greenroom.db"), str(ENOUGH)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\nopen\n", "")


async def test_an_error_that_a_read_raises_itself_is_not_taken_for_want_of_a_thread(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("mine")

    for store in (InMemorySessionStore(), SQLiteSessionStore(tmp_path / "greenroom.db")):
        with pytest.raises(RuntimeError, match="mine"):
            await Reads(store)(broken)
        store.close()
