"""What the state machine does to actors, and what it sees of them: numbered messages and a journal."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import trio
from greenroom.actors import Actor, ActorRef, Finished, Question, Supervisor
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorQuarantinedError,
    ActorStoppedError,
    MailboxFullError,
)

Do = Literal["count", "crash", "finish", "pause"]


@dataclass(frozen=True)
class Numbered(Question[int]):
    """One message of one sender; ``do`` says what the handler does."""

    sender: int
    number: int
    do: Do


@dataclass
class Journal:
    """What happened to one actor, over all its instances."""

    begun: list[Numbered] = field(default_factory=list[Numbered])
    done: list[Numbered] = field(default_factory=list[Numbered])
    crashes: int = 0
    finishes: int = 0
    started: int = 0
    stopped: int = 0
    at_work: int = 0
    most_at_work: int = 0

    def begin(self, message: Numbered) -> None:
        self.begun.append(message)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)

    def end(self, message: Numbered) -> int:
        match message.do:
            case "crash":
                self.crashes += 1
                raise ValueError(message.number)
            case "finish":
                self.finishes += 1
                self.done.append(message)
                raise Finished(message.number)
            case _:
                self.done.append(message)
                return message.number


class Plain(Actor[Numbered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        journal.started += 1
        journal.stopped += 1  # has neither

    def receive(self, message: Numbered) -> int:
        self.journal.begin(message)
        try:
            return self.journal.end(message)
        finally:
            self.journal.at_work -= 1


class Waiting(Actor[Numbered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def started(self) -> None:
        await trio.lowlevel.checkpoint()
        self.journal.started += 1

    async def receive(self, message: Numbered) -> int:
        self.journal.begin(message)
        try:
            if message.do == "pause":
                await trio.sleep(0.05)
            elif message.number % 2:
                await trio.lowlevel.checkpoint()
            return self.journal.end(message)
        finally:
            self.journal.at_work -= 1

    async def stopped(self) -> None:
        await trio.lowlevel.checkpoint()
        self.journal.stopped += 1


class Sender:
    """Does one thing after another, and keeps account of what became of each message."""

    def __init__(self, supervisor: Supervisor, refs: list[ActorRef[Numbered]]) -> None:
        self._supervisor = supervisor
        self._refs = refs
        self.accepted = [Counter[Numbered]() for _ in refs]
        self.unsure = [Counter[Numbered]() for _ in refs]
        self.asked = 0
        self.answers: list[str] = []

    def tell(self, actor: int, message: Numbered) -> None:
        try:
            self._refs[actor].tell(message)
        except (MailboxFullError, ActorQuarantinedError):
            return
        except ActorStoppedError:
            pass  # a dead letter
        self.accepted[actor][message] += 1

    async def ask(self, actor: int, message: Numbered, patience: int | None) -> None:
        self.asked += 1
        with trio.CancelScope() as scope:
            if patience is not None:
                scope.deadline = trio.current_time() + patience / 100
            try:
                answer = await self._refs[actor].ask(message)
            except MailboxFullError:
                self.answers.append("full")
            except ActorQuarantinedError:
                self.answers.append("resting")
                self.unsure[actor][message] += 1  # refused, or laid to rest with the actor
            except (ActorStoppedError, ActorCrashedError) as exc:
                self.answers.append(exc.name)
                self.accepted[actor][message] += 1
            else:
                assert answer == message.number
                self.answers.append("answer")
                self.accepted[actor][message] += 1
        if scope.cancelled_caught:
            self.answers.append("left")
            self.unsure[actor][message] += 1

    def replay(self) -> None:
        for letter in self._supervisor.dead_letters:
            if letter.fate in {"poison", "quarantined"} and isinstance(letter.message, Numbered):
                try:
                    letter.replay()
                except (MailboxFullError, ActorQuarantinedError, ActorStoppedError):
                    continue
                self.accepted[int(letter.actor)][letter.message] += 1
                self._count_taken(int(letter.actor), letter.message)
                return

    def _count_taken(self, actor: int, message: Numbered) -> None:
        """A letter taken out of the list is a message accounted for."""
        self.accepted[actor][message] -= 1
