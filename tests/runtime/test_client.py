"""The client against a scripted server on real sockets: requests, refusals and their errors."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
from greenroom.runtime.client import open_client
from greenroom.runtime.client_errors import (
    RequestError,
    UnexpectedAnswerError,
)
from greenroom.runtime.client_events import HeardMessage, Snapshot
from greenroom.runtime.dial import ConnectError
from websockets.trio.server import ServerConnection

from tests.runtime.scripted_server import S, ScriptedServer, answer, next_durable, refusing


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer]:
    scripted = ScriptedServer()
    with trio.fail_after(20):
        async with scripted.running():
            yield scripted


async def test_a_message_is_acknowledged_and_heard(server: ScriptedServer) -> None:
    async with open_client(server.url) as client, client.attach(S) as conversation:
        assert isinstance(await anext(conversation), Snapshot)
        ack = await client.send(S, "hello", client_id="c1")
        heard = await next_durable(conversation)
    assert (ack.seq, ack.epoch, ack.duplicate) == (1, "1-x", False)
    assert isinstance(heard, HeardMessage)
    assert (heard.seq, heard.content, heard.client_id) == (1, "hello", "c1")


async def test_reads_come_back_decoded(server: ScriptedServer) -> None:
    async def sessions(connection: ServerConnection, frame: dict[str, Any]) -> None:
        await answer(connection, frame, {"sessions": [], "more": False})

    server.say_once("session.list", sessions)
    async with open_client(server.url) as client:
        await client.send(S, "one")
        page = await client.history(S, before_seq=9, limit=5)
        assert [(message.seq, message.content) for message in page.messages] == [(1, "one")]
        assert not page.more
        assert await client.list(limit=3, agent_id="echo") == {"sessions": [], "more": False}
        assert "at" in await client.info(S)
        assert "at" in await client.request("session.info", {"session": S})
    assert server.params("session.history") == [{"session": S, "limit": 5, "before_seq": 9}]
    assert server.params("session.list") == [{"agent_id": "echo", "limit": 3, "offset": 0}]


async def test_an_answer_of_another_shape_is_told_as_such(server: ScriptedServer) -> None:
    server.say_once("message.send", lambda connection, frame: answer(connection, frame, {"seq": "one"}))
    async with open_client(server.url) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"message\.send"):
            await client.send(S, "hello")


async def test_a_busy_server_is_asked_again_with_the_same_client_id(server: ScriptedServer) -> None:
    for _ in range(3):
        server.say_once("message.send", refusing("busy", -32005, retryable=True, retry_after_ms=5))
    async with open_client(server.url) as client:
        ack = await client.send(S, "hello")
    assert ack.seq == 1
    assert len({params["client_id"] for params in server.params("message.send")}) == 1
    assert len(server.params("message.send")) == 4


async def test_a_refusal_for_good_is_raised_as_it_is(server: ScriptedServer) -> None:
    server.say_once("message.send", refusing("id_conflict", -32004, retryable=False))
    with pytest.raises(RequestError) as caught:
        async with open_client(server.url) as client:
            await client.send(S, "hello")
    assert (caught.value.name, caught.value.code) == ("id_conflict", -32004)


async def test_attaching_to_a_missing_session_raises_not_found(server: ScriptedServer) -> None:
    server.say_once("session.attach", refusing("not_found", -32002))
    async with open_client(server.url) as client:
        with pytest.raises(RequestError, match="not_found"):
            async with client.attach(S, create=False):
                pass
        async with client.attach(S) as conversation:
            assert isinstance(await anext(conversation), Snapshot)


async def test_a_retryable_refusal_of_an_attach_is_waited_out(server: ScriptedServer) -> None:
    refusal = refusing("session_quarantined", -32009, retryable=True, retry_after_ms=5)
    server.say_once("session.attach", refusal)
    async with open_client(server.url) as client, client.attach(S) as conversation:
        assert isinstance(await anext(conversation), Snapshot)
    assert len(server.params("session.attach")) == 2


async def test_one_client_attaches_to_a_session_once(server: ScriptedServer) -> None:
    async with open_client(server.url) as client, client.attach(S):
        with pytest.raises(RuntimeError, match="not attached"):
            async with client.attach(S):
                pass


async def test_no_server_is_one_plain_error() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(ConnectError):
        async with open_client(f"ws://127.0.0.1:{port}/v1"):
            pass


async def test_a_refused_introduction_is_one_plain_error(server: ScriptedServer) -> None:
    server.say_once("initialize", refusing("unauthorized", -32000))
    with pytest.raises(RequestError, match="unauthorized"):
        async with open_client(server.url):
            pass


async def test_the_callers_own_exception_comes_out_unwrapped(server: ScriptedServer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_client(server.url):
            _ = 1 / 0


async def test_an_interrupted_client_is_not_told_of_a_lost_connection(server: ScriptedServer) -> None:
    told: list[bool] = []
    # Trio wakes the client's tasks in any order: here its own is interrupted before the block is left.
    for _ in range(20):
        with trio.CancelScope() as scope:
            async with open_client(server.url, on_connection=told.append) as client:
                await client.ping()
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert told == [True] * 20


async def test_a_request_over_the_servers_limit_is_refused_here_and_costs_no_connection(
    server: ScriptedServer,
) -> None:
    async with open_client(server.url) as client:
        with pytest.raises(RequestError, match="too_large"):
            await client.send(S, "é" * 300_000)
        with pytest.raises(UnicodeEncodeError):
            await client.send(S, "\ud800")
        assert (await client.send(S, "small")).seq == 1
    assert len(server.params("initialize")) == 1


async def test_a_caller_that_gives_up_leaves_nothing_behind(server: ScriptedServer) -> None:
    held = trio.Event()

    async def hold(connection: ServerConnection, frame: dict[str, Any]) -> None:
        await held.wait()
        await answer(connection, frame, {})

    server.say_once("stats", hold)
    async with open_client(server.url) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stats)
            await server.seen("stats", 1)
            nursery.cancel_scope.cancel()
        held.set()
        assert await client.ping()
        assert client._board._calls == {}
