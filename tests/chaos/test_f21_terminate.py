"""Fault F21: SIGTERM while a thousand sessions are talked in, two hundred in the middle of an answer."""

import json
import os
import random
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect

from tests.chaos.checker import check
from tests.chaos.history import Ack, History, Sent
from tests.chaos.journal import read_journals
from tests.runtime.processes import PATIENCE, RunningServer

TERMS: Final = int(os.environ.get("TERMS", "1"))  # lives that end by a signal
SLOW: Final = 200
QUICK: Final = 800
TALKERS: Final = 8  # connections beside the one of the slow sessions
ACKS: Final = 1000  # before the signal
DRAIN: Final = 1.0  # seconds; an untouched server has 5, and 10 until its end
WINDOW: Final = 8  # messages under way per connection
EXIT_SECONDS: Final = 10.0
PAUSE: Final = 0.05  # seconds after a refusal

AGENT = """
import trio

async def answer(turn):
    if turn.messages[-1].content.startswith("think"):
        await turn.say("well ")
        await trio.sleep_forever()
    await turn.say("yes")
"""


class Speaker:
    """One connection. It may be closed by the server; whatever it is refused must be for the server's end."""

    def __init__(self, name: str, connection: ClientConnection, history: History) -> None:
        self.close_code: int | None = None
        self.name = name
        self._connection = connection
        self._history = history
        self._asked: dict[int, Sent | None] = {}
        self._requests = 0

    async def greet(self) -> None:
        await self._ask("initialize", None, protocol=1, client={"name": self.name, "version": "1"})
        await self._take()

    async def talk(self, sessions: Sequence[str], life: int) -> None:
        """Say one thing after the other in the sessions, in turn, until the connection is closed."""
        todo, said = deque(sessions), 0
        while True:
            while len(self._asked) < WINDOW:
                said += 1
                await self._say(todo[0], name := f"{self.name}-{life}-{said}", f"hello {name}")
                todo.rotate(-1)
            if "error" in await self._take():
                await trio.sleep(PAUSE)

    async def have_begun(self, sessions: Sequence[str], life: int) -> None:
        """Have the agent begin an answer in each session that it will not end."""
        todo, begun = deque(sessions), set[str]()
        while todo or self._asked or len(begun) < len(sessions):
            while todo and len(self._asked) < WINDOW:
                session = todo.popleft()
                await self._ask("session.attach", None, session=session)
                await self._say(session, f"{self.name}-{life}", f"think about {life}")
            frame = await self._take()
            if frame.get("params", {}).get("type") == "turn.delta":
                begun.add(frame["params"]["session"])

    async def repeat(self, messages: Sequence[Sent]) -> None:
        """Send messages again and wait until each is answered."""
        for sent in messages:
            await self._say(sent.session, sent.client_id, sent.content, wait="done")
            await self._take_all()

    async def listen(self) -> None:
        """Read on until the connection is closed."""
        while True:
            await self._take()

    async def _say(self, session: str, client_id: str, content: str, **how: str) -> None:
        sent = Sent(self.name, session, client_id, content)
        if "wait" not in how:
            self._history.sent.append(sent)
        await self._ask("message.send", sent, session=session, client_id=client_id, content=content, **how)

    async def _ask(self, method: str, sent: Sent | None, **params: object) -> None:
        self._requests += 1
        self._asked[self._requests] = sent
        frame = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}
        await self._connection.send(json.dumps(frame))

    async def _take_all(self) -> None:
        while self._asked:
            await self._take()

    async def _take(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self._connection.recv())
        if "id" in frame:
            sent = self._asked.pop(frame["id"])
            if "error" in frame:
                assert frame["error"]["data"]["name"] == "shutting_down", frame
            elif sent is not None:
                one = frame["result"]
                self._history.acks.append(
                    Ack(sent.client, sent.session, sent.client_id, one["seq"], one["epoch"], one["duplicate"])
                )
        return frame


def names(kind: str, count: int) -> list[str]:
    return [f"agent:{kind}:peer{number}" for number in range(count)]


Live = Callable[[Speaker, trio.TaskStatus[None]], Awaitable[None]]


@dataclass
class Town:
    """People who talk on several connections, for as long as there is a server.

    Attributes:
        url: Where the server of this life listens.
        life: Its number.
    """

    history: History
    url: str
    life: int
    speakers: list[Speaker] = field(default_factory=list)

    async def speak(
        self, name: str, live: Live, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Open one connection and live on it until it is closed."""
        # Without max_queue=None, closing while unread frames fill the queue waits for ever.
        async with connect(
            self.url, subprotocols=["greenroom.v1"], proxy=None, ping_interval=None, max_queue=None
        ) as connection:
            speaker = Speaker(name, connection, self.history)
            self.speakers.append(speaker)
            await speaker.greet()
            try:
                await live(speaker, task_status)
            except ConnectionClosed as closed:
                speaker.close_code = closed.rcvd.code if closed.rcvd else None

    async def think(self, speaker: Speaker, task_status: trio.TaskStatus[None]) -> None:
        await speaker.have_begun(names("slow", SLOW), self.life)
        task_status.started()
        await speaker.listen()

    async def talk(self, speaker: Speaker, task_status: trio.TaskStatus[None]) -> None:
        number = int(speaker.name.removeprefix("c"))
        task_status.started()
        await speaker.talk(names("quick", QUICK)[number::TALKERS], self.life)

    async def acked(self, more: int) -> None:
        """Wait for so many further acks."""
        enough = len(self.history.acks) + more
        while len(self.history.acks) < enough:  # noqa: ASYNC110 - acks are counted in one place only
            await trio.sleep(0.01)


async def live_and_end(folder: Path, history: History, life: int, chance: random.Random) -> tuple[int, float]:
    """Talk, signal at some moment, talk on until every connection is closed; how the process ended."""
    with RunningServer(folder, "--config", "greenroom.toml", "--agent", "thoughtful:answer") as server:
        town = Town(history, server.addresses["ws"], life)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(town.speak, "thinker", town.think)
                for number in range(TALKERS):
                    await nursery.start(town.speak, f"c{number}", town.talk)
                await town.acked(ACKS)
                await trio.sleep(chance.uniform(0, 0.1))
                began = trio.current_time()
                server.process.send_signal(signal.SIGTERM)
                code = await trio.to_thread.run_sync(server.process.wait, PATIENCE)
                took = trio.current_time() - began
        assert [speaker.close_code for speaker in town.speakers] == [4001] * (TALKERS + 1)
    return code, took


async def answer_what_is_left(folder: Path, history: History) -> None:
    """Ask a new process for the end of everything that was acked."""
    answered = {(row.session, seq) for rows in history.stored.values() for row in rows for seq in row.answers}
    sent = {(message.session, message.client_id): message for message in history.sent}
    left = [
        sent[ack.session, ack.client_id] for ack in history.acks if (ack.session, ack.seq) not in answered
    ]
    with RunningServer(folder, "--agent", "thoughtful:answer") as server:

        async def repeat(speaker: Speaker, task_status: trio.TaskStatus[None]) -> None:
            await speaker.repeat(left)
            task_status.started()

        await Town(history, server.addresses["ws"], 0).speak("late", repeat)
        assert await trio.to_thread.run_sync(server.stop) == 0


async def test_f21_p18_a_signal_under_load_loses_nothing_acked_and_marks_every_interrupted_turn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thoughtful.py").write_text(AGENT)
    (tmp_path / "greenroom.toml").write_text(f"[limits]\ndrain = {DRAIN}\nturns = {SLOW + QUICK}\n")
    history, chance = History(), random.Random(21)  # noqa: S311 - moments, no secrets
    log, db = tmp_path / "greenroom.db-wal", tmp_path / "greenroom.db"
    ends: list[float] = []
    for life in range(1, TERMS + 1):
        code, took = await live_and_end(tmp_path, history, life, chance)
        ends.append(took)
        assert code == 0
        assert took <= EXIT_SECONDS
        assert not log.exists() or log.stat().st_size == 0
        history.stored = read_journals(db)
        assert check(history) == []
        for session in names("slow", SLOW):
            rows = [row.content for row in history.stored[session]]
            assert rows == [
                text
                for past in range(1, life + 1)
                for text in (f"think about {past}", "well ", "interrupted")
            ]
    assert capfd.readouterr().err == ""
    await answer_what_is_left(tmp_path, history)
    history.stored = read_journals(db)
    assert check(history, answered=True) == []
    with capfd.disabled():
        print(f"\n{TERMS} signals, {len(history.acks)} acks, the end took at most {max(ends):.2f} s")  # noqa: T201 - for people
