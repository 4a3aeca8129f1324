"""A client made of another WebSocket library and plain JSON: it shares no code with what it tests."""

import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect

PATIENCE = 10.0  # seconds; a loaded machine is no failure
CLIENT = {"name": "test", "version": "1"}


class RequestFailedError(Exception):
    """The answer was an error; ``error`` is its object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error
        self.name: str = error["data"]["name"]


class Peer:
    """One connection. Reads only while it is asked for something; ``log`` is every frame in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.log: list[dict[str, Any]] = []
        self._ids = 0
        self._events: deque[dict[str, Any]] = deque()
        self._answers: dict[Any, dict[str, Any]] = {}

    async def receive(self) -> dict[str, Any]:
        """Read one frame and file it."""
        with trio.fail_after(PATIENCE):
            frame = json.loads(await self.socket.recv())
        assert frame["jsonrpc"] == "2.0"
        self.log.append(frame)
        if frame.get("method") == "event":
            self._events.append(frame["params"])
        else:
            self._answers[frame["id"]] = frame
        return frame

    async def post(self, method: str, /, **params: object) -> int:
        """Send a request without waiting for its answer; its id."""
        self._ids += 1
        await self.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        return self._ids

    async def send(self, frame: object) -> None:
        with trio.fail_after(PATIENCE):
            await self.socket.send(
                frame if isinstance(frame, str | bytes) else json.dumps(frame, ensure_ascii=False)
            )

    async def answer(self, request_id: object) -> dict[str, Any]:
        """The whole answer frame."""
        while request_id not in self._answers:
            await self.receive()
        return self._answers.pop(request_id)

    async def result(self, request_id: object) -> Any:  # noqa: ANN401  # any JSON value
        frame = await self.answer(request_id)
        if "error" in frame:
            raise RequestFailedError(frame["error"])
        return frame["result"]

    async def call(self, method: str, /, **params: object) -> Any:  # noqa: ANN401  # any JSON value
        return await self.result(await self.post(method, **params))

    async def event(self, *types: str) -> dict[str, Any]:
        """The next event, of one of these types if any are named; others before it are passed over."""
        while True:
            while self._events:
                event = self._events.popleft()
                if not types or event["type"] in types:
                    return event
            await self.receive()

    async def say(self, session: str, content: str, client_id: str, **more: object) -> Any:  # noqa: ANN401
        return await self.call("message.send", session=session, content=content, client_id=client_id, **more)

    async def closed(self) -> tuple[int | None, str]:
        """Read to the end; the close code and reason."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as exc:
            return (exc.rcvd.code, exc.rcvd.reason) if exc.rcvd else (None, "")


@asynccontextmanager
async def peer(url: str, *, initialize: bool = True, **options: Any) -> AsyncGenerator[Peer]:  # noqa: ANN401
    """Connect, initialize, and hang up at the end."""
    defaults = {"ping_interval": None, "close_timeout": 1, "max_size": None, "proxy": None}
    async with connect(url, **(defaults | options)) as socket:
        one = Peer(socket)
        if initialize:
            await one.call("initialize", protocol=1, client=CLIENT)
        yield one
