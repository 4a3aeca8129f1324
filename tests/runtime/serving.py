"""A whole runtime with its gateway, in the test's own loop, on a real socket and a real file."""

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import SQLiteSessionStore
from greenroom.runtime.agents import echo
from greenroom.runtime.bind import bind, port_of
from greenroom.runtime.config import Config, Limits
from greenroom.runtime.core import Core
from greenroom.runtime.gateway import Gateway
from greenroom.runtime.wiring import open_core

ECHO = Agent("echo", echo, on_interrupt="retry")


@dataclasses.dataclass
class Serving:
    """The server under test; ``reports`` is what it told its operator."""

    core: Core
    gateway: Gateway
    port: int
    reports: list[msgspec.Struct]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"


class Gated:
    """An agent that says each piece of its script only when it is let on; ``begun`` counts its turns."""

    def __init__(self) -> None:
        self.begun = 0
        self._permits = trio.Semaphore(0)

    async def __call__(self, turn: Turn) -> None:
        self.begun += 1
        for word in turn.messages[-1].content.split():
            await self._permits.acquire()
            await turn.say(word + " ")

    def let(self, pieces: int = 1) -> None:
        for _ in range(pieces):
            self._permits.release()

    @property
    def agent(self) -> Agent:
        return Agent("gated", self, on_interrupt="retry")


@asynccontextmanager
async def serving(folder: Path, agent: Agent = ECHO, **limits: float) -> AsyncGenerator[Serving]:
    """Serve until the block ends; then stop in the order of ``greenroom serve``, connections cut."""
    reports: list[msgspec.Struct] = []
    config = Config(limits=msgspec.convert({"drain": 0.2, "stop_grace": 0.2} | limits, Limits))
    store = SQLiteSessionStore(folder / "greenroom.db")
    listeners = await bind("127.0.0.1", 0)
    async with open_core(store, agent, config.limits, reports.append) as core:
        gateway = Gateway(config, core, 1, reports.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.run, listeners)
            yield Serving(core, gateway, port_of(listeners), reports)
            nursery.cancel_scope.cancel()
