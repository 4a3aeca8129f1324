"""Every way the gateway ends a connection: the code, and that nobody else notices."""

import json
import socket
from pathlib import Path

import pytest
import trio
from greenroom.actors.reports import AgentWouldNotStop
from greenroom.actors.turn import Agent, Turn
from greenroom.runtime.connection import Phase
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect

from .hostile_corpus import frame, head
from .peer import CLIENT, Peer, RequestFailedError, peer
from .serving import Gated, Serving, serving

S = "echo:test:ann"
SILENT = Agent("none", None)


async def test_p25_three_malformed_frames_in_a_row_close_1008_and_each_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:
        for bad in ("{", "[]", "NaN"):
            await client.send(bad)
        assert await client.closed() == (1008, "three malformed frames in a row")
        answers = [(one["id"], one["error"]["code"]) for one in client.log[1:]]
        assert answers == [(None, -32700), (None, -32600), (None, -32700)]


async def test_p25_malformed_frames_that_are_not_in_a_row_and_wrong_requests_close_nothing(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:
        for _ in range(5):
            await client.send("{")
            await client.send("[]")
            await client.call("ping")
        for _ in range(5):
            for wrong in ({}, {"id": 7}, {"id": True, "jsonrpc": "2.0"}):
                await client.send(wrong)
            with pytest.raises(RequestFailedError):
                await client.call("message.send", session="not an id")
        await client.call("ping")


async def test_p25_a_binary_frame_closes_1003(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:
        await client.send(b"{}")
        assert (await client.closed())[0] == 1003


async def test_p25_a_peer_that_does_not_initialize_in_time_is_closed_4502(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, auth=0.2) as server,
        peer(server.url) as other,
        peer(server.url, initialize=False) as client,
    ):
        with pytest.raises(RequestFailedError):
            await client.call("ping")
        assert (await client.closed())[0] == 4502
        await other.call("ping")


async def test_p25_another_protocol_is_answered_and_closed_4503(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url, initialize=False) as client:
        with pytest.raises(RequestFailedError) as caught:
            await client.call("initialize", protocol=2, client=CLIENT)
        assert caught.value.name == "not_supported"
        assert (await client.closed())[0] == 4503


async def test_p25_frames_are_small_before_initialize_and_larger_after(tmp_path: Path) -> None:
    text = "x" * 70_000
    async with serving(tmp_path) as server:
        async with peer(server.url, initialize=False) as client:
            await client.send(text)
            assert (await client.closed())[0] == 1009
        async with peer(server.url) as client:
            await client.say(S, text, "1")
            await client.send("x" * (512 * 1024 + 1))
            assert (await client.closed())[0] == 1009


async def open_raw(server: Serving, receive_buffer: int | None = None) -> trio.SocketStream:
    """A connection that has initialized and then does nothing by itself, not even answer pings."""
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await sock.connect(("127.0.0.1", server.port))
    stream = trio.SocketStream(sock)
    await stream.send_all(head())
    await stream.receive_some()
    await send_raw(stream, "initialize", protocol=1, client=CLIENT)
    await stream.receive_some()
    return stream


async def send_raw(stream: trio.SocketStream, method: str, /, **params: object) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    await stream.send_all(frame(0x81, text.encode()))


async def test_p22_a_peer_that_answers_no_ping_is_closed_4012(tmp_path: Path) -> None:
    async with serving(tmp_path, ping=0.3, pong=0.3) as server, peer(server.url) as other:
        stream = await open_raw(server)
        received = b""
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.event, "never")  # it must read to answer pings itself
                while b"no pong" not in received:
                    received += await stream.receive_some()
                nursery.cancel_scope.cancel()
        assert received.startswith(b"\x89\x00")
        assert b"\x88\x09\x0f\xacno pong" in received
        await trio.aclose_forcefully(stream)
        await other.call("ping")


async def test_p22_a_message_that_is_never_completed_ends_its_connection(tmp_path: Path) -> None:
    async with serving(tmp_path, partial=0.2) as server:
        stream = await open_raw(server)
        await stream.send_all(frame(0x01, b"{"))
        received = b""
        with trio.fail_after(5):
            while b"message not completed in time" not in received:
                received += await stream.receive_some()
        await trio.aclose_forcefully(stream)


async def gone(server: Serving, left: int) -> None:
    """Wait until so many connections are left."""
    with trio.fail_after(8):
        while len(server.gateway._connections) > left:  # noqa: ASYNC110  # nothing tells of it
            await trio.sleep(0.02)


async def test_p21_a_client_that_reads_nothing_is_cut_and_costs_others_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, SILENT, outbound_bytes=100_000) as server, peer(server.url) as other:
        stream = await open_raw(server, receive_buffer=4096)
        await send_raw(stream, "session.attach", session=S)
        await stream.receive_some()
        for number in range(100):
            await other.say(S, "x" * 100_000, str(number))
            if len(server.gateway._connections) == 1:
                break
        await gone(server, 1)
        assert not server.core.topics._subscribers
        await trio.aclose_forcefully(stream)
        await other.call("ping")
        assert server.reports == []


async def test_p22_a_client_that_leaves_its_output_untouched_is_cut_after_the_send_deadline(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, SILENT, send=0.5) as server, peer(server.url) as other:
        stream = await open_raw(server, receive_buffer=4096)
        _, connection = server.gateway._connections
        for number in range(20):  # less than the bound of what may wait, each time
            await other.say(S, "x" * 200_000, str(number))
            await send_raw(stream, "session.history", session=S, limit=1)
        with trio.fail_after(5):
            while connection.phase is not Phase.ENDING:  # noqa: ASYNC110  # nothing tells of it
                await trio.sleep(0.02)
        assert connection._end == (4008, "slow consumer")
        await trio.aclose_forcefully(stream)


async def test_p25_a_slow_consumer_that_wakes_up_reads_4008(tmp_path: Path) -> None:
    options = {"max_queue": 1, "close_timeout": 5}
    async with (
        serving(tmp_path, SILENT, outbound_bytes=300_000) as server,
        peer(server.url) as other,
        peer(server.url, **options) as slow,
    ):
        await slow.call("session.attach", session=S)
        (connection,) = [one for one in server.gateway._connections if one in server.core.topics._sessions]
        for number in range(300):
            await other.say(S, "x" * 250_000, str(number))
            if connection.phase.name == "ENDING":
                break
        assert await slow.closed() == (4008, "slow consumer")
        seqs = [one["params"]["seq"] for one in slow.log if "method" in one]
        assert seqs == list(range(1, len(seqs) + 1))


async def drain(server: Serving) -> None:
    """End the server in the order of `greenroom serve`."""
    server.gateway.stop_accepting()
    await server.core.stop()
    await server.gateway.close_all()


async def test_p18_draining_is_told_refuses_work_and_closes_4001(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent, drain=3) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        waiting = await client.post("message.send", session=S, client_id="1", content="one two", wait="done")
        await client.event("turn.started")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, server)
            event = await client.event("server.draining")
            assert set(event) == {"type", "at", "data"}
            assert event["data"] == {"deadline_ms": 3000, "retry_after_ms": 1000}
            with pytest.raises(RequestFailedError) as caught:
                await client.say(S, "late", "2")
            assert (caught.value.name, caught.value.error["data"]["retryable"]) == ("shutting_down", True)
            with pytest.raises(OSError, match="attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", server.port)
            gated.let(2)
            assert (await client.result(waiting))["text"] == "one two "
            assert await client.closed() == (4001, "draining")


async def test_p18_a_turn_that_outlives_the_drain_is_cut_off_and_its_text_kept(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        await client.say(S, "one two", "1")
        gated.let()
        await client.event("turn.delta")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, server)
            message = await client.event("message")
            assert message["data"]["content"] == "one "
            assert message["data"]["partial"] is True
            finished = await client.event("turn.finished")
            assert (finished["data"]["stop_reason"], finished["data"]["will_retry"]) == ("interrupted", True)
            assert (await client.closed())[0] == 4001
    async with serving(tmp_path) as server, peer(server.url) as client:
        assert (await client.say(S, "one two", "1", wait="done"))["text"] == "one two"


async def test_p17_an_agent_that_will_not_stop_is_named_and_its_later_words_are_dropped(
    tmp_path: Path,
) -> None:
    released = trio.Event()

    async def stubborn(turn: Turn) -> None:
        with trio.CancelScope(shield=True):
            await turn.say("first ")
            await released.wait()

    agent = Agent("stubborn", stubborn)
    async with serving(tmp_path, agent, drain=0.1, stop_grace=0.1) as server, peer(server.url) as client:
        ack = await client.say(S, "hello", "1")
        await drain(server)
        (report,) = server.reports
        assert isinstance(report, AgentWouldNotStop)
        assert (str(report.session), report.turn_id, report.agent) == (S, ack["turn_id"], "stubborn")
        released.set()


async def test_a_page_of_another_origin_is_refused_and_our_own_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with peer(server.url, origin="http://localhost:1") as client:
            await client.call("ping")
        with pytest.raises(Exception, match="403"):
            async with connect(server.url, origin="http://localhost:2", proxy=None):  # type: ignore[arg-type]
                pass


async def test_a_connection_that_just_vanishes_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as other:
        for _ in range(20):
            stream = await open_raw(server)
            await send_raw(stream, "session.attach", session=S)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            stream.socket.close()
        await gone(server, 1)
        await other.say(S, "hello", "1", wait="done")
        assert not server.core.topics._subscribers
        assert server.reports == []


async def test_closing_is_answered_with_the_peers_own_code(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with peer(server.url) as client:
            await client.socket.aclose(1000, "bye")
            with pytest.raises(ConnectionClosed):
                await client.socket.recv()
            assert isinstance(client, Peer)
        await gone(server, 0)
