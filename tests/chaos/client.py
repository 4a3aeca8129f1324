"""A client that never gives up, on the ``websockets`` library: it shares no code with the product.

It keeps ``window`` messages unacknowledged per session, reconnects when the connection dies, attaches from
the last event it saw and resends, in order, what was not acked. Everything goes into the history.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import trio
from websockets.exceptions import WebSocketException
from websockets.trio.client import ClientConnection, connect

from tests.chaos.history import Ack, History, Log, Sent
from tests.chaos.journal import row_of

RECONNECT_SECONDS = 0.02
PAUSE_SECONDS = 0.05  # after `busy`; also how often a waiting client looks whether it shall end
RESUMABLE_EVENTS = 300  # the gap up to which a server must resume event by event


class Stream:
    """What one client says to and hears from one session."""

    def __init__(self, client: str, session: str, history: History) -> None:
        self.client = client
        self.session = session
        self.log = Log(session)
        self.unacked: dict[str, Sent] = {}
        self.to_send: deque[Sent] = deque()
        self.epoch: str | None = None
        self.seen = 0
        self.paused_until = 0.0
        self.acked: set[int] = set()
        self.answered: set[int] = set()
        self._history = history
        self._count = 0
        history.logs.append(self.log)

    def say_something(self) -> None:
        """Think of one more message."""
        self._count += 1
        name = f"{self.client}-{self._count}"
        sent = Sent(self.client, self.session, name, f"message {name} in {self.session}")
        self._history.sent.append(sent)
        self.unacked[name] = sent
        self.to_send.append(sent)

    def missing(self, *, answers: bool) -> int:
        """How many acks, and answers if these are wanted, it waits for."""
        return len(self.unacked) + (len(self.acked - self.answered) if answers else 0)

    def position(self) -> dict[str, Any]:
        """Where to resume."""
        return {} if self.epoch is None else {"epoch": self.epoch, "after_seq": self.seen}

    def hear(self, event: dict[str, Any]) -> None:
        """Write down one event if it is a durable one."""
        if "seq" in event:
            data = event["data"]
            row = row_of(event["session"], event["seq"], event["epoch"], data, data.get("client_id"))
            self.log.rows.append(row)
            self.answered.update(row.answers)
            self.epoch, self.seen = event["epoch"], event["seq"]

    def resume(self, answer: dict[str, Any]) -> str | None:
        """Take the answer to an attach; says what is wrong with it, if anything."""
        if answer["recovered"]:
            for event in answer["events"]:
                self.hear(event)
            return None if self.seen == answer["head_seq"] else "resume did not reach the head"
        known = self.epoch is not None
        self.log.bases.append((len(self.log.rows), answer["head_seq"]))
        gap = answer["head_seq"] - self.seen
        self.epoch, self.seen = answer["epoch"], answer["head_seq"]
        return f"resume over {gap} events was refused" if known and gap <= RESUMABLE_EVENTS else None


class ChaosClient:
    """One client.

    Args:
        url: Where the server listens in every life.
        streams: One per session it talks in.
        window: Messages under way per session.
        on_ack: Told of each ack.

    Attributes:
        errors: Everything it met that no kill explains.
        connections: How often it was connected.
        snapshots: How often it could not resume event by event.
    """

    def __init__(
        self, url: str, streams: Sequence[Stream], *, window: int, on_ack: Callable[[Ack], None]
    ) -> None:
        self.errors: list[str] = []
        self.connections = 0
        self.snapshots = 0
        self._url = url
        self._streams = {stream.session: stream for stream in streams}
        self._window = window
        self._on_ack = on_ack
        self._asked: dict[int, tuple[Stream, Sent]] = {}
        self._requests = 0
        self._until_answered = False

    async def run(self, enough: trio.Event, *, until_answered: bool) -> None:
        """Talk until ``enough`` is set and everything said is acked, and answered if that is asked for."""
        self._until_answered = until_answered
        while not self._is_done(enough):
            try:
                # Without max_queue=None, closing while unread frames fill the queue waits for ever.
                async with connect(
                    self._url,
                    subprotocols=["greenroom.v1"],
                    proxy=None,
                    open_timeout=2,
                    ping_interval=None,
                    max_queue=None,
                ) as connection:
                    await self._greet(connection)
                    await self._talk(connection, enough)
            except (OSError, EOFError, TimeoutError, WebSocketException, trio.BrokenResourceError):
                await trio.sleep(RECONNECT_SECONDS)

    def unsettled(self) -> list[str]:
        """What it still waits for."""
        return [
            f"{stream.client} in {stream.session}: {missing} still to come"
            for stream in self._streams.values()
            if (missing := stream.missing(answers=self._until_answered))
        ]

    def _is_done(self, enough: trio.Event) -> bool:
        return enough.is_set() and not self.unsettled()

    async def _greet(self, connection: ClientConnection) -> None:
        self._asked.clear()
        hello = {"protocol": 1, "client": {"name": "chaos", "version": "1"}}
        await self._ask(connection, "initialize", hello)
        self.connections += 1
        for stream in self._streams.values():
            answer = await self._ask(
                connection, "session.attach", {"session": stream.session, **stream.position()}
            )
            if complaint := stream.resume(answer):
                self.errors.append(f"{stream.session}: {complaint}")
            self.snapshots += not answer["recovered"]
            stream.to_send = deque(stream.unacked.values())

    async def _ask(self, connection: ClientConnection, method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked = await self._send(connection, method, params)
        while True:
            frame = json.loads(await connection.recv())
            if frame.get("id") != asked:
                self._take(frame)
            elif "error" in frame:
                self.errors.append(f"{method}: {frame['error']['message']}")
                raise EOFError
            else:
                return frame["result"]

    async def _send(self, connection: ClientConnection, method: str, params: dict[str, Any]) -> int:
        self._requests += 1
        frame = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}
        await connection.send(json.dumps(frame))
        return self._requests

    async def _talk(self, connection: ClientConnection, enough: trio.Event) -> None:
        while not self._is_done(enough):
            for stream in self._streams.values():
                while trio.current_time() >= stream.paused_until:
                    if not stream.to_send and not enough.is_set() and len(stream.unacked) < self._window:
                        stream.say_something()
                    if not stream.to_send:
                        break
                    sent = stream.to_send.popleft()
                    params = {"session": sent.session, "client_id": sent.client_id, "content": sent.content}
                    self._asked[await self._send(connection, "message.send", params)] = (stream, sent)
            with trio.move_on_after(PAUSE_SECONDS):
                self._take(json.loads(await connection.recv()))

    def _take(self, frame: dict[str, Any]) -> None:
        if "method" in frame:
            if "session" in frame["params"]:
                self._streams[frame["params"]["session"]].hear(frame["params"])
            return
        stream, sent = self._asked.pop(frame["id"])
        if "error" in frame:
            self._refused(stream, sent, frame["error"])
            return
        result = frame["result"]
        stream.unacked.pop(sent.client_id, None)
        stream.acked.add(result["seq"])
        self._on_ack(
            Ack(
                sent.client, sent.session, sent.client_id, result["seq"], result["epoch"], result["duplicate"]
            )
        )

    def _refused(self, stream: Stream, sent: Sent, error: dict[str, Any]) -> None:
        # With several on their way, sending one again later would change the order by our own doing.
        if error["data"]["name"] != "busy" or self._window > 1:
            self.errors.append(f"{sent.client_id}: {error['message']}")
        stream.paused_until = trio.current_time() + PAUSE_SECONDS
        stream.to_send.appendleft(sent)
