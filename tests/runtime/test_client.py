"""The client against a small scripted server, written with another WebSocket library, on real sockets."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from greenroom.actors.events import QueueChanged, TurnDelta
from greenroom.runtime.client import Client, open_client
from greenroom.runtime.client_conversation import INBOX_LIMIT, Conversation
from greenroom.runtime.client_errors import (
    ClientClosedError,
    OutcomeUnknownError,
    RequestError,
    UnexpectedAnswerError,
)
from greenroom.runtime.client_events import HeardMessage, Snapshot, TurnEnded
from greenroom.runtime.dial import ConnectError
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import Server, ServerConnection, serve

S = "echo:test:ann"
Reply = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


class ScriptedServer:
    """Keeps one journal per session and answers properly, except where a test has put a reply of its own."""

    def __init__(self) -> None:
        self.journals: dict[str, list[dict[str, Any]]] = {}
        self.attached: dict[str, set[ServerConnection]] = {}
        self.connections: set[ServerConnection] = set()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.next_replies: dict[str, list[Reply]] = {}
        self.heartbeat_ms = 20_000
        self.turn: dict[str, Any] | None = None
        self.port = 0
        self.news = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(self._serve)
            self.port = server.listeners[0].socket.getsockname()[1]
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

    async def _serve(self, *, task_status: trio.TaskStatus[Server]) -> None:
        await serve(self._talk, self.port, host="127.0.0.1", max_size=None, task_status=task_status)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    async def seen(self, method: str, times: int) -> None:
        while Counter(name for name, _ in self.requests)[method] < times:
            self.news = trio.Event()
            await self.news.wait()

    def say_once(self, method: str, reply: Reply) -> None:
        self.next_replies.setdefault(method, []).append(reply)

    def params(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.requests if name == method]

    async def publish(self, session: str, kind: str, data: dict[str, Any], *, durable: bool = True) -> None:
        journal = self.journals.setdefault(session, [])
        event = {"session": session, "epoch": "1-x", "type": kind, "at": "2026-11-22T10:00:00Z", "data": data}
        if durable:
            event["seq"] = len(journal) + 1
            journal.append(event)
        for connection in list(self.attached.get(session, ())):
            try:
                await connection.send(json.dumps({"jsonrpc": "2.0", "method": "event", "params": event}))
            except ConnectionClosed:
                self.attached[session].discard(connection)

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            while True:
                frame = json.loads(await connection.recv())
                self.requests.append((frame["method"], frame["params"]))
                self.news.set()
                replies = self.next_replies.get(frame["method"])
                await (replies.pop(0) if replies else self._answer)(connection, frame)
        except ConnectionClosed:
            pass
        finally:
            self.connections.discard(connection)
            for peers in self.attached.values():
                peers.discard(connection)

    async def _answer(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        params, session = frame["params"], frame["params"].get("session", "")
        match frame["method"]:
            case "initialize":
                limits = {"frame_bytes": 524_288, "mailbox": 256}
                result = {"protocol": 1, "heartbeat_ms": self.heartbeat_ms, "limits": limits}
            case "session.attach":
                self.attached.setdefault(session, set()).add(connection)
                result = self._attach(session, params)
            case "message.send":
                await self.store(connection, frame)
                return
            case "session.history":
                result = {"messages": self._messages(session), "more": False}
            case _:
                result = {"at": "2026-11-22T10:00:00Z"}
        await answer(connection, frame, result)

    async def store(self, connection: ServerConnection, frame: dict[str, Any], *, ack: bool = True) -> None:
        params, session = frame["params"], frame["params"]["session"]
        journal = self.journals.setdefault(session, [])
        known = [event["seq"] for event in journal if event["data"].get("client_id") == params["client_id"]]
        seq = known[0] if known else len(journal) + 1
        if ack:
            body = {"seq": seq, "epoch": "1-x", "status": "queued", "duplicate": bool(known)}
            await answer(connection, frame, body)
        if not known:
            said = {"role": "user", "content": params["content"], "client_id": params["client_id"]}
            await self.publish(session, "message", said)

    def _messages(self, session: str) -> list[dict[str, Any]]:
        journal = self.journals.get(session, [])
        return [
            {"seq": event["seq"], "epoch": "1-x", "at": event["at"], **event["data"]}
            for event in journal
            if event["type"] == "message"
        ]

    def _attach(self, session: str, params: dict[str, Any]) -> dict[str, Any]:
        journal = self.journals.setdefault(session, [])
        result: dict[str, Any] = {
            "info": {"id": session},
            "epoch": "1-x",
            "head_seq": len(journal),
            "queue": [],
        }
        if self.turn:
            result["turn"] = self.turn
        if params.get("epoch") == "1-x" and len(journal) - params["after_seq"] <= 8:
            return {**result, "recovered": True, "events": journal[params["after_seq"] :]}
        shown = {"messages": self._messages(session)[-8:], "more": len(journal) > 8}
        return {**result, "recovered": False, "snapshot": shown}


async def answer(connection: ServerConnection, frame: dict[str, Any], result: dict[str, Any]) -> None:
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "result": result}))


def refusing(name: str, code: int, **data: object) -> Reply:
    async def reply(connection: ServerConnection, frame: dict[str, Any]) -> None:
        error = {"code": code, "message": "as the test wants", "data": {"name": name, **data}}
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "error": error}))

    return reply


def closing(code: int, reason: str = "") -> Reply:
    async def reply(connection: ServerConnection, _frame: dict[str, Any]) -> None:
        await connection.aclose(code, reason)

    return reply


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer]:
    scripted = ScriptedServer()
    with trio.fail_after(20):
        async with scripted.running():
            yield scripted


async def next_durable(conversation: Conversation) -> HeardMessage | TurnEnded | Snapshot:
    while True:
        event = await anext(conversation)
        if isinstance(event, HeardMessage | TurnEnded | Snapshot):
            return event


async def cut(server: ScriptedServer) -> None:
    """Cut every connection without a close frame."""
    for connection in list(server.connections):
        await trio.aclose_forcefully(connection.stream)


async def test_a_message_is_acknowledged_and_heard(server: ScriptedServer) -> None:
    async with open_client(server.url) as client, client.attach(S) as conversation:
        assert isinstance(await anext(conversation), Snapshot)
        ack = await client.send(S, "hello", client_id="c1")
        heard = await next_durable(conversation)
    assert (ack.seq, ack.epoch, ack.duplicate) == (1, "1-x", False)
    assert isinstance(heard, HeardMessage)
    assert (heard.seq, heard.content, heard.client_id) == (1, "hello", "c1")


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
        await cut(server)
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
        await cut(server)
        assert await anext(conversation) == QueueChanged(())
        assert await anext(conversation) == TurnDelta("t", 4, "two ")
        last = {"turn_id": "t", "offset": 8, "text": "three"}
        await server.publish(S, "turn.delta", last, durable=False)
        assert await anext(conversation) == TurnDelta("t", 8, "three")
        assert conversation.turn_text == "one two three"


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
                    await cut(server)
    assert heard == list(range(1, 201))
    assert len(server.params("initialize")) >= 4
