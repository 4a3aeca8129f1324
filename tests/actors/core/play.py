"""What the state machine does to actors, and what it sees of them: numbered messages and a journal."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import trio
from greenroom.actors import Actor, ActorRef, Finished, Question, Supervisor
from greenroom.actors.dead_letters import DeadLetter
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorQuarantinedError,
    ActorStoppedError,
    MailboxFullError,
)

Do = Literal["count", "crash", "finish", "pause", "long"]
Lane = Literal["mail", "sure", "control"]
Start = Literal["well", "slowly", "fails", "beyond repair"]


class BeyondRepairError(Exception):
    """What a start raises that no restart mends."""


@dataclass(frozen=True)
class Numbered(Question[int]):
    """One message of one sender; ``do`` says what the handler does."""

    sender: int
    number: int
    do: Do
    lane: Lane = "mail"


@dataclass
class Journal:
    """What happened to one actor, over all its instances; ``starts`` says how the next ones go."""

    starts: list[Start] = field(default_factory=list[Start])
    begun: list[Numbered] = field(default_factory=list[Numbered])
    done: list[Numbered] = field(default_factory=list[Numbered])
    urgent: set[Numbered] = field(default_factory=set[Numbered])
    overtaken: int = 0
    crashes: int = 0
    failed: int = 0
    finishes: int = 0
    started: int = 0
    stopped: int = 0
    at_work: int = 0
    most_at_work: int = 0

    def start(self) -> Start:
        """How the start that begins now is to go; raises if it is to fail."""
        start: Start = self.starts.pop(0) if self.starts else "well"
        if start in {"fails", "beyond repair"}:
            self.failed += 1
            raise (BeyondRepairError if start == "beyond repair" else OSError)(start)
        return start

    def enter(self) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)

    def begin(self, message: Numbered) -> None:
        """A message is in hand; what was to come before it must be, too."""
        self.begun.append(message)
        self.urgent.discard(message)
        if message.lane != "control" and self.urgent:
            self.overtaken += 1

    def end(self, messages: list[Numbered]) -> int:
        """All in hand are handled, or crash the actor."""
        does = {message.do for message in messages}
        if "crash" in does:
            self.crashes += 1
            raise ValueError(messages)
        self.done += messages
        if "finish" in does:
            self.finishes += 1
            raise Finished(messages[0].number)
        return messages[0].number


class Plain(Actor[Numbered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        journal.start()
        journal.started += 1
        journal.stopped += 1  # has neither

    def receive(self, message: Numbered) -> int:
        self.journal.enter()
        try:
            self.journal.begin(message)
            return self.journal.end([message])
        finally:
            self.journal.at_work -= 1


class Waiting(Actor[Numbered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def started(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.journal.start() == "slowly":
            await trio.sleep(0.1)
        self.journal.started += 1

    async def receive(self, message: Numbered) -> int:
        self.journal.enter()
        try:
            self.journal.begin(message)
            return self.journal.end([message, *await self.work(message)])
        finally:
            self.journal.at_work -= 1

    async def work(self, message: Numbered) -> list[Numbered]:
        """Take the time of a message; which others were taken with it."""
        await take_time([message])
        return []

    async def stopped(self) -> None:
        await trio.lowlevel.checkpoint()
        self.journal.stopped += 1


class Batching(Waiting):
    """Takes more, once or twice, before and after it waits."""

    async def work(self, message: Numbered) -> list[Numbered]:
        taken = self.take(message.number % 3)
        await take_time([message, *taken])
        more = self.take(message.number % 2 * 3)
        await take_time(more)
        return taken + more

    def take(self, limit: int) -> list[Numbered]:
        taken = self.take_waiting(limit)
        for message in taken:
            self.journal.begin(message)
        return taken


async def take_time(messages: Iterable[Numbered]) -> None:
    """Wait as the messages say."""
    for message in messages:
        if message.do == "pause":
            await trio.sleep(0.05)
        elif message.do == "long":
            await trio.sleep(10)  # twice as long as a stop waits for it
        elif message.number % 2:
            await trio.lowlevel.checkpoint()


class Role:
    """One name, and the actors that had it, one after the other."""

    def __init__(self) -> None:
        self.refs: list[ActorRef[Numbered]] = []
        self.journals: list[Journal] = []

    def play(self, ref: ActorRef[Numbered], journal: Journal) -> None:
        self.refs.append(ref)
        self.journals.append(journal)

    @property
    def ref(self) -> ActorRef[Numbered]:
        return self.refs[-1]

    def expect(self, message: Numbered) -> None:
        """It was accepted; if it is urgent, it must come before all mail."""
        if message.lane == "control":
            self.journals[-1].urgent.add(message)

    def forget(self, letter: DeadLetter) -> None:
        for journal in self.journals:
            journal.urgent.discard(letter.message)  # type: ignore[arg-type]  # each is numbered


class Sender:
    """Does one thing after another, and keeps account of what became of each message."""

    def __init__(self, supervisor: Supervisor, roles: list[Role]) -> None:
        self._supervisor = supervisor
        self._roles = roles
        self.accepted = [Counter[Numbered]() for _ in roles]
        self.unsure = [Counter[Numbered]() for _ in roles]
        self.asked = 0
        self.answers: list[str] = []
        self.errors: list[tuple[Numbered, type[Exception]]] = []
        self.replayed = 0

    def tell(self, actor: int, message: Numbered) -> None:
        ref = self._roles[actor].ref
        try:
            match message.lane:
                case "mail":
                    ref.tell(message)
                case "sure":
                    ref.tell_surely(message)
                case "control":
                    ref.tell_control(message)
        except MailboxFullError:
            assert message.lane == "mail", "the others are never refused for want of room"
        except ActorQuarantinedError:
            pass
        except ActorStoppedError:
            self.accepted[actor][message] += message.lane == "mail"  # a dead letter
        else:
            self.accepted[actor][message] += 1
            self._roles[actor].expect(message)

    async def ask(self, actor: int, message: Numbered, patience: int | None) -> None:
        self.asked += 1
        with trio.CancelScope() as scope:
            if patience is not None:
                scope.deadline = trio.current_time() + patience / 100
            try:
                answer = await self._roles[actor].ref.ask(message)
            except MailboxFullError:
                self.answers.append("full")
            except ActorQuarantinedError:
                self.answers.append("resting")
                self.unsure[actor][message] += 1  # refused, or laid to rest with the actor
            except (ActorStoppedError, ActorCrashedError, BeyondRepairError) as exc:
                self.answers.append("error")
                self.errors.append((message, type(exc)))
                self.accepted[actor][message] += 1
            else:
                assert answer == message.number
                self.answers.append("answer")
                self.accepted[actor][message] += 1
        if scope.cancelled_caught:
            self.answers.append("left")
            self.unsure[actor][message] += 1

    def replay(self) -> None:
        """Take one letter out of the list: its message is accounted for as before."""
        for letter in self._supervisor.dead_letters:
            if letter.fate in {"poison", "quarantined", "cut off"}:
                try:
                    letter.replay()
                except (MailboxFullError, ActorQuarantinedError, ActorStoppedError):
                    continue
                self.replayed += 1
                return
