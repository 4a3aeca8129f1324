"""Our own actors, supervised and bounded; their handlers are coroutines (`awaiting`) or not (`inline`)."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import trio

from ...actors import Actor, ActorRef, Question, Supervisor, open_supervisor
from ...actors.errors import MailboxFullError
from .contender import FAN_BURST, SENDERS
from .on_trio import OnTrio


@dataclass(frozen=True, slots=True)
class Increment:
    """Count one more."""


@dataclass(frozen=True, slots=True)
class Get(Question[int]):
    """How many?"""


Message = Increment | Get

# Senders of a fan-in all run before the actor does; a mailbox that holds a burst of each is not refused.
_MAILBOX = SENDERS * FAN_BURST


class _Awaiting(Actor[Message]):
    def __init__(self) -> None:
        self.n = 0

    async def receive(self, message: Message) -> int | None:
        if isinstance(message, Get):
            return self.n
        self.n += 1
        return None


class _Inline(Actor[Message]):
    def __init__(self) -> None:
        self.n = 0

    def receive(self, message: Message) -> int | None:
        if isinstance(message, Get):
            return self.n
        self.n += 1
        return None


class _System:
    """A supervisor, one_for_one."""

    def __init__(self, supervisor: Supervisor, behaviour: Callable[[], Actor[Message]]) -> None:
        self._supervisor = supervisor
        self._behaviour = behaviour
        self._started = 0
        self.get = Get()

    async def start(self) -> ActorRef[Message]:
        self._started += 1
        return await self._supervisor.spawn(
            self._behaviour, name=f"counter {self._started}", mailbox=_MAILBOX
        )

    async def send(self, actor: ActorRef[Message], count: int, burst: int) -> None:
        tell, increment = actor.tell, Increment()
        for _ in range(count // burst):
            for _ in range(burst):
                try:
                    tell(increment)
                except MailboxFullError:
                    await _tell_patiently(actor, increment)
            await trio.lowlevel.checkpoint()


async def _tell_patiently(actor: ActorRef[Message], message: Message) -> None:
    while True:
        await trio.lowlevel.checkpoint()
        try:
            actor.tell(message)
        except MailboxFullError:
            continue
        return


def _opening(behaviour: Callable[[], Actor[Message]]) -> Callable[[], AbstractAsyncContextManager[_System]]:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[_System]:
        async with open_supervisor() as supervisor:
            yield _System(supervisor, behaviour)

    return opened


def awaiting() -> OnTrio[ActorRef[Message]]:
    """With ``async def receive``."""
    return OnTrio(_opening(_Awaiting))


def inline() -> OnTrio[ActorRef[Message]]:
    """With ``def receive``."""
    return OnTrio(_opening(_Inline))
