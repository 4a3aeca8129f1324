"""The process ``greenroom serve`` under signals, without output, without descriptors: it ends as promised."""

import json
import resource
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.error import HTTPError

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .caller import Caller, dial
from .processes import GREENROOM, PATIENCE, RunningServer

SLOW_AGENT = """
import trio

async def slow(turn):
    await turn.say("begun ")
    await trio.sleep_forever()

async def deaf(turn):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()

async def greedy(turn):
    await turn.say("begun ")
    while True:
        pass
"""


SERVE = [GREENROOM, "serve", "--port", "0", "--http-port", "0"]


def test_p18_a_signal_under_load_loses_nothing_acked_and_leaves_no_log(tmp_path: Path) -> None:
    acked: dict[str, int] = {}
    with RunningServer(tmp_path) as server:
        with dial(server) as one:
            caller = Caller(one)
            caller.call("session.attach", session="a:b:c")
            with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  # at some moment of all this
                for number in range(10_000):
                    if number == 100:
                        server.process.send_signal(signal.SIGTERM)
                    answer = caller.say(str(number))
                    if "result" in answer:
                        acked[str(number)] = answer["result"]["seq"]
                    else:
                        assert answer["error"]["data"]["name"] in {"shutting_down", "busy"}
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4001
        assert server.process.wait(PATIENCE) == 0
    log = Path(f"{server.db}-wal")
    assert not log.exists() or log.stat().st_size == 0
    with closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acked) >= 100
    with RunningServer(tmp_path) as server, dial(server) as one:
        caller = Caller(one)
        for client_id, seq in acked.items():
            result = caller.say(client_id)["result"]
            assert (result["seq"], result["duplicate"]) == (seq, True)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    (tmp_path / "slow_agents.py").write_text(SLOW_AGENT)
    return tmp_path


def ready(server: RunningServer) -> int:
    try:
        with urllib.request.urlopen(f"{server.addresses['http']}/readyz", timeout=PATIENCE) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as exc:
        with exc:
            return exc.code


def test_p18_a_second_signal_ends_a_drain_at_once_and_what_was_said_is_kept(agents: Path) -> None:
    with RunningServer(agents, "--agent", "slow_agents:slow") as server:
        with dial(server) as one:
            caller = Caller(one)
            caller.call("session.attach", session="a:b:c")
            assert ready(server) == 200
            caller.say("1")
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            while not any(event["type"] == "server.draining" for event in caller.events):
                caller.call("ping")
            assert ready(server) == 503
            server.process.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed):  # noqa: PT012  # after all that was on its way
                while True:
                    caller.events.append(json.loads(one.recv(PATIENCE))["params"])
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 4  # the drain alone would be 5 s
    durable = [event["data"] for event in caller.events if event.get("seq", 1) > 1]
    assert [data.get("content") for data in durable] == ["begun ", None]
    assert (durable[0]["partial"], durable[1]["stop_reason"]) == (True, "interrupted")


def quick_drain(folder: Path, agent: str) -> RunningServer:
    (folder / "greenroom.toml").write_text("[limits]\ndrain = 0.2\nstop_grace = 0.2\n")
    return RunningServer(folder, "--config", "greenroom.toml", "--agent", agent)


def test_f20_an_agent_that_shields_itself_is_named_and_does_not_keep_the_process(
    agents: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with quick_drain(agents, "slow_agents:deaf") as server:
        with dial(server) as one:
            ack = Caller(one).say("1")["result"]
        began = time.monotonic()
        assert server.stop() == 0  # whatever was accepted is stored; only the agent would not end
        assert (
            time.monotonic() - began < 0.2 + 0.2 + 1 + 9
        )  # most of it for a loaded machine: the agent never ends
    named, word = capfd.readouterr().err.splitlines()
    report = json.loads(named)
    assert (report["event"], report["turn_id"]) == ("AgentWouldNotStop", ack["turn_id"])
    assert "everything accepted is stored" in word
    with RunningServer(agents) as server, dial(server) as one:
        again = Caller(one).say("1")["result"]
        assert (again["seq"], again["duplicate"]) == (ack["seq"], True)


def test_p18_an_agent_that_never_lets_the_event_loop_go_does_not_outlive_a_signal(
    agents: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with quick_drain(agents, "slow_agents:greedy") as server:
        seq = begin_a_turn(server)
        began = time.monotonic()
        assert server.stop() == 70
        assert 0.2 + 4 < time.monotonic() - began < 0.2 + 4.5 + 10
    blocked, word = capfd.readouterr().err.splitlines()
    assert json.loads(blocked)["event"] == "LoopBlocked"
    assert word.startswith("greenroom: expected an orderly end in time")
    with RunningServer(agents) as server, dial(server) as one:
        result = Caller(one).say("1")["result"]
        assert (result["seq"], result["duplicate"]) == (seq, True)


def test_p18_a_second_signal_ends_even_a_server_whose_event_loop_is_held(agents: Path) -> None:
    with quick_drain(agents, "slow_agents:greedy") as server:
        begin_a_turn(server)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):  # the first is heard, and waits for the drain
            server.process.wait(0.5)
        began = time.monotonic()
        assert server.stop() == 70
        assert time.monotonic() - began < 3.5  # the first signal alone takes until 3.7


def begin_a_turn(server: RunningServer) -> int:
    """Have the agent begin; the seq of the message, whose ack may be the last thing that the loop did."""
    with dial(server) as one:
        return int(Caller(one).say("1")["result"]["seq"])


def test_f41_a_server_without_any_output_serves(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = f"exec {GREENROOM} serve --port {port} --http-port 0 --json >&- 2>&-"
    process = subprocess.Popen(["/bin/sh", "-c", command], cwd=tmp_path)  # noqa: S603  # our own program
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                one = connect(f"ws://127.0.0.1:{port}/v1", proxy=None, close_timeout=1)
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)  # it has no way to tell that it listens
            else:
                break
        with one:
            assert Caller(one).say("1")["result"]["seq"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def test_f24_without_free_descriptors_it_waits_without_a_traceback_and_accepts_again(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [*SERVE, "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            url = json.loads(process.stdout.readline())["ws"]
        with connect(url, proxy=None, close_timeout=1) as one:
            caller = Caller(one)
            caller.say("1")
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (40, 40))
            with ExitStack() as strangers:
                address = ("127.0.0.1", int(url.removesuffix("/v1").rpartition(":")[2]))
                for _ in range(60):
                    strangers.enter_context(socket.create_connection(address, PATIENCE))
                while b"EMFILE" not in errors.read_bytes():
                    assert caller.say("1")["result"]["duplicate"] is True
            began = time.monotonic()
            with connect(url, proxy=None, close_timeout=1) as other:
                assert Caller(other).say("2")["result"]["seq"] > 1
            assert time.monotonic() - began < 10
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in errors.read_text()
    finally:
        process.kill()
        process.wait()
