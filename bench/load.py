"""Many clients at once on raw sockets: frames out, acks in, and how long each took."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from ..runtime.websocket import ClientSocket, connect

# Two hundred bytes of text: a chat message of a few lines.
TEXT = ("A short message of a conversation, as people write them. " * 4)[:200]


class UnexpectedFrameError(Exception):
    """The server answered with an error; the text is its frame."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sent.

    Attributes:
        connections: WebSocket connections; the sessions are shared out among them.
        sessions: How many.
        messages: Per session.
        window: Unanswered messages per connection.
        attached: Whether each connection also hears its sessions' events.
    """

    connections: int
    sessions: int
    messages: int
    window: int
    attached: bool


@dataclass
class Result:
    """What came back; seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    finished_turns: int = 0


class _Frame(msgspec.Struct):
    id: int | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _Event(msgspec.Struct):
    type: str


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_event = msgspec.json.Decoder(_Event).decode


class _Connection:
    """One connection with its sessions; sends round-robin, so that each session's messages come in turn."""

    def __init__(self, socket: ClientSocket, sessions: Sequence[str], plan: Plan, result: Result) -> None:
        self._socket = socket
        self._sessions = sessions
        self._plan = plan
        self._result = result
        self._begun: dict[int, float] = {}
        self._requests = 0
        self._finished = 0

    async def greet(self) -> None:
        """Introduce itself and attach, each answered before the next."""
        hello = {"protocol": 1, "client": {"name": "bench", "version": "1"}}
        await self._ask("initialize", hello)
        if self._plan.attached:
            for session in self._sessions:
                await self._ask("session.attach", {"session": session})

    async def talk(self) -> None:
        """Send every message, and wait for every ack and, if attached, for every answer."""
        todo = deque((session, number) for number in range(self._plan.messages) for session in self._sessions)
        expected = len(todo) if self._plan.attached else 0
        while todo or self._begun or self._finished < expected:
            while todo and len(self._begun) < self._plan.window:
                session, number = todo.popleft()
                params = {"session": session, "client_id": str(number), "content": TEXT}
                await self._send("message.send", params)
            await self._take_one()
        self._result.finished_turns += self._finished

    async def _send(self, method: str, params: dict[str, Any]) -> None:
        self._requests += 1
        request = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}
        text = msgspec.json.encode(request).decode()
        self._begun[self._requests] = time.perf_counter()
        await self._socket.send(text)

    async def _ask(self, method: str, params: dict[str, Any]) -> None:
        await self._send(method, params)
        while self._begun:
            await self._take_one()
        self._result.latencies.clear()

    async def _take_one(self) -> None:
        text = await self._socket.recv()
        frame = _decode_frame(text)
        if frame.error is not None:
            raise UnexpectedFrameError(f"expected an ack, met {text!r}")
        if frame.id is None:
            self._finished += _decode_event(frame.params).type == "turn.finished"
        else:
            self._result.latencies.append(time.perf_counter() - self._begun.pop(frame.id))


async def put_load(url: str, plan: Plan) -> Result:
    """Carry a plan out; connecting and attaching are not measured.

    Raises:
        UnexpectedFrameError: The server refused something.
        SocketClosedError: The server closed a connection.
        ConnectError: It accepted none.
    """
    result = Result()
    names = [f"bench:load:peer{number}" for number in range(plan.sessions)]
    async with trio.open_nursery() as sockets:
        connections: list[_Connection] = []
        for number in range(plan.connections):
            socket = await connect(url, sockets)
            connections.append(_Connection(socket, names[number :: plan.connections], plan, result))
            await connections[-1].greet()
        began = time.perf_counter()
        async with trio.open_nursery() as talking:
            for connection in connections:
                talking.start_soon(connection.talk)
        result.seconds = time.perf_counter() - began
        sockets.cancel_scope.cancel()
    return result
