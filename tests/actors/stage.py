"""A host of turns with nothing round it: actors that stand for sessions, and ends for the test to answer."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from greenroom.actors import Actor, ActorRef, open_supervisor
from greenroom.actors.commands import Command, EndTurn
from greenroom.actors.turn import Agent, Turn
from greenroom.actors.turn_host import TurnHost
from trio.testing import wait_all_tasks_blocked

from tests.actors.hand import ANN, Reports

SECONDS, GRACE = 60.0, 1.0


class Desk(Actor[Command]):
    """Stands for a session: hands over each end that it is told of."""

    def __init__(self, told: "trio.MemorySendChannel[EndTurn]") -> None:
        self._told = told

    def receive(self, message: Command, /) -> None:
        assert isinstance(message, EndTurn)
        self._told.send_nowait(message)


class Stage:
    """A host, and a desk to which it tells the ends of all its turns."""

    def __init__(self, nursery: trio.Nursery, agent: Agent, places: int) -> None:
        self.nursery = nursery
        self.reports = Reports()
        self.host = TurnHost(nursery, agent, SECONDS, GRACE, self.reports, places)
        self.told, self._ends = trio.open_memory_channel[EndTurn](math.inf)
        self.desk: ActorRef[Command]

    def start(self, turn_id: str = "t1") -> Turn:
        turn = Turn(ANN, turn_id, 1, (), context=tuple, tell=lambda _, __: None, max_bytes=100)
        self.host.start(turn, self.desk)
        return turn

    async def end(self) -> EndTurn:
        """The next end that the desk is told of."""
        with trio.fail_after(1000):  # of virtual time, where a test has it
            return await self._ends.receive()

    def ends(self) -> list[EndTurn]:
        """The ends told so far and not yet taken."""
        return [self._ends.receive_nowait() for _ in range(self._ends.statistics().current_buffer_used)]

    async def is_idle(self) -> bool:
        """Whether every end is stored, when all has been done that can be."""
        await wait_all_tasks_blocked()
        return self.host._idle.is_set()


@asynccontextmanager
async def staged(agent: Agent, places: int = 64) -> AsyncGenerator[Stage]:
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        stage = Stage(nursery, agent, places)
        stage.desk = await supervisor.spawn(Desk, stage.told)
        yield stage
        nursery.cancel_scope.cancel()
