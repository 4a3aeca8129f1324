"""An actor that takes more than one message in hand."""

from collections.abc import Awaitable, Callable

import trio
from greenroom.actors import Actor, ActorRef, Question


class Word(str, Question[str]):
    """Told or asked; answered with itself."""

    __slots__ = ()


Then = Callable[["Batcher", list[str]], Awaitable[None]]


async def nothing(_: "Batcher", __: list[str]) -> None:
    """Only take."""


class Batcher(Actor[Word]):
    """Waits for its gate, takes what waits, notes it with the first, then does what the test says."""

    def __init__(self, seen: list[list[str]], limits: tuple[int, ...] = (100,), then: Then = nothing) -> None:
        self.seen = seen
        self.limits = limits
        self.then = then

    async def receive(self, message: Word) -> str:
        await trio.sleep(1)
        batch = [message]
        for limit in self.limits:
            batch += self.take_waiting(limit)
        self.seen.append(batch)
        await self.then(self, batch)
        return message


def tell(actor: ActorRef[Word], words: str) -> None:
    for word in words.split():
        actor.tell(Word(word))
