"""Every example of the protocol's page, played from top to bottom against a real server."""

import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from greenroom.actors.turn import Agent, Turn
from greenroom.runtime.agents import words
from greenroom.runtime.encoding import CODES
from greenroom.runtime.requests import METHODS

from .peer import Peer, peer
from .serving import serving

PAGE = (Path(__file__).parents[2] / "runtime" / "PROTOCOL.md").read_text()
NAMES = {
    "epoch",
    "epochs",
    "next_epoch",
    "turn_id",
    "cancelled",
    "end_id",
}  # opaque: one on the page stands for one in life
TIMES = {"at", "created_at", "updated_at", "last_active_at"}
FIGURES = {"commits", "appends", "version"}  # of this build, or of how fast it was


def lines(page: str) -> Iterator[str]:
    """The frames of a page's examples, one a line, each behind its arrow."""
    for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL):
        assert block[0] in "→←"
        for frame in re.split(r"\n(?=[→←])", block.strip()):
            yield " ".join(frame.split())


LINES = list(lines(PAGE))


class Paced:
    """Echoes, each word when the page comes to it, and ends when the page comes to that."""

    def __init__(self) -> None:
        self._permits = trio.Semaphore(0)

    async def __call__(self, turn: Turn) -> None:
        for word in words(turn.messages[-1].content):
            await self._permits.acquire()
            await turn.say(word)
        await self._permits.acquire()

    def meet(self, expected: dict[str, Any]) -> None:
        event = expected.get("params", {})
        data = event.get("data", {})
        # What a turn has said that was cut off is told without a further word of its agent.
        is_answer = data.get("role") == "assistant" and not data.get("partial")
        if event.get("type") == "turn.delta" or is_answer:
            self._permits.release()


class Reader:
    """Compares what came with what the page shows, and learns what its opaque names stand for."""

    def __init__(self) -> None:
        self._stands_for: dict[str, str] = {}

    def spell(self, text: str) -> str:
        """A frame of the page with the names of this run."""
        for shown, real in self._stands_for.items():
            text = text.replace(shown, real)
        return text

    def compare(self, shown: object, met: object, key: str = "") -> None:
        if isinstance(shown, dict):
            assert isinstance(met, dict)
            assert met.keys() == shown.keys(), met
            for name, value in shown.items():
                self.compare(value, met[name], name)
        elif isinstance(shown, list):
            assert isinstance(met, list)
            assert len(met) == len(shown), met
            for one, other in zip(shown, met, strict=True):
                self.compare(one, other, key)
        elif key in NAMES:
            assert self._stands_for.setdefault(str(shown), str(met)) == met
            assert sorted(set(self._stands_for.values())) == sorted(self._stands_for.values())
        elif key in TIMES:
            assert datetime.fromisoformat(str(met)).tzinfo is not None
        elif key in FIGURES:
            assert type(met) is type(shown)
        else:
            assert met == shown


class Play:
    """One reading of the page: the connection that it is at, and what it has learnt."""

    def __init__(self, url: str, agent: Paced, stack: AsyncExitStack) -> None:
        self._url = url
        self._agent = agent
        self._stack = stack
        self._reader = Reader()
        self._client: Peer | None = None
        self._initialized = False

    async def take(self, line: str) -> None:
        arrow, _, text = line.partition(" ")
        if arrow == "→":
            await self._send(text)
        elif text.startswith("closed with "):
            assert self._client is not None
            assert (await self._client.closed())[0] == int(text.removeprefix("closed with "))
        else:
            await self._receive(json.loads(text))

    async def _send(self, text: str) -> None:
        if self._client is None or ('"initialize"' in text and self._initialized):
            await self._stack.aclose()
            self._client = await self._stack.enter_async_context(peer(self._url, initialize=False))
            self._initialized = False
        self._initialized = self._initialized or '"initialize"' in text
        await self._client.send(self._reader.spell(text))

    async def _receive(self, shown: dict[str, Any]) -> None:
        assert self._client is not None
        self._agent.meet(shown)
        self._reader.compare(shown, await self._client.receive())


async def test_every_example_on_the_page_goes_as_shown(tmp_path: Path) -> None:
    paced = Paced()
    agent = Agent("echo", paced, on_interrupt="retry")
    async with serving(tmp_path, agent) as server, AsyncExitStack() as stack:
        play = Play(server.url, paced, stack)
        for line in LINES:
            await play.take(line)
    assert server.reports == []


def test_the_page_shows_every_method_of_this_version_and_names_no_other() -> None:
    shown = set(re.findall(r'→ \{.*?"method": "([a-z.]+)"', "\n".join(LINES)))
    assert shown - {"session.explode"} == set(METHODS)
    table = PAGE.partition("## Requests")[2].partition("```")[0]
    assert set(re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE)) == set(METHODS)


def test_the_page_gives_each_error_its_code() -> None:
    errors = PAGE.partition("## Errors")[2].partition("```")[0]
    rows = re.findall(r"^\| (-\d+) \| `(\w+)` \|", errors, re.MULTILINE)
    kept = [(code, name) for name, code in re.findall(r"`(\w+)` (-\d+)", errors)]
    assert {name: int(code) for code, name in rows + kept} == CODES


@pytest.mark.parametrize("shown", [{"seq": 2}, {"seq": 1, "more": 1}, {"seq": [1]}, {}])
def test_a_page_that_shows_something_else_is_found_out(shown: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        Reader().compare(shown, {"seq": 1})


def test_a_name_on_the_page_stands_for_one_and_only_one() -> None:
    reader = Reader()
    reader.compare({"turn_id": "a"}, {"turn_id": "x"})
    reader.compare({"turn_id": "b"}, {"turn_id": "y"})
    for other in ("y", "z"):
        with pytest.raises(AssertionError):
            reader.compare({"turn_id": "a"}, {"turn_id": other})
    assert reader.spell("[b, a]") == "[y, x]"
