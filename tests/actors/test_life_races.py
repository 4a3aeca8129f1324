"""A message that meets a transition of its session is never lost: 2,000 races, the order of tasks drawn."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import trio
from greenroom.actors.commands import Ack, Age, Command, End, EndVerb, Send
from greenroom.actors.hooks import HookManager
from greenroom.actors.reply import Reply, ReplySlot
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Ending,
    EndReason,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionState,
)
from greenroom.persistence.store import SessionStore
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.wiring import open_core
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import KeptInMemory
from .hand import ANN, ECHO, NOBODY, Ear, Reports, attach, done, journal

RACES_ON_THE_LOOP, RACES_WITH_A_THREAD = 160, 65  # each times nine transitions: 2,025 in all
BEFORE = 1_000_000  # microseconds; where the race begins: whoever spoke earlier has been silent since before

Asking = Callable[[Reply[Any]], Command]


@dataclass(frozen=True)
class Transition:
    """A session's state when the race begins, and the command that meets the messages."""

    start: SessionState
    ask: Asking
    reason: EndReason | None = None


def aged(start: SessionState, to: SessionState | None, reason: EndReason | None = None) -> Transition:
    return Transition(start, lambda reply: Age(start, to, BEFORE, reply), reason)


def ended(verb: EndVerb) -> Transition:
    return Transition(SessionState.ACTIVE, lambda reply: End(verb, reply), EndReason(verb))


TRANSITIONS = {
    "active to idle": aged(SessionState.ACTIVE, SessionState.IDLE),
    "idle to suspended": aged(SessionState.IDLE, SessionState.SUSPENDED),
    "active to archived": aged(SessionState.ACTIVE, SessionState.ARCHIVED, EndReason.TIMEOUT),
    "suspended to archived": aged(SessionState.SUSPENDED, SessionState.ARCHIVED, EndReason.TIMEOUT),
    "archived to deleted": aged(SessionState.ARCHIVED, None, EndReason.DELETE),
    "archive": ended("archive"),
    "delete": ended("delete"),
    "new": ended("new"),
    "reset": ended("reset"),
}


@dataclass(frozen=True)
class Race:
    """How the two sides start.

    Attributes:
        pauses: Checkpoints before each message is delivered.
        pause: Checkpoints before the command is.
        answers: Whether an agent answers the messages.
        scheduler: Decides the order in which Trio runs the tasks that are ready.
    """

    pauses: list[int]
    pause: int
    answers: bool
    scheduler: object


class WithAThread(KeptInMemory):
    """Is written on the writer's thread, so that commands come while a commit is under way."""

    blocking = True


class Wall:
    """Wall time that never stands still, so that no two messages come at once."""

    def __init__(self) -> None:
        self.at = 0

    def __call__(self) -> int:
        self.at += 1
        return self.at


class Once(ReplySlot[Any]):
    """Counts how often it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def resolve(self, value: Any, /) -> None:  # noqa: ANN401 - whatever the command is answered with
        self.answers += 1
        super().resolve(value)

    def reject(self, error: Exception, /) -> None:
        self.answers += 1
        super().reject(error)


class Told:
    """A hook that keeps the ends it is told of."""

    def __init__(self) -> None:
        self.ends: list[Ending] = []

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        await trio.lowlevel.checkpoint()
        assert ending.reason is reason
        self.ends.append(ending)


@dataclass
class Outcome:
    """All there is to see after a race."""

    sent: list[Ack]
    answer: Any
    ends: list[Ending]
    facts: SessionFacts | None
    entries: list[Entry]
    heard: list[tuple[str, Entry]]

    @property
    def dropped(self) -> set[tuple[str, int]]:
        """Tag and seq of the messages of which it was told that they left the queue unanswered."""
        return {
            (tag_of(epoch), seq)
            for epoch, entry in self.heard
            if isinstance(entry.body, QueueRemoved)
            for seq in entry.body.seqs
        }


def tag_of(epoch: str) -> str:
    return epoch.partition("-")[2]


async def bring_to(core: Core, state: SessionState) -> None:
    await done(core, ANN, "first", "before the race")
    path = {
        SessionState.ACTIVE: (),
        SessionState.IDLE: ("active to idle",),
        SessionState.SUSPENDED: ("active to idle", "idle to suspended"),
        SessionState.ARCHIVED: ("active to archived",),
    }[state]
    for name in path:
        assert await core.router.ask(ANN, TRANSITIONS[name].ask) is True


async def deliver(core: Core, session: SessionID, checkpoints: int, asking: Asking, slot: Once) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    core.router.deliver(session, asking(slot))
    with trio.fail_after(10):
        await slot.wait()


async def run_race(store: SessionStore, transition: Transition, race: Race) -> Outcome:
    told, ear, wall = Told(), Ear(), Wall()
    reports = Reports()
    hooks = HookManager(reports)
    hooks.register(told)
    sends, moved = [Once() for _ in race.pauses], Once()
    agent = ECHO if race.answers else NOBODY
    async with open_core(store, agent, Limits(), reports, hooks=hooks, wall=wall) as core:
        await bring_to(core, transition.start)
        await core._around.ends.settle()
        told.ends.clear()  # of the archiving that brought it there, if one did
        await attach(core, ANN, ear)
        wall.at = BEFORE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deliver, core, ANN, race.pause, transition.ask, moved)
            for number, (slot, checkpoints) in enumerate(zip(sends, race.pauses, strict=True)):
                asking = partial(Send, f"c{number}", f"message {number}")
                nursery.start_soon(deliver, core, ANN, checkpoints, asking, slot)
        with trio.fail_after(10):
            await core._around.turns.wait_until_idle()  # a runtime that drains would begin no further turn
    assert list(reports) == []
    assert [slot.answers for slot in (moved, *sends)] == [1] * (1 + len(sends))
    heard = [(event.epoch, event.data) for event in ear.events if isinstance(event.data, Entry)]
    facts = store.facts(ANN)
    acks = [await slot.wait() for slot in sends]
    return Outcome(acks, await moved.wait(), told.ends, facts, list(journal(store, ANN)), heard)


def check(transition: Transition, outcome: Outcome) -> None:
    check_ends(transition, outcome)
    for number, ack in enumerate(outcome.sent):
        check_message(outcome, f"c{number}", f"message {number}", ack)
    check_journal(outcome)
    check_state(transition, outcome)


def check_ends(transition: Transition, outcome: Outcome) -> None:
    """Each end is told once, and only where there was one."""
    happened = transition.reason is not None and outcome.answer is not False
    assert [end.reason for end in outcome.ends] == ([transition.reason] if happened else [])


def check_message(outcome: Outcome, client_id: str, content: str, ack: Ack) -> None:
    """An acked message is heard once, and lies once where its ack says: in the journal or in the snapshot."""
    heard = [(epoch, entry.seq) for epoch, entry in outcome.heard if entry.client_id == client_id]
    assert heard == [(ack.epoch, ack.seq)]
    assert not ack.duplicate
    tag = tag_of(ack.epoch)
    is_stored = outcome.facts is not None and outcome.facts.tag == tag
    if is_stored:
        stored = [entry for entry in outcome.entries if entry.client_id == client_id]
        assert [(entry.seq, entry.body) for entry in stored] == [(ack.seq, Message("user", content))]
    for end in outcome.ends:
        if f"{end.facts.epoch}-{end.facts.tag}" == ack.epoch and ack.seq <= end.facts.head_seq:
            told = Counter(message.content for message in end.messages if message.role == "user")
            assert told[content] == 1
        elif not is_stored:
            pytest.fail(f"{client_id} was acked and is neither stored nor told")


def check_journal(outcome: Outcome) -> None:
    """Seqs are dense, the counts are true, and nothing waits for ever."""
    facts = outcome.facts
    assert [entry.seq for entry in outcome.entries] == list(range(1, len(outcome.entries) + 1))
    if facts is None:
        return
    assert facts.head_seq == len(outcome.entries)
    assert facts.pending == ()
    assert facts.turn is None
    live = [e for e in outcome.entries if isinstance(e.body, Message) and e.epoch == facts.epoch]
    assert facts.message_count == sum((facts.tag, entry.seq) not in outcome.dropped for entry in live)


def check_state(transition: Transition, outcome: Outcome) -> None:
    """Whatever came last decides, and a message always makes a session active."""
    if outcome.facts is None:
        assert transition.reason is EndReason.DELETE
        return
    last = next(
        entry.body for entry in reversed(outcome.entries) if isinstance(entry.body, Message | SessionEnded)
    )
    is_archived = isinstance(last, SessionEnded) and last.next_epoch is None
    assert outcome.facts.state is (SessionState.ARCHIVED if is_archived else SessionState.ACTIVE)
    assert (outcome.facts.archived_at is not None) == is_archived


checkpoints = st.integers(0, 14)
races = st.builds(
    Race,
    pauses=st.lists(checkpoints, min_size=1, max_size=4),
    pause=checkpoints,
    answers=st.booleans(),
    scheduler=st.random_module(),
)


@pytest.mark.parametrize("name", TRANSITIONS)
@settings(max_examples=RACES_ON_THE_LOOP, deadline=None)
@given(race=races)
def test_a_message_that_meets_a_transition_is_never_lost(name: str, race: Race) -> None:
    check(TRANSITIONS[name], trio.run(run_race, KeptInMemory(), TRANSITIONS[name], race))


@pytest.mark.parametrize("name", TRANSITIONS)
@settings(max_examples=RACES_WITH_A_THREAD, deadline=None)
@given(race=races)
def test_a_message_that_meets_a_transition_during_a_commit_is_never_lost(name: str, race: Race) -> None:
    check(TRANSITIONS[name], trio.run(run_race, WithAThread(), TRANSITIONS[name], race))
