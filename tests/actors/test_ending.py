"""Ends of conversations through the actor: what is stored, told, answered and forgotten."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from greenroom.actors.commands import Age, End, EndVerb, Expected, SetState, Update
from greenroom.actors.errors import ConflictError, SessionNotFoundError, UnavailableError
from greenroom.actors.events import QueueChanged, StateChanged
from greenroom.actors.hooks import HookManager
from greenroom.actors.turn import Agent
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Ending,
    EndReason,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionState,
    SessionUpdated,
    TurnFinished,
)
from greenroom.persistence.store import SessionStore
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.wiring import open_core

from tests.actors.faults import RefusesCommits
from tests.actors.hand import (
    ANN,
    BOB,
    ECHO,
    NOBODY,
    Ear,
    Puppet,
    Reports,
    attach,
    contents,
    done,
    journal,
    running,
    send,
)

FAR = 2**62  # later than any time


class Diary:
    """A hook that keeps what it is told, and how much of the session was stored by then."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.endings: list[Ending] = []
        self.stored: list[bool] = []

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        assert ending.reason is reason
        self.endings.append(ending)
        self.stored.append(self.store.facts(ending.session) is not None)


@asynccontextmanager
async def hooked(store: SessionStore, agent: Agent = NOBODY) -> AsyncGenerator[tuple[Core, Diary]]:
    diary, hooks = Diary(store), HookManager()
    hooks.register(diary)
    async with open_core(store, agent, Limits(drain=0.001), Reports(), hooks=hooks) as core:
        yield core, diary


async def end(core: Core, session: SessionID, verb: EndVerb, expected: Expected = Expected()) -> SessionFacts:  # noqa: B008 - frozen
    with trio.fail_after(10):
        return await core.router.ask(session, lambda reply: End(verb, reply, expected))


async def told(diary: Diary, count: int) -> list[Ending]:
    with trio.fail_after(10):
        while len(diary.endings) < count:  # noqa: ASYNC110 - the hook runs in its own time
            await trio.sleep(0.005)
    return diary.endings


@pytest.mark.parametrize("verb", ["new", "reset"])
async def test_another_conversation_begins_and_the_former_stays_readable(
    store: SessionStore, verb: EndVerb
) -> None:
    ear = Ear()
    async with hooked(store) as (core, diary):
        attached = await attach(core, ANN, ear)
        await send(core, ANN, "a", "one two three")
        set_all = SessionUpdated(title="tea", tags=("x",), custom_data={"k": "v"}, system_prompt="be kind")
        await core.router.ask(ANN, partial(Update, lambda _: set_all))
        before = store.facts(ANN)
        after = await end(core, ANN, verb)
        assert before is not None
        assert (after.epoch, after.state, after.message_count, after.token_count) == (
            2,
            SessionState.ACTIVE,
            0,
            0,
        )
        assert (after.system_prompt, after.tags, after.custom_data) == ("be kind", ("x",), {"k": "v"})
        assert after.title == ("tea" if verb == "reset" else "")
        assert after.tag == attached.facts.tag
        assert contents(store.history(ANN, 1, None, 10)) == ["one two three"]
        assert not store.history(ANN, 2, None, 10)
        (ending,) = await told(diary, 1)
        assert (ending.facts, ending.messages) == (before, (Message("user", "one two three"),))
        assert [type(e.body) for e in ear.entries] == [Message, SessionUpdated, SessionEnded]
        assert ear.events[-1].epoch == f"1-{after.tag}"
        ack = await send(core, ANN, "b", "four")
        assert (ack.epoch, ack.seq) == (f"2-{after.tag}", 4)
        assert store.load(ANN) is not None
        assert contents(store.load(ANN).context) == ["four"]  # type: ignore[union-attr]


async def test_an_end_cuts_the_turn_off_keeps_its_words_and_empties_the_queue(store: SessionStore) -> None:
    puppet, ear = Puppet(), Ear()
    async with hooked(store, puppet.agent()) as (core, diary), trio.open_nursery() as nursery:
        await attach(core, ANN, ear)
        answers: list[str | None] = []

        async def wait_for(client_id: str, content: str) -> None:
            ack = await send(core, ANN, client_id, content, until_done=True)
            answers.append(ack.stop_reason or ack.status)

        nursery.start_soon(wait_for, "a", "one")
        turn = await puppet.turn()
        await turn.say("half an ans")
        nursery.start_soon(wait_for, "b", "two")
        with trio.fail_after(5):
            while not any(isinstance(live, QueueChanged) and live.queue for live in ear.live):  # noqa: ASYNC110 - heard from another task
                await trio.sleep(0.005)
        after = await end(core, ANN, "new")
        bodies = [entry.body for entry in journal(store, ANN)]
        assert bodies[2] == Message("assistant", "half an ans", partial=True)
        assert bodies[3:5] == [TurnFinished((1,), "cancelled"), QueueRemoved((2,))]
        (ending,) = await told(diary, 1)
        assert contents_of(ending) == ["one", "two", "half an ans"]
        assert (ending.facts.message_count, ending.facts.pending) == (3, (2,))
        assert ending.facts.token_count == sum(entry.tokens for entry in journal(store, ANN)[:3])
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(map(str, answers)) == ["cancelled", "removed"]
        assert turn.turn.is_closed
        assert (after.turn, after.pending) == (None, ())


async def test_archive_closes_until_a_message_opens_it_again_with_its_history(store: SessionStore) -> None:
    ear = Ear()
    async with hooked(store, ECHO) as (core, diary):
        await attach(core, ANN, ear)
        await done(core, ANN, "a", "one")
        archived = await end(core, ANN, "archive")
        assert (archived.state, archived.epoch) == (SessionState.ARCHIVED, 1)
        assert archived.archived_at is not None
        assert await end(core, ANN, "archive") == archived
        await trio.testing.wait_all_tasks_blocked()
        assert core.registry.get(ANN) is None
        (ending,) = await told(diary, 1)
        assert ending.reason is EndReason.ARCHIVE
        await done(core, ANN, "b", "two")
        facts = store.facts(ANN)
        assert facts is not None
        assert (facts.state, facts.archived_at, facts.message_count) == (SessionState.ACTIVE, None, 4)
        states = [live for live in ear.live if isinstance(live, StateChanged)]
        assert states == [StateChanged("archived", "archive"), StateChanged("active")]


async def test_delete_answers_when_its_hooks_have_run_and_nothing_is_left(store: SessionStore) -> None:
    ear = Ear()
    async with hooked(store) as (core, diary):
        attached = await attach(core, ANN, ear)
        await send(core, ANN, "a", "one")
        before = await end(core, ANN, "delete")
        assert before.message_count == 1
        (ending,) = diary.endings
        assert (ending.reason, contents_of(ending)) == (EndReason.DELETE, ["one"])
        assert diary.stored == [False]
        assert (store.facts(ANN), [*store.endings(0, 10)]) == (None, [])
        assert ear.live[-1] == SessionEnded(EndReason.DELETE, ending.end_id)
        assert ear.events[-1].epoch == f"1-{attached.facts.tag}"
        with pytest.raises(SessionNotFoundError):
            await end(core, ANN, "delete")
        ack = await send(core, ANN, "a", "another")
        assert (ack.seq, ack.duplicate) == (1, False)
        assert ack.epoch != f"1-{attached.facts.tag}"


async def test_delete_of_a_talking_session_tells_its_hooks_all_that_was_said(store: SessionStore) -> None:
    puppet = Puppet()
    async with hooked(store, puppet.agent()) as (core, diary):
        await send(core, ANN, "a", "one")
        turn = await puppet.turn()
        await turn.say("half an ans")
        await send(core, ANN, "b", "two")
        await end(core, ANN, "delete")
        (ending,) = diary.endings
        assert contents_of(ending) == ["one", "two", "half an ans"]
        assert (ending.facts.message_count, ending.facts.pending) == (3, (2,))
        assert store.facts(ANN) is None


@pytest.mark.parametrize("verb", ["new", "reset", "archive", "delete"])
async def test_an_end_that_expects_another_session_changes_nothing(
    store: SessionStore, verb: EndVerb
) -> None:
    async with hooked(store) as (core, diary):
        ack = await send(core, ANN, "a")
        for expected in (Expected("1-other"), Expected(seq=7), Expected(ack.epoch, 0)):
            with pytest.raises(ConflictError) as caught:
                await end(core, ANN, verb, expected)
            assert caught.value.field in ("if_epoch", "if_seq")
        assert len(journal(store, ANN)) == 1
        await end(core, ANN, verb, Expected(ack.epoch, ack.seq))
        assert len(await told(diary, 1)) == 1
        with pytest.raises(SessionNotFoundError):
            await end(core, BOB, verb)
        assert store.facts(BOB) is None


async def test_p7_an_end_that_cannot_be_stored_is_no_end(memory: SessionStore) -> None:
    puppet = Puppet()
    faulty = RefusesCommits(memory)
    async with running(faulty, puppet.agent()) as core:
        await send(core, ANN, "a")
        turn = await puppet.turn()
        await turn.say("words")
        faulty.refuses = lambda append: append.ending is not None
        with pytest.raises(UnavailableError):
            await end(core, ANN, "new")
        await turn.say(" go on")
        turn.end()
        await trio.testing.wait_all_tasks_blocked()
        assert contents(journal(memory, ANN)) == ["hello", "words go on"]
        assert not memory.endings(0, 10)


async def test_what_an_agent_says_while_an_end_is_stored_is_neither_lost_nor_told_twice(
    memory: SessionStore,
) -> None:
    puppet, ear = Puppet(), Ear()
    refusals = [True, False]
    faulty = RefusesCommits(memory, lambda append: append.ending is not None and refusals.pop(0))
    async with running(faulty, puppet.agent()) as core, trio.open_nursery() as nursery:
        await attach(core, ANN, ear)
        ack = await send(core, ANN, "a")
        turn = await puppet.turn()

        async def talk() -> None:
            for number in range(20):
                await turn.say(f"{number} ")
            turn.end()

        nursery.start_soon(talk)
        with pytest.raises(UnavailableError):
            await end(core, ANN, "reset")
        await trio.testing.wait_all_tasks_blocked()
    (said,) = contents(journal(memory, ANN))[1:]
    assert said == ear.text_of(ack.turn_id or "") == "".join(f"{number} " for number in range(20))


async def test_age_lets_silence_take_effect_unless_something_has_happened(store: SessionStore) -> None:
    async with hooked(store) as (core, diary):
        await send(core, ANN, "a")

        async def age(state: SessionState, to: SessionState | None, before: int = FAR) -> bool:
            return await core.router.ask(ANN, partial(Age, state, to, before))

        facts = store.facts(ANN)
        assert facts is not None
        assert not await age(SessionState.ACTIVE, SessionState.IDLE, facts.last_active_at)
        assert not await age(SessionState.IDLE, SessionState.SUSPENDED)
        assert await age(SessionState.ACTIVE, SessionState.IDLE)
        assert await age(SessionState.IDLE, SessionState.SUSPENDED)
        await trio.testing.wait_all_tasks_blocked()
        assert len(core.registry) == 0
        assert await age(SessionState.SUSPENDED, SessionState.ARCHIVED)
        assert not await age(SessionState.SUSPENDED, SessionState.ARCHIVED)
        assert await age(SessionState.ARCHIVED, None)
        assert [ending.reason for ending in await told(diary, 2)] == [EndReason.TIMEOUT, EndReason.DELETE]
        assert store.facts(ANN) is None


async def test_a_session_that_only_a_clock_looked_at_leaves_memory_again(store: SessionStore) -> None:
    async with running(store, NOBODY) as core:
        await send(core, ANN, "a")
    async with running(reopened(store), NOBODY) as core:
        assert await core.router.ask(ANN, partial(Age, SessionState.ACTIVE, SessionState.IDLE, FAR))
        await trio.testing.wait_all_tasks_blocked()
        assert len(core.registry) == 0


async def test_compacting_that_a_former_process_began_reads_as_active(memory: SessionStore) -> None:
    async with running(memory, NOBODY) as core:
        await send(core, ANN, "a")
        await core.router.ask(ANN, partial(SetState, SessionState.COMPACTING))
        assert memory.facts(ANN).state is SessionState.COMPACTING  # type: ignore[union-attr]
    async with running(memory, NOBODY) as core:
        await core.recovery.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert memory.facts(ANN).state is SessionState.ACTIVE  # type: ignore[union-attr]
        assert len(core.registry) == 0


def contents_of(ending: Ending) -> list[str]:
    return [message.content for message in ending.messages]


def reopened(store: SessionStore) -> SessionStore:
    """The same stored sessions, after a close."""
    path = getattr(store, "path", None)
    return store if path is None else type(store)(path)  # type: ignore[call-arg]
