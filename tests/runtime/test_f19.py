"""An agent that never lets the event loop go, in a real server: it is named, and nobody else pays for it."""

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from .caller import Caller, dial
from .peer import CLIENT, peer
from .processes import PATIENCE, RunningServer
from .serving import serving

AGENTS = """
import time
from pathlib import Path

import trio

async def greedy(turn):
    seconds, seen = turn.messages[-1].content.split()
    await trio.sleep(0.1)  # for the ack, which names the turn
    begun = time.monotonic()
    while time.monotonic() < begun + float(seconds) or not Path(seen).exists():
        if time.monotonic() > begun + 20:
            break
    await turn.say("done")
"""
PING, PONG = 0.4, 1.0  # seconds


class Operator:
    """Reads what the server writes to standard error, while it does."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._text = ""

    def records(self, event: str) -> list[dict[str, Any]]:
        self._text += self._capfd.readouterr().err
        whole = self._text.rpartition("\n")[0].splitlines()
        return [record for record in map(json.loads, whole) if record["event"] == event]

    def wait(self, event: str, who: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for record in self.records(event):
                if record["who"] == who:
                    return record
            time.sleep(0.02)
        raise AssertionError(f"expected {event} of {who}, met {self._text!r}")


@pytest.fixture
def operator(capfd: pytest.CaptureFixture[str]) -> Operator:
    return Operator(capfd)


def test_f19_an_agent_that_never_yields_is_named_while_it_blocks_and_costs_nobody_a_connection(
    tmp_path: Path, operator: Operator
) -> None:
    (tmp_path / "greedy_agents.py").write_text(AGENTS)
    (tmp_path / "greenroom.toml").write_text(f"[limits]\nping = {PING}\npong = {PONG}\n")
    arguments = ["--config", "greenroom.toml", "--agent", "greedy_agents:greedy"]
    with RunningServer(tmp_path, *arguments) as server, dial(server) as one, dial(server) as other:
        caller, bystander = Caller(one), Caller(other)
        # Longer than a ping and its pong may take.
        asked = {"session": "a:b:c", "client_id": "1", "content": "1.9 seen"}
        name = f"turn {caller.call('message.send', **asked)['result']['turn_id']} of a:b:c"
        blocked = operator.wait("LoopBlocked", name)
        (tmp_path / "seen").touch()  # before that the agent does not end
        assert blocked["where"].startswith(str(tmp_path / "greedy_agents.py"))
        assert "result" in bystander.call("ping")
        assert operator.wait("LoopReleased", name)["seconds"] > blocked["seconds"]
        time.sleep(PING + PONG)  # a peer that were not heard would be closed by now
        for each in (caller, bystander):
            assert "result" in each.call("ping")


async def test_f19_the_time_in_which_the_loop_was_held_is_nobodys_silence(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, ping=0.4, pong=0.4, auth=0.8) as server,
        peer(server.url) as known,
        peer(server.url, initialize=False) as new,
    ):
        await trio.sleep(0.2)
        time.sleep(1.3)  # noqa: ASYNC251 - this is the fault
        await trio.sleep(0.2)
        assert await known.call("ping")
        assert await new.call("initialize", protocol=1, client=CLIENT)


def test_f23_a_server_that_is_stopped_and_goes_on_blames_nobody(tmp_path: Path, operator: Operator) -> None:
    with RunningServer(tmp_path) as server, dial(server) as one:
        caller = Caller(one)
        is_over = threading.Event()

        def keep_busy() -> None:
            while not is_over.is_set():
                caller.call("ping")

        worker = threading.Thread(target=keep_busy)
        worker.start()
        try:
            for _ in range(2):
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(0.5)
                server.process.send_signal(signal.SIGCONT)
                time.sleep(0.2)
        finally:
            is_over.set()
            worker.join(PATIENCE)
        assert server.stop() == 0
    assert operator.records("LoopBlocked") == []
