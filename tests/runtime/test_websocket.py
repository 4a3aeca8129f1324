"""The socket door against another WebSocket implementation, and against our own client."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from greenroom.runtime.handshake import HandshakePolicy, HandshakeRefusedError, SocketLimits
from greenroom.runtime.websocket import (
    CLOSE_DEADLINE,
    ServerSocket,
    SocketClosedError,
    accept,
    connect,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.trio.client import connect as other_connect

from .echo_server import EchoServer
from .hostile_corpus import frame, head
from .tcp import close_all, read_all, reset, tcp_pair

POLICY = HandshakePolicy()
LIMITS = SocketLimits()


@pytest.fixture(autouse=True)
async def no_stream_left() -> AsyncIterator[None]:
    yield
    close_all()


@asynccontextmanager
async def upgraded(pipelined: bytes = b"") -> AsyncIterator[tuple[ServerSocket, trio.SocketStream]]:
    """An accepted socket and its raw peer."""
    ours, peer = await tcp_pair()
    async with trio.open_nursery() as nursery:
        await peer.send_all(head() + pipelined)
        server = await accept(ours, nursery, POLICY, LIMITS)
        assert (await peer.receive_some()).startswith(b"HTTP/1.1 101 ")
        try:
            yield server, peer
        finally:
            server.abort()
            await peer.aclose()


async def test_another_implementation_echoes_through_the_door(nursery: trio.Nursery) -> None:
    server = EchoServer()
    port = await nursery.start(server.run)
    async with other_connect(f"ws://127.0.0.1:{port}/v1", subprotocols=["greenroom.v1"]) as client:
        assert client.subprotocol == "greenroom.v1"
        for text in ("hello", "", "ünïcödé 👩‍👩‍👧", "x" * 60_000):
            await client.send(text)
            assert await client.recv() == text
    with trio.fail_after(5):
        await server.until_open(0)
    assert [(end.code, end.reason) for end in server.ends if isinstance(end, SocketClosedError)] == [
        (1000, "")
    ]
    nursery.cancel_scope.cancel()


async def test_a_refused_client_reads_why_and_the_caller_learns_it(nursery: trio.Nursery) -> None:
    server = EchoServer()
    port = await nursery.start(server.run)
    with pytest.raises(InvalidStatus) as caught:
        async with other_connect(f"ws://127.0.0.1:{port}/v2"):
            pass
    assert caught.value.response.status_code == 404
    assert caught.value.response.body == b'{"error":"not_found"}'
    (end,) = server.ends
    assert isinstance(end, HandshakeRefusedError)
    nursery.cancel_scope.cancel()


async def test_a_frame_sent_right_behind_the_head_is_not_lost() -> None:
    async with upgraded(frame(0x81, b"eager")) as (server, _):
        with trio.fail_after(5):
            assert await server.recv() == "eager"


async def test_a_binary_message_is_seen_as_bytes() -> None:
    async with upgraded() as (server, peer):
        await peer.send_all(frame(0x82, b"\x00\xff"))
        assert await server.recv() == b"\x00\xff"


async def test_the_frame_limit_is_small_at_first_and_can_be_raised() -> None:
    async with upgraded() as (server, peer):
        await peer.send_all(frame(0x81, b"x" * LIMITS.frame_bytes_before))
        assert await server.recv() == "x" * LIMITS.frame_bytes_before
        server.set_frame_limit(LIMITS.frame_bytes)
        await peer.send_all(frame(0x81, b"y" * LIMITS.frame_bytes))
        assert await server.recv() == "y" * LIMITS.frame_bytes
        await peer.send_all(frame(0x81, b"z" * (LIMITS.frame_bytes + 1))[:20])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, peer)
            with pytest.raises(SocketClosedError) as caught:
                await server.recv()
            nursery.cancel_scope.cancel()
        assert (caught.value.code, caught.value.reason) == (1009, "expected messages of at most 524288 bytes")


async def test_a_ping_is_answered_and_seen_in_last_heard(mock_clock: trio.testing.MockClock) -> None:
    async with upgraded() as (server, peer):
        mock_clock.jump(20)
        server.ping()
        assert await peer.receive_some() == b"\x89\x00"
        await peer.send_all(frame(0x8A))
        await trio.testing.wait_all_tasks_blocked()
        while server.last_heard != mock_clock.current_time():
            await trio.testing.wait_all_tasks_blocked()


async def test_the_peers_close_code_and_reason_reach_the_caller_and_its_close_is_answered() -> None:
    async with upgraded() as (server, peer):
        await peer.send_all(frame(0x88, b"\x0f\xa1bye"))
        with pytest.raises(SocketClosedError) as caught:
            await server.recv()
        assert (caught.value.code, caught.value.reason) == (4001, "bye")
        assert (await peer.receive_some())[:1] == b"\x88"
        with pytest.raises(SocketClosedError):
            await server.send("too late")


async def test_our_own_close_code_is_remembered_although_the_library_forgets_it() -> None:
    async with upgraded() as (server, peer):
        await peer.send_all(frame(0x88, b"\x0f\xa8"))  # the peer's half, sent ahead
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close, 4502, "no initialize")
            with trio.fail_after(1):
                await read_all(peer)
            await peer.aclose()
    async with upgraded() as (server, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close, 4502, "no initialize")
            assert await peer.receive_some() == b"\x88\x0f\x11\x96no initialize"
            await peer.send_all(frame(0x88, b"\x11\x96"))
            await read_all(peer)
            await peer.aclose()
        with pytest.raises(SocketClosedError) as caught:
            await server.recv()
        assert (caught.value.code, caught.value.reason) == (4502, "no initialize")


@pytest.mark.parametrize("aborted", [True, False])
async def test_an_end_without_a_close_frame_is_1006(*, aborted: bool) -> None:
    async with upgraded() as (server, peer):
        if aborted:
            reset(peer)
        else:
            await peer.aclose()
        with pytest.raises(SocketClosedError) as caught:
            await server.recv()
        assert caught.value.code == 1006
        with trio.fail_after(0.5):
            await server.close()
            await server.close()


async def test_closing_on_a_slow_peer_gives_it_the_backlog_and_the_code_if_it_reads() -> None:
    async with upgraded() as (server, peer):
        await server.send("x" * 4_000_000)
        assert server.backlog > 0
        assert server.stalled_since is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close, 4008, "slow")
            received = bytearray()
            while not received.endswith(b"\x88\x06\x0f\xa8slow"):
                received += await peer.receive_some()
            await peer.aclose()


async def test_p22_closing_on_a_peer_that_reads_nothing_cuts_it_in_time() -> None:
    async with upgraded() as (server, peer):
        await server.send("x" * 8_000_000)
        started = trio.current_time()
        await server.close(4008)
        assert trio.current_time() - started < CLOSE_DEADLINE + 5
        with pytest.raises(trio.BrokenResourceError):
            await read_all(peer)


async def test_cancelled_closing_does_not_wait_for_the_peers_half() -> None:
    async with upgraded() as (server, peer):
        with trio.move_on_after(0.05):
            await server.close()
        with trio.fail_after(1):
            assert await read_all(peer) == b"\x88\x02\x03\xe8"


async def test_a_ping_while_closing_breaks_nothing_although_the_library_trips_over_it() -> None:
    async with upgraded() as (server, peer), trio.open_nursery() as nursery:
        nursery.start_soon(server.close, 4001)
        assert await peer.receive_some() == b"\x88\x02\x0f\xa1"
        await peer.send_all(frame(0x89, b"?"))
        with trio.fail_after(CLOSE_DEADLINE):
            await read_all(peer)
        await peer.aclose()


async def test_a_lone_surrogate_is_the_senders_mistake_and_leaves_the_connection_open() -> None:
    async with upgraded() as (server, peer):
        with pytest.raises(UnicodeEncodeError):
            await server.send("\ud800")
        await server.send("fine")
        assert await peer.receive_some() == b"\x81\x04fine"


async def test_a_peer_that_goes_away_during_the_handshake_is_a_closed_socket(nursery: trio.Nursery) -> None:
    for data in (b"", head()[:30]):
        ours, peer = await tcp_pair()
        if data:
            await peer.send_all(data)
        reset(peer)
        with pytest.raises(SocketClosedError):
            await accept(ours, nursery, POLICY, LIMITS)


async def test_a_silent_peer_is_refused_after_the_handshake_deadline(nursery: trio.Nursery) -> None:
    ours, peer = await tcp_pair()
    with trio.fail_after(3), pytest.raises(HandshakeRefusedError) as caught:
        await accept(ours, nursery, POLICY, SocketLimits(handshake=0.05))
    assert caught.value.refusal.status == 408
    assert b"handshake_timeout" in await peer.receive_some()
    await peer.aclose()


async def test_the_library_says_nothing_in_the_log(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    port = await nursery.start(EchoServer().run)
    client = await connect(f"ws://127.0.0.1:{port}/v1", nursery)
    await client.send("canary")
    await client.recv()
    await client.close()
    assert [record for record in caplog.records if "websocket" in record.name] == []
    nursery.cancel_scope.cancel()


async def test_another_implementation_sees_our_close_code(nursery: trio.Nursery) -> None:
    server = EchoServer()
    port = await nursery.start(server.run)
    async with other_connect(f"ws://127.0.0.1:{port}/v1") as client:
        await client.send("x" * (LIMITS.frame_bytes_before + 1))
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
    nursery.cancel_scope.cancel()
