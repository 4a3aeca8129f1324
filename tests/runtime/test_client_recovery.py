"""The client through losses, silence and slow consumers, against a scripted server on real sockets."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
from greenroom.actors.events import QueueChanged, TurnDelta
from greenroom.runtime.client import Client, open_client
from greenroom.runtime.client_conversation import INBOX_LIMIT
from greenroom.runtime.client_errors import (
    ClientClosedError,
    OutcomeUnknownError,
)
from greenroom.runtime.client_events import HeardMessage, Snapshot
from websockets.trio.server import ServerConnection

from tests.runtime.scripted_server import S, ScriptedServer, closing, cut_all, next_durable


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer]:
    scripted = ScriptedServer()
    with trio.fail_after(20):
        async with scripted.running():
            yield scripted


async def test_p5_a_message_whose_ack_was_lost_is_sent_again_under_its_id_and_stored_once(
    server: ScriptedServer,
) -> None:
    async def store_and_vanish(connection: ServerConnection, frame: dict[str, Any]) -> None:
        await server.store(connection, frame, ack=False)
        await trio.aclose_forcefully(connection.stream)

    server.say_once("message.send", store_and_vanish)
    async with open_client(server.url) as client:
        ack = await client.send(S, "hello")
    assert ack.duplicate
    first, second = server.params("message.send")
    assert first == second
    assert len(server.journals[S]) == 1


async def test_p23_after_a_lost_connection_the_conversation_goes_on_where_it_was(
    server: ScriptedServer,
) -> None:
    connections: list[bool] = []
    link = open_client(server.url, on_connection=connections.append)
    async with link as client, client.attach(S) as conversation:
        await next_durable(conversation)
        await server.publish(S, "message", {"role": "user", "content": "1"})
        await next_durable(conversation)
        await cut_all(server)
        await server.publish(S, "message", {"role": "user", "content": "2"})
        await server.publish(S, "message", {"role": "user", "content": "3"})
        heard = [await next_durable(conversation) for _ in range(2)]
    assert [event.seq for event in heard if isinstance(event, HeardMessage)] == [2, 3]
    assert connections == [True, False, True]
    place = {"session": S, "create": True, "after_seq": 1, "epoch": "1-x"}
    assert server.params("session.attach")[-1] == place


async def one_life(
    server: ScriptedServer, *, task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.CancelScope() as scope:
        async with server.running():
            task_status.started(scope)
            await trio.sleep_forever()


async def test_the_client_comes_back_to_a_server_that_was_away(nursery: trio.Nursery) -> None:
    server = ScriptedServer()
    life: trio.CancelScope = await nursery.start(one_life, server)
    tell, told = trio.open_memory_channel[bool](9)
    link = open_client(server.url, on_connection=tell.send_nowait)
    with trio.fail_after(10):
        async with link as client, client.attach(S) as conversation:
            await next_durable(conversation)
            assert await told.receive()
            life.cancel()
            assert not await told.receive()
            async with trio.open_nursery() as senders:
                senders.start_soon(client.send, S, "said while nobody listened")
                life = await nursery.start(one_life, server)
                heard = await next_durable(conversation)
    life.cancel()
    assert isinstance(heard, HeardMessage)
    assert heard.content == "said while nobody listened"
    assert len(server.journals[S]) == 1


async def test_the_text_of_a_running_turn_has_no_hole_and_no_repeat_over_a_reconnect(
    server: ScriptedServer,
) -> None:
    async with open_client(server.url) as client, client.attach(S) as conversation:
        await next_durable(conversation)
        first = {"turn_id": "t", "offset": 0, "text": "one "}
        await server.publish(S, "turn.delta", first, durable=False)
        assert await anext(conversation) == TurnDelta("t", 0, "one ")
        server.turn = {"turn_id": "t", "text": "one two ", "offset": 8}
        await cut_all(server)
        assert await anext(conversation) == QueueChanged(())
        assert await anext(conversation) == TurnDelta("t", 4, "two ")
        last = {"turn_id": "t", "offset": 8, "text": "three"}
        await server.publish(S, "turn.delta", last, durable=False)
        assert await anext(conversation) == TurnDelta("t", 8, "three")
        assert conversation.turn_text == "one two three"


@pytest.mark.parametrize(
    "words", ["nonsense", "[]", '{"id": 2, "result": {}}', '{"method":"event","params":7}', b"binary"]
)
async def test_a_server_that_speaks_another_protocol_is_left_for_good(
    server: ScriptedServer, words: str | bytes
) -> None:
    async def babble(connection: ServerConnection, _frame: dict[str, Any]) -> None:
        await connection.send(words)
        await connection.aclose(4501)

    server.say_once("stats", babble)
    async with open_client(server.url) as client:
        with pytest.raises(ClientClosedError):
            await client.stats()


async def test_a_close_for_good_ends_everything_with_its_code(server: ScriptedServer) -> None:
    server.say_once("stats", closing(4501, "bad token"))
    async with open_client(server.url) as client, client.attach(S) as conversation:
        await next_durable(conversation)
        with pytest.raises(ClientClosedError) as caught:
            await client.stats()
        assert (caught.value.code, caught.value.reason) == (4501, "bad token")
        with pytest.raises(ClientClosedError):
            await anext(conversation)
        with pytest.raises(ClientClosedError):
            await client.send(S, "too late")
    assert len(server.params("initialize")) == 1


async def test_a_request_that_must_not_be_repeated_fails_with_the_connection(server: ScriptedServer) -> None:
    server.say_once("session.reset", closing(1011))
    async with open_client(server.url) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.request("session.reset", {"session": S})
        assert await client.ping()
    assert len(server.params("session.reset")) == 1


async def test_a_draining_server_says_when_to_come_back(server: ScriptedServer) -> None:
    async def drain(connection: ServerConnection, _frame: dict[str, Any]) -> None:
        data = {"deadline_ms": 0, "retry_after_ms": 400}
        event = {"type": "server.draining", "at": "2026-11-22T10:00:00Z", "data": data}
        await connection.send(json.dumps({"jsonrpc": "2.0", "method": "event", "params": event}))
        await connection.aclose(4001, "draining")

    server.say_once("ping", drain)
    async with open_client(server.url) as client:
        began = trio.current_time()
        await client.ping()
        assert trio.current_time() - began >= 0.4


async def flood(server: ScriptedServer, frames: int) -> None:
    for number in range(frames):
        await server.publish(S, "message", {"role": "user", "content": f"{number} " + "x" * 60_000})


async def test_p15_a_slow_consumer_costs_bounded_memory_and_holds_up_nobody_else(
    server: ScriptedServer,
) -> None:
    frames = 3 * INBOX_LIMIT // 60_000
    async with open_client(server.url) as client, client.attach(S) as conversation:
        await next_durable(conversation)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, server, frames)
            while len(server.journals[S]) < frames:
                await client.ping()
                assert conversation._weight <= INBOX_LIMIT + 2 * 60_100
        place = 0
        while place < frames:
            event = await next_durable(conversation)
            place = event.head_seq if isinstance(event, Snapshot) else event.seq
        assert place == frames


async def test_a_consumer_may_wait_for_an_answer_with_its_inbox_full(server: ScriptedServer) -> None:
    frames = 2 * INBOX_LIMIT // 60_000
    async with open_client(server.url) as client, client.attach(S) as conversation:
        await flood(server, frames)
        seqs: list[int] = []
        while not seqs or seqs[-1] < frames:
            event = await next_durable(conversation)
            if isinstance(event, Snapshot):
                seqs = [event.head_seq]
            else:
                seqs.append(event.seq)
            if len(seqs) % 50 == 1:
                await client.ping()
        assert seqs == list(range(seqs[0], frames + 1))


async def test_a_server_that_falls_silent_is_left_and_found_again(server: ScriptedServer) -> None:
    async def nothing(_connection: ServerConnection, _frame: dict[str, Any]) -> None:
        pass

    server.heartbeat_ms = 1_000
    server.say_once("ping", nothing)
    async with open_client(server.url):
        await server.seen("initialize", 2)


async def use(client: Client) -> None:
    for _ in range(50):
        await client.send(S, "hello")


async def test_p2_many_senders_through_many_losses_lose_and_repeat_nothing(server: ScriptedServer) -> None:
    async with open_client(server.url) as client, client.attach(S) as conversation:
        await next_durable(conversation)
        heard: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(use, client)
            while len(heard) < 200:
                event = await next_durable(conversation)
                assert isinstance(event, HeardMessage)
                heard.append(event.seq)
                if len(heard) in {20, 60, 61, 150}:
                    await cut_all(server)
    assert heard == list(range(1, 201))
    assert len(server.params("initialize")) >= 4
