"""A client that is cut off again and again sees every durable event once, and each turn's text whole."""

import random
import socket
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message
from websockets.exceptions import ConnectionClosed

from .peer import Peer, peer
from .serving import Serving, serving

S = "echo:test:ann"
SILENT = Agent("none", None)
TURNS = 3
WORDS = 20


@dataclass
class View:
    """All that one user knows of a session, over all connections; every frame is checked as it comes."""

    session: str
    epoch: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    turn_id: str | None = None
    text: str = ""
    whole_turns: int = 0

    @property
    def finished(self) -> int:
        return sum(event["type"] == "turn.finished" for event in self.events)

    async def attach(self, client: Peer) -> None:
        position = {"epoch": self.epoch, "after_seq": len(self.events)}
        answer = await client.call("session.attach", session=self.session, **position)
        assert (answer["recovered"], answer["epoch"]) == (True, self.epoch)
        for event in answer["events"]:
            self._durable(event)
        assert len(self.events) == answer["head_seq"]
        running = answer.get("turn")
        if running is None:
            self.turn_id = None
            return
        assert running["offset"] == len(running["text"])
        if running["turn_id"] == self.turn_id:
            assert running["text"].startswith(self.text)
        self.turn_id, self.text = running["turn_id"], running["text"]

    def take(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if "seq" in event:
            self._durable(event)
        elif event["type"] == "turn.started":
            assert self.turn_id is None
            self.turn_id, self.text = data["turn_id"], ""
        elif event["type"] == "turn.delta":
            assert (data["turn_id"], data["offset"]) == (self.turn_id, len(self.text))
            self.text += data["text"]

    def _durable(self, event: dict[str, Any]) -> None:
        assert event["seq"] == len(self.events) + 1
        self.events.append(event)
        data = event["data"]
        if event["type"] == "turn.finished":
            self.turn_id = None
        elif data["role"] == "assistant" and data["turn_id"] == self.turn_id:
            assert data["content"].startswith(self.text)
            self.whole_turns += data["content"] == self.text


class Paced:
    """Says one word for each step that its session is given."""

    def __init__(self) -> None:
        self.gates: defaultdict[str, trio.Semaphore] = defaultdict(lambda: trio.Semaphore(0))

    async def __call__(self, turn: Turn) -> None:
        for word in turn.messages[-1].content.split():
            await self.gates[str(turn.session)].acquire()
            await turn.say(f"{word} ")

    def let(self, session: str, steps: int) -> None:
        for _ in range(steps):
            self.gates[session].release()


async def cut(client: Peer, chance: random.Random) -> None:
    """End the connection, with a reset or a goodbye, whatever is on its way."""
    if chance.random() < 0.5:
        stream = client.socket.stream
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.socket.close()
    else:
        await client.socket.aclose()


async def follow(server: Serving, paced: Paced, view: View, chance: random.Random) -> int:
    """Watch a session to its end over connections cut at any frame; how many cuts came amid a turn's text."""
    cuts = 0
    while view.finished < TURNS:
        async with peer(server.url) as client:
            await view.attach(client)
            for _ in range(chance.randint(0, 4)):
                paced.let(view.session, chance.randint(0, 3))
                with trio.move_on_after(0.02):  # there may be nothing to come: then the cut is now
                    while chance.random() < 0.8:
                        view.take(await client.event())
            cuts += view.turn_id is not None and view.text != ""
            await cut(client, chance)
        paced.let(view.session, chance.randint(0, 4))
    return cuts


@pytest.mark.parametrize("seed", range(4))
async def test_p23_cut_anywhere_in_a_stream_a_client_misses_and_repeats_nothing(
    tmp_path: Path, seed: int
) -> None:
    paced = Paced()
    cuts: list[int] = []
    views = [View(f"a:b:{number}") for number in range(6)]

    async def watch(view: View, number: int) -> None:
        chance = random.Random(seed * 100 + number)  # noqa: S311  # a test that can be run again
        cuts.append(await follow(server, paced, view, chance))

    async with serving(tmp_path, Agent("paced", paced, "retry")) as server, peer(server.url) as sender:
        for view in views:
            for turn in range(TURNS):
                words = " ".join(f"{turn}.{word}🧵" for word in range(WORDS))
                view.epoch = (await sender.say(view.session, words, str(turn)))["epoch"]
        async with trio.open_nursery() as nursery:
            for number, view in enumerate(views):
                nursery.start_soon(watch, view, number)
        for view in views:
            stored = server.core.reads.store.entries(SessionID.parse(view.session), 0, 100)
            assert [event["seq"] for event in view.events] == [entry.seq for entry in stored]
            said = [entry.body.content for entry in stored if isinstance(entry.body, Message)]
            seen = [event["data"]["content"] for event in view.events if event["type"] == "message"]
            assert seen == said
            assert len(said) == 2 * TURNS
    assert sum(cuts) >= 30, cuts
    assert sum(view.whole_turns for view in views) > 0  # else nobody has seen a stream to its end


async def test_a_position_is_honoured_only_in_its_own_epoch_and_not_in_the_future(tmp_path: Path) -> None:
    async with serving(tmp_path, SILENT) as server, peer(server.url) as client:
        epoch = (await client.say(S, "one", "1"))["epoch"]
        other = (await client.say("echo:test:bob", "secret of bob", "1"))["epoch"]
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=1)
        assert (answer["recovered"], answer["events"], "snapshot" in answer) == (True, [], False)
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=0)
        assert [event["seq"] for event in answer["events"]] == [1]
        event = answer["events"][0]
        assert (event["session"], event["epoch"], event["type"]) == (S, epoch, "message")
        for wrong in ({"epoch": epoch, "after_seq": 2}, {"epoch": other, "after_seq": 0}):
            answer = await client.call("session.attach", session=S, **wrong)
            assert (answer["recovered"], "events" in answer) == (False, False)
            assert [message["content"] for message in answer["snapshot"]["messages"]] == ["one"]


async def test_a_gap_of_300_events_is_recovered_and_one_more_is_a_snapshot_of_200(tmp_path: Path) -> None:
    async with serving(tmp_path, SILENT) as server, peer(server.url) as client:
        for number in range(302):
            last = await client.post("message.send", session=S, client_id=str(number), content="x")
            if number % 200 == 0:  # a mailbox holds 256
                await client.result(last)
        epoch = (await client.result(last))["epoch"]
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=2)
        assert [event["seq"] for event in answer["events"]] == list(range(3, 303))
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=1)
        assert answer["recovered"] is False
        assert [message["seq"] for message in answer["snapshot"]["messages"]] == list(range(103, 303))
        assert answer["snapshot"]["more"] is True


async def test_a_gap_of_more_than_half_a_mebibyte_is_a_snapshot_that_fits(tmp_path: Path) -> None:
    async with serving(tmp_path, SILENT) as server, peer(server.url) as client:
        for number in range(4):
            epoch = (await client.say(S, "x" * 150_000, str(number)))["epoch"]
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=1)
        assert [event["seq"] for event in answer["events"]] == [2, 3, 4]
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=0)
        assert [message["seq"] for message in answer["snapshot"]["messages"]] == [2, 3, 4]
        assert answer["snapshot"]["more"] is True


async def test_attaching_again_replaces_the_subscription(tmp_path: Path) -> None:
    async with serving(tmp_path, SILENT) as server, peer(server.url) as client:
        for _ in range(3):
            await client.call("session.attach", session=S)
        await client.say(S, "once", "1")
        await client.call("ping")
        assert len([frame for frame in client.log if frame.get("params", {}).get("seq") == 1]) == 1


async def test_a_restarted_server_recovers_the_position_of_its_former_life(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:
        epoch = (await client.say(S, "one", "1", wait="done"))["epoch"]
    with pytest.raises(ConnectionClosed):
        await client.call("ping")
    async with serving(tmp_path) as server, peer(server.url) as client:
        await client.say(S, "two", "2", wait="done")
        answer = await client.call("session.attach", session=S, epoch=epoch, after_seq=2)
        assert [event["seq"] for event in answer["events"]] == [3, 4, 5, 6]
        assert answer["epoch"] == epoch
