"""The actors of these tests, and what a test does to them."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio
from greenroom.actors import Actor, Finished, Question
from greenroom.actors.actor_reports import ActorEnded


@dataclass(frozen=True)
class Increment:
    """Adds one."""


class Get(msgspec.Struct, Question[int], frozen=True):
    """How many there were."""


@dataclass(frozen=True)
class Note:
    """Something to write down."""

    text: str


class Log(msgspec.Struct, Question[list[str]], frozen=True):
    """Everything written down so far."""


class Break(msgspec.Struct, Question[None], frozen=True):
    """Raises a `ValueError` with this text."""

    text: str = "broken"


class Finish(msgspec.Struct, Question[str], frozen=True):
    """Ends the actor normally, answering this."""

    answer: str = "bye"


class Wait(msgspec.Struct, Question[str], frozen=True):
    """Waits at a gate, then answers its name."""

    gate: str


Message = Increment | Get | Note | Log | Break | Finish | Wait | ActorEnded


class Counter(Actor[Message]):
    """Plain: counts and writes down."""

    def __init__(self) -> None:
        self.n = 0
        self.notes: list[str] = []

    def receive(self, message: Message) -> object:
        match message:
            case Increment():
                self.n += 1
            case Get():
                return self.n
            case Note(text):
                self.notes.append(text)
            case Log():
                return list(self.notes)
            case Break(text):
                raise ValueError(text)
            case Finish(answer):
                raise Finished(answer)
            case ActorEnded(actor, why):
                self.notes.append(f"{actor} {why}")
            case Wait():
                raise TypeError("a plain actor cannot wait")
        return None


Make = Callable[[], Actor[Message]]


class Stage:
    """What the waiting actors of one test share: gates to wait at, and a diary of what happened."""

    def __init__(self) -> None:
        self.gates: dict[str, trio.Event] = {}
        self.diary: list[str] = []

    def gate(self, name: str) -> trio.Event:
        return self.gates.setdefault(name, trio.Event())


class Player(Actor[Message]):
    """May wait: as `Counter`, and stops at gates; writes into the diary when it starts, is cut and stops."""

    def __init__(self, stage: Stage, name: str = "player") -> None:
        self.stage = stage
        self.name = name
        self.counter = Counter()
        self.busy = False

    async def started(self) -> None:
        self.stage.diary.append(f"{self.name} started")

    async def receive(self, message: Message) -> object:
        assert not self.busy, "two messages at a time"
        self.busy = True
        try:
            if isinstance(message, Wait):
                await self.stage.gate(message.gate).wait()
                self.stage.diary.append(f"{self.name} passed {message.gate}")
                return message.gate
            return self.counter.receive(message)
        except trio.Cancelled:
            self.stage.diary.append(f"{self.name} cut")
            raise
        finally:
            self.busy = False

    async def stopped(self) -> None:
        self.stage.diary.append(f"{self.name} stopped")


class Starter(Actor[Message]):
    """Calls a function in its constructor and in its start, so that a test decides how they go."""

    def __init__(self, make: Callable[[], object], start: Callable[[], object] = lambda: None) -> None:
        self.counter = Counter()
        self.start = start
        make()

    async def started(self) -> None:
        await trio.lowlevel.checkpoint()
        self.start()

    def receive(self, message: Message) -> object:
        return self.counter.receive(message)


class Reports:
    """Collects what a supervisor tells its operator."""

    def __init__(self) -> None:
        self.all: list[msgspec.Struct] = []

    def __call__(self, record: msgspec.Struct) -> None:
        self.all.append(record)

    def of(self, kind: type[msgspec.Struct]) -> list[msgspec.Struct]:
        return [record for record in self.all if isinstance(record, kind)]
