"""A client of plain JSON for tests that need no event loop: one request at a time."""

import json
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .processes import PATIENCE, RunningServer


class Caller:
    """One connection; ``events`` are those that came before answers."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.call("initialize", protocol=1, client={"name": "test", "version": "1"})

    def call(self, method: str, /, **params: object) -> dict[str, Any]:
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        while "id" not in (frame := json.loads(self.socket.recv(PATIENCE))):
            self.events.append(frame["params"])
        return frame

    def say(self, client_id: str, session: str = "a:b:c") -> dict[str, Any]:
        return self.call("message.send", session=session, client_id=client_id, content="hello")


def dial(server: RunningServer) -> ClientConnection:
    return connect(server.addresses["ws"], proxy=None, close_timeout=1)
