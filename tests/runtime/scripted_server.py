"""A small server on another WebSocket library; keeps to the protocol except where a test wants it not to."""

import functools
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from greenroom.runtime.client_conversation import Conversation
from greenroom.runtime.client_events import HeardMessage, Snapshot, TurnEnded
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
            serving = functools.partial(serve, self._talk, self.port, host="127.0.0.1", max_size=None)
            server: Server = await nursery.start(serving)
            self.port = server.listeners[0].socket.getsockname()[1]
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

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


async def next_durable(conversation: Conversation) -> HeardMessage | TurnEnded | Snapshot:
    while True:
        event = await anext(conversation)
        if isinstance(event, HeardMessage | TurnEnded | Snapshot):
            return event


async def cut_all(server: ScriptedServer) -> None:
    """Cut every connection without a close frame."""
    for connection in list(server.connections):
        await trio.aclose_forcefully(connection.stream)
