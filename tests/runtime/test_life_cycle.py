"""The whole life of a session in virtual time: what silence does to it, and who is told of its ends."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from greenroom.actors.clocks import ClockSettings
from greenroom.actors.events import StateChanged
from greenroom.actors.hooks import HookManager
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import InMemorySessionStore
from greenroom.persistence.records import Ending, EndReason, SessionEnded, SessionState
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.manager import SessionManager
from greenroom.runtime.tokens import TokenCounter
from greenroom.runtime.wiring import open_core

from tests.actors.hand import ANN, BOB, ECHO, Ear, Reports, attach, contents, on_mock_time

START = 1_700_000_000_000_000  # microseconds; any moment
IDLE, SUSPENDED, ARCHIVED, DELETED = 300.0, 1800.0, 7200.0, 3600.0  # seconds
CLOCKS = ClockSettings(
    idle_after=IDLE, suspend_after=SUSPENDED, archive_after=ARCHIVED, delete_after=DELETED, interval=60.0
)
LATE = 1.0  # seconds that a transition may come late
COUNTER = TokenCounter()


@pytest.fixture(autouse=True)
def one_token_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.wiring.TokenCounter", lambda: COUNTER)


class Hook:
    """Writes down what it is told, beside the other hooks of the same list."""

    def __init__(self, name: str, told: list[tuple[str, Ending]]) -> None:
        self._name = name
        self._told = told

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        await trio.sleep(0.1)
        assert reason is ending.reason
        self._told.append((self._name, ending))


@dataclass
class Life:
    """A runtime in virtual time, and what its hooks are told."""

    core: Core
    manager: SessionManager
    reports: Reports
    told: list[tuple[str, Ending]] = field(default_factory=list[tuple[str, Ending]])

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """Which hook was told of which reason, in order."""
        return [(name, str(ending.reason)) for name, ending in self.told]

    async def settle(self) -> None:
        """Wait until every hook was told."""
        await self.core._around.ends.settle()


@asynccontextmanager
async def living(*, silence: bool = True, agent: Agent = ECHO) -> AsyncGenerator[Life]:
    reports = Reports()
    hooks = HookManager(reports)
    async with open_core(
        InMemorySessionStore(),
        agent,
        Limits(),
        reports,
        clocks=CLOCKS if silence else None,
        hooks=hooks,
        wall=lambda: START + round(trio.current_time() * 1_000_000),
    ) as core:
        life = Life(core, SessionManager(core), reports)
        for name in ("first", "second"):
            hooks.register(Hook(name, life.told))
        yield life
    assert list(reports) == []


async def state(life: Life) -> SessionState:
    return (await life.manager.facts(ANN)).state


async def say(life: Life, text: str) -> None:
    ack = await life.manager.send(ANN, text, wait="done")
    assert (ack.status, ack.text) == ("done", text)


@on_mock_time
async def test_a_session_becomes_idle_suspended_active_again_archived_and_is_deleted() -> None:
    ear = Ear()
    async with living() as life:
        await say(life, "one")
        await attach(life.core, ANN, ear)
        await trio.sleep(IDLE)
        assert await state(life) is SessionState.ACTIVE
        await trio.sleep(LATE)
        assert await state(life) is SessionState.IDLE
        await trio.sleep(SUSPENDED - IDLE)
        assert await state(life) is SessionState.SUSPENDED
        await say(life, "two")
        assert await state(life) is SessionState.ACTIVE
        assert life.told == []
        await trio.sleep(ARCHIVED - 1)
        assert await state(life) is SessionState.SUSPENDED
        await trio.sleep(1 + LATE)
        assert await state(life) is SessionState.ARCHIVED
        assert life.reasons == [("first", "timeout"), ("second", "timeout")]
        await trio.sleep(DELETED - 1)
        assert await life.manager.get(ANN) is not None
        await trio.sleep(1 + LATE)
        assert await life.manager.get(ANN) is None
        assert life.reasons[2:] == [("first", "delete"), ("second", "delete")]
        assert len({ending.end_id for _, ending in life.told}) == 2
    states = [data.state for data in ear.live if isinstance(data, StateChanged)]
    assert states == ["idle", "suspended", "active", "idle", "suspended", "archived"]
    for _, ending in life.told:
        assert [message.content for message in ending.messages] == ["one", "one", "two", "two"]


@on_mock_time
async def test_p16_a_suspended_session_is_out_of_memory_and_its_next_message_reaches_who_is_attached() -> (
    None
):
    ear = Ear()
    async with living() as life:
        await say(life, "one")
        await attach(life.core, ANN, ear)
        assert len(life.core.registry) == 1
        await trio.sleep(SUSPENDED + LATE)
        assert len(life.core.registry) == 0
        assert await state(life) is SessionState.SUSPENDED
        assert len(life.core.registry) == 0, "reading wakes nobody"
        await say(life, "two")
        assert len(life.core.registry) == 1
        assert contents(ear.entries) == ["two", "two"]
        assert [entry.seq for entry in ear.entries] == [4, 5, 6]


@on_mock_time
async def test_whoever_goes_on_talking_stays_active_and_nobody_is_told_of_an_end() -> None:
    async with living() as life:
        for number in range(60):
            await say(life, f"message {number}")
            await trio.sleep(IDLE - 1)
            assert await state(life) is SessionState.ACTIVE
        assert life.told == []


@on_mock_time
async def test_reading_attaching_and_updating_do_not_break_the_silence() -> None:
    async with living() as life:
        await say(life, "one")
        await trio.sleep(IDLE / 2)
        await life.manager.get_messages(ANN)
        await attach(life.core, ANN, Ear())
        await life.manager.update(ANN, title="a title")
        await trio.sleep(IDLE / 2 + LATE)
        assert await state(life) is SessionState.IDLE


@on_mock_time
async def test_a_message_to_an_archived_session_opens_it_again_and_it_lives_as_long_as_a_new_one() -> None:
    async with living() as life:
        await say(life, "one")
        await life.manager.archive(ANN)
        await trio.sleep(DELETED - 10)
        await say(life, "two")
        await trio.sleep(ARCHIVED - 10)
        assert [m.content for m in await life.manager.get_messages(ANN)] == ["one", "one", "two", "two"]
        assert life.reasons == [("first", "archive"), ("second", "archive")]
        await trio.sleep(10 + LATE + DELETED + LATE)
        assert [reason for name, reason in life.reasons if name == "first"] == [
            "archive",
            "timeout",
            "delete",
        ]


@on_mock_time
async def test_each_end_is_told_once_to_each_hook_in_order_with_its_reason_and_what_was_said() -> None:
    async with living(silence=False) as life:
        verbs = life.manager.new_session, life.manager.reset, life.manager.archive, life.manager.delete
        for number, verb in enumerate(verbs):
            await say(life, f"message {number}")
            await verb(ANN)
        for command in ("/new", "/reset", "/archive"):
            await life.manager.send(ANN, command)
        await life.settle()
    reasons = ["new", "reset", "archive", "delete", "new", "reset", "archive"]
    assert life.reasons == [(name, reason) for reason in reasons for name in ("first", "second")]
    said = [[message.content for message in ending.messages[::2]] for _, ending in life.told[::2]]
    archived = ["message 2"]
    assert said == [["message 0"], ["message 1"], archived, [*archived, "message 3"], [], [], []]


@on_mock_time
async def test_every_end_in_the_journal_has_the_end_id_that_its_hooks_were_told() -> None:
    async with living(silence=False) as life:
        for _ in range(3):
            await say(life, "hello")
            await life.manager.new_session(ANN)
        await life.manager.get_or_create(BOB)
        await life.manager.archive(BOB)
        await life.settle()
        store = life.core.reads.store
        entries = [*store.entries(ANN, 0, 100), *store.entries(BOB, 0, 100)]
        stored = [entry.body.end_id for entry in entries if isinstance(entry.body, SessionEnded)]
        assert list(store.endings(0, 100)) == [], "whoever was told is forgotten"
    assert len(stored) == 4
    told = [ending.end_id for name, ending in life.told if name == "first"]
    assert sorted(told) == sorted(stored), "of one session in order, of two in any"


@pytest.mark.parametrize("verb", ["new_session", "reset", "archive", "delete"])
@on_mock_time
async def test_p17_ending_a_conversation_ends_the_agent_that_answers_in_it(verb: str) -> None:
    at_work: list[str] = []

    async def answer(turn: Turn) -> None:
        at_work.append(turn.turn_id)
        try:
            await turn.say("so far")
            await trio.sleep_forever()
        finally:
            at_work.remove(turn.turn_id)

    async with living(silence=False, agent=Agent("endless", answer)) as life:
        await life.manager.send(ANN, "hello")
        await trio.sleep(1)
        assert len(at_work) == 1
        await getattr(life.manager, verb)(ANN)
        await trio.sleep(1)
        assert at_work == []
        assert life.told[0][1].messages[-1].content == "so far"
