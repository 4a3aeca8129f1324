"""The gateway sends as fast as a client reads: one that reads is never closed, however slow and greedy."""

import json
import socket
from pathlib import Path

import trio
from greenroom.actors.turn import Agent
from greenroom.runtime.connection import Connection, Phase
from greenroom.runtime.gateway import WATCH

from .hostile_corpus import frame, head
from .peer import CLIENT, peer
from .serving import Gated, Serving, serving

S = "echo:test:ann"
SILENT = Agent("none", None)
LARGE = "x" * 250_000


class SlowPeer:
    """A raw client with a small window, which reads nothing by itself and answers no ping."""

    def __init__(self, stream: trio.SocketStream, connection: Connection) -> None:
        self.stream = stream
        self.connection = connection
        self._asked = 0

    async def ask(self, method: str, /, **params: object) -> None:
        self._asked += 1
        text = json.dumps({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        await self.stream.send_all(frame(0x81, text.encode()))


async def slow_peer(server: Serving) -> SlowPeer:
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect(("127.0.0.1", server.port))
    stream = trio.SocketStream(sock)
    await stream.send_all(head())
    await stream.receive_some()
    one = SlowPeer(stream, list(server.gateway._connections)[-1])
    # Else the system takes megabytes at once and then nothing for long.
    one.connection.socket._tap._stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    await one.ask("initialize", protocol=1, client=CLIENT)
    await stream.receive_some()
    return one


async def test_requests_with_large_answers_sent_all_at_once_are_all_answered(tmp_path: Path) -> None:
    sessions = [f"echo:test:{number}" for number in range(4)]
    async with serving(tmp_path, SILENT) as server, peer(server.url) as writer:
        for session in sessions:
            for number in range(3):
                await writer.say(session, LARGE, str(number))
        async with peer(server.url, max_queue=1) as client:
            _, connection = server.gateway._connections
            asked: list[int] = []
            for number in range(60):
                session = sessions[number % 4]
                method = ("session.history", "session.attach", "session.list")[number % 3]
                params = {} if method == "session.list" else {"session": session}
                asked.append(await client.post(method, **params))
            for request_id in asked:
                assert await client.result(request_id)
            assert connection.phase is Phase.OPEN


async def test_a_greedy_client_that_reads_nothing_costs_a_bounded_amount_and_is_not_closed_for_asking(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, SILENT) as server, peer(server.url) as writer:
        for number in range(3):
            await writer.say(S, LARGE, str(number))
        slow = await slow_peer(server)
        for _ in range(50):
            await slow.ask("session.history", session=S)
            await slow.ask("session.attach", session=S)
        for _ in range(20):
            await writer.call("ping")
        assert slow.connection.phase is Phase.OPEN
        assert slow.connection.outbox.size < 2 * 1024 * 1024
        await trio.aclose_forcefully(slow.stream)


async def test_one_event_larger_than_the_outbound_bound_reaches_a_client_that_reads(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SILENT, outbound_bytes=100_000) as server,
        peer(server.url) as writer,
        peer(server.url) as client,
    ):
        await client.call("session.attach", session=S)
        await writer.say(S, LARGE, "1")
        assert (await client.event("message"))["data"]["content"] == LARGE
        await client.call("ping")


async def test_a_large_queue_that_changes_again_and_again_closes_nobody(tmp_path: Path) -> None:
    gated = Gated()
    async with (
        serving(tmp_path, gated.agent, outbound_bytes=200_000) as server,
        peer(server.url) as writer,
        peer(server.url) as client,
    ):
        await client.call("session.attach", session=S)
        await writer.say(S, "first", "0")

        async def write() -> None:
            for number in range(1, 13):
                await writer.say(S, "x" * 20_000, str(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while len((await client.event("queue.changed"))["data"]["queue"]) < 12:
                pass
        await client.call("ping")


async def test_p22_a_slow_but_steady_peer_whose_pongs_stay_unread_is_not_cut_and_one_that_stops_is(
    tmp_path: Path,
) -> None:
    limits = {"ping": 0.4, "pong": 0.4, "send": 1.5}
    async with serving(tmp_path, SILENT, **limits) as server, peer(server.url) as writer:
        for number in range(3):
            await writer.say(S, LARGE, str(number))
        slow = await slow_peer(server)
        for _ in range(30):
            await slow.ask("session.history", session=S)
        socket = slow.connection.socket
        longest, until = 0.0, trio.current_time() + 3
        while trio.current_time() < until:
            await trio.sleep(0.02)
            await slow.stream.receive_some(16 * 1024)
            assert slow.connection.phase is Phase.OPEN, slow.connection._end
            longest = max(longest, trio.current_time() - socket.last_heard)
        assert longest > limits["ping"] + limits["pong"] + WATCH
        with trio.fail_after(5):
            await slow.connection.ended.wait()
        assert slow.connection._end in ((4008, "slow consumer"), (4012, "no pong"))
        await trio.aclose_forcefully(slow.stream)
