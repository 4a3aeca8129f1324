"""The corpus of attacks against a whole ``greenroom serve``: the process and its other clients go on."""

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from .hostile_corpus import CORPUS, FRAMES, HANDSHAKES, Case, Close, Http, frame, head, play
from .peer import CLIENT, Peer, peer
from .processes import GREENROOM, PATIENCE

S = "echo:hostile:neighbour"
INITIALIZE = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocol": 1, "client": CLIENT}}
)
# The names under which a server meets header bytes before it knows who is there.
HEADERS = [
    b"Host",
    b"Upgrade",
    b"Connection",
    b"Origin",
    b"Authorization",
    b"Cookie",
    b"Sec-WebSocket-Key",
    b"Sec-WebSocket-Version",
    b"Sec-WebSocket-Protocol",
    b"Sec-WebSocket-Extensions",
    b"X-Forwarded-For",
    b"Content-Length",
    b"Transfer-Encoding",
]
NOT_ASCII = [
    Case(f"{name.decode()}: {value!r}", head(name + b": " + value, without=name), Http(400, "bad_header"))
    for name in HEADERS
    for value in (b"\xff", b"gr\xc3\xbcn")
]
NOT_ASCII_NAME = Case("header name", head(b"X-\xff: a"), Http(400, "bad_header"))
INITIALIZED = [
    dataclasses.replace(
        case, name=f"initialized, {case.name}", send=frame(0x81, INITIALIZE.encode()) + case.send
    )
    for case in FRAMES
    if not case.bytewise and case.expect != Close(1003)  # slow ones, and no different here
]


@dataclasses.dataclass
class Target:
    """The process under attack."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    config = folder / "greenroom.toml"
    config.write_text("[limits]\nhandshake = 0.5\n")
    command = [GREENROOM, "serve", "--port", "0", "--http-port", "0", "--json", "--config", str(config)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log)  # noqa: S603
    assert process.stdout is not None
    try:
        with process.stdout:
            port = int(json.loads(process.stdout.readline())["ws"].removesuffix("/v1").rpartition(":")[2])
        yield Target(process, port, folder / "log")
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert (folder / "log").read_text() == ""
    finally:
        process.kill()
        process.wait()


async def speaks(neighbour: Peer, client_id: str) -> None:
    """The neighbour, attached before the attack, still sends, is acked and sees the answer."""
    with trio.fail_after(5):
        ack = await neighbour.say(S, client_id, client_id)
        assert ack["duplicate"] is False
        while (await neighbour.event("turn.finished"))["data"]["message_seqs"] != [ack["seq"]]:
            pass


@pytest.mark.parametrize(
    "case", [*CORPUS, *NOT_ASCII, NOT_ASCII_NAME, *INITIALIZED], ids=lambda case: case.name
)
async def test_p20_each_attack_gets_its_answer_and_the_neighbour_its_ack(target: Target, case: Case) -> None:
    async with peer(target.url) as neighbour:
        await neighbour.call("session.attach", session=S)
        await play(target.port, case)
        await speaks(neighbour, case.name)
    assert target.process.poll() is None


async def test_p20_all_attacks_at_once_do_not_silence_the_neighbour(target: Target) -> None:
    async with peer(target.url) as neighbour:
        await neighbour.call("session.attach", session=S)
        async with trio.open_nursery() as attackers:
            for case in (*CORPUS, *NOT_ASCII):
                if not isinstance(case.expect, Http) or case.expect.status != 408:
                    attackers.start_soon(play, target.port, case)
            for number in range(30):
                await speaks(neighbour, f"amid {number}")
        await speaks(neighbour, "after")
    assert target.process.poll() is None


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("depth look at an endless string", b'{"a":' + b"[]" * 33 + b'"' + b'\\"' * 32_000),
        ("deep nesting", b"[" * 65_000),
        ("long number", b'{"id":' + b"9" * 65_000 + b"}"),
        ("many keys", b"{" + b",".join(b'"%d":0' % n for n in range(6000)) + b"}"),
    ],
)
async def test_p20_no_frame_of_a_stranger_delays_the_neighbour(
    target: Target, name: str, payload: bytes
) -> None:
    """Twenty such frames, each from a stranger of its own, and the neighbour's time to an ack."""
    flood = Case(name, frame(0x81, payload) * 3, Close(1008), upgraded=True)
    async with peer(target.url) as neighbour:
        await neighbour.call("session.attach", session=S)
        async with trio.open_nursery() as attackers:
            for _ in range(20):
                attackers.start_soon(_play_anything, target.port, flood)
            began = trio.current_time()
            for number in range(5):
                await speaks(neighbour, f"{name} {number}")
            assert trio.current_time() - began < 10
            attackers.cancel_scope.cancel()


async def _play_anything(port: int, case: Case) -> None:
    """Send, and take whatever comes."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        await stream.send_all(head() + case.send)
        with trio.move_on_after(2):
            while await stream.receive_some():
                pass
    except trio.BrokenResourceError:
        return  # the server may hang up
    finally:
        await trio.aclose_forcefully(stream)


def test_the_corpus_is_whole() -> None:
    assert len(HANDSHAKES) >= 20
    assert len(FRAMES) >= 20
