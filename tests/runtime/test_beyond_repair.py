"""A server whose writer cannot be kept alive ends with exit code 70, and loses nothing that it has acked."""

from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from .caller import Caller, dial
from .processes import RunningServer

# Imported by the server before it opens its store: a writer that dies of one client id.
FATAL_AGENTS = """
import trio
from greenroom.persistence.sqlite import SQLiteSessionStore

class Panic(BaseException):
    pass

commit = SQLiteSessionStore.commit

def die(self, batch):
    if any(entry.client_id == "kill" for append in batch for entry in append.entries):
        raise Panic("with what was said")
    return commit(self, batch)

SQLiteSessionStore.commit = die

async def quiet(turn):
    pass

async def deaf(turn):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
"""


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    (tmp_path / "fatal_agents.py").write_text(FATAL_AGENTS)
    return tmp_path


def kill_twice(server: RunningServer) -> dict[str, int]:
    """Say what kills the writer, twice; what was acked before, between and beside it."""
    acked = dict[str, int]()
    with dial(server) as one:
        caller = Caller(one)
        acked["before"] = caller.say("before")["result"]["seq"]
        refusal = caller.say("kill")["error"]["data"]
        assert (refusal["name"], refusal["retryable"]) == ("store_unavailable", True)
        acked["between"] = caller.say("between")["result"]["seq"]
        with suppress(ConnectionClosed):  # that, or the refusal comes first
            caller.say("kill")
    return acked


def test_f16_a_server_whose_writer_dies_again_exits_with_70_and_one_sentence_and_keeps_what_it_acked(
    agents: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningServer(agents, "--agent", "fatal_agents:quiet") as server:
        acked = kill_twice(server)
        assert server.process.wait(20) == 70
    *reports, word = capfd.readouterr().err.splitlines()
    assert word.startswith(
        "greenroom: supervisor: expected actors that stay up, met too many crashes, the last of writer"
    )
    assert "writer: expected commits, met Panic at " in word
    assert "with what was said" not in "".join((*reports, word))
    assert [line.count('"WriterDied"') for line in reports].count(1) == 2
    assert not any("Traceback" in line for line in reports)
    with RunningServer(agents) as server, dial(server) as one:
        caller = Caller(one)
        for client_id, seq in acked.items():
            again = caller.say(client_id)["result"]
            assert (again["seq"], again["duplicate"]) == (seq, True)
        assert caller.say("kill")["result"]["duplicate"] is False


def test_p19_a_server_beyond_repair_does_not_stay_for_an_agent_that_will_not_end(
    agents: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningServer(agents, "--agent", "fatal_agents:deaf") as server:
        acked = kill_twice(server)
        assert server.process.wait(30) == 70
    assert capfd.readouterr().err.splitlines()[-1].startswith("greenroom: expected an orderly end in time")
    with RunningServer(agents) as server, dial(server) as one:
        assert Caller(one).say("between")["result"]["seq"] == acked["between"]
