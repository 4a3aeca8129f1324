"""A session on a store that fails: nothing is acked that is not stored, and what comes later is."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Literal

import pytest
import trio
from greenroom.actors.commands import Ack, Age, Barrier, Send
from greenroom.actors.errors import BusyError, IdConflictError, QuarantinedError, UnavailableError
from greenroom.actors.reply import ReplySlot
from greenroom.actors.reports import CommitFailed
from greenroom.actors.turn import Agent
from greenroom.persistence import SessionStore
from greenroom.persistence.errors import StoreError, StoreUnavailableError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Message, SessionFacts, SessionState, TurnFinished
from greenroom.runtime.agents import echo
from greenroom.runtime.core import Core
from trio.testing import wait_all_tasks_blocked

from tests.actors.conftest import KeptInMemory
from tests.actors.faults import Around, LosesAnswers, RefusesCommits, RefusesReads, says
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Puppet,
    Reports,
    contents,
    done,
    ends,
    journal,
    on_mock_time,
    running,
    send,
)


async def test_p7_what_a_failing_store_refused_is_not_stored_and_what_comes_later_is(
    store: SessionStore,
) -> None:
    failing, reports = RefusesCommits(store, says("lost")), Reports()
    async with running(failing, NOBODY, report=reports) as core:
        for number in range(10):
            if number % 2:
                with pytest.raises(UnavailableError):
                    await send(core, ANN, f"a{number}", "lost")
                assert (await send(core, ANN, f"a{number}", "kept after all")).duplicate is False
            else:
                await send(core, ANN, f"a{number}", "kept")
        entries = journal(store, ANN)
        assert [entry.seq for entry in entries] == list(range(1, 11))
        assert "lost" not in contents(entries)
    assert len(reports.of(CommitFailed)) == 5


async def test_p7_a_first_message_that_is_refused_leaves_no_session_behind(memory: SessionStore) -> None:
    failing = RefusesCommits(memory, lambda _: True)
    async with running(failing, NOBODY) as core:
        with pytest.raises(UnavailableError):
            await send(core, ANN, "a")
        await wait_all_tasks_blocked()
        assert len(core.registry) == 0
        assert memory.facts(ANN) is None
        failing.refuses = lambda _: False
        assert (await send(core, ANN, "a")).seq == 1


@on_mock_time
async def test_a_turns_end_is_offered_until_it_is_stored(memory: SessionStore) -> None:
    puppet = Puppet()
    failing = RefusesCommits(memory, lambda append: append.facts.id == ANN and append.facts.turn is None)
    async with running(failing, puppet.agent()) as core:
        await send(core, ANN, "a", "hello")
        performance = await puppet.turn()
        await performance.say("hi")
        performance.end()
        await trio.sleep(60)
        assert failing.refused > 10
        assert contents(journal(memory, ANN)) == ["hello"]
        answer = ReplySlot[Ack]()
        core.router.deliver(ANN, Send("a", "hello", answer, until_done=True))
        failing.refuses = lambda _: False
        with trio.fail_after(10):
            ack = await answer.wait()
        assert (ack.seq, ack.stop_reason, ack.text) == (1, "end_turn", "hi")
    assert contents(journal(memory, ANN)) == ["hello", "hi"]
    assert len(ends(journal(memory, ANN))) == 1


@on_mock_time
async def test_a_commit_whose_answer_was_lost_is_settled_by_the_same_client_id(memory: SessionStore) -> None:
    store = LosesAnswers(memory, says("lost"))
    async with running(store, NOBODY) as core:
        await send(core, ANN, "a")
        with pytest.raises(UnavailableError):
            await send(core, ANN, "b", "lost")
        with pytest.raises(UnavailableError, match="outcome unknown"):
            await send(core, ANN, "c")
        again = await send(core, ANN, "b", "lost")
        assert (again.seq, again.duplicate) == (2, True)
        assert (await send(core, ANN, "c")).seq == 3
    assert [entry.client_id for entry in journal(memory, ANN)] == ["a", "b", "c"]


async def test_wait_done_for_a_turn_whose_end_cannot_be_read_is_unavailable(memory: SessionStore) -> None:
    store = RefusesReads(memory)
    async with running(store) as core:
        await done(core, ANN, "a")
        store.failing = True
        with pytest.raises(UnavailableError):
            await done(core, ANN, "a")
        assert (await send(core, ANN, "a")).status == "done"


class FailsAt(Around):
    """At the commits of these numbers does one of the four things that can go wrong there."""

    def __init__(self, inside: SessionStore, at: Sequence[int], fault: str) -> None:
        super().__init__(inside)
        self.at = at
        self.fault = fault
        self.commits = 0

    def commit(self, batch: Sequence[Append]) -> Sequence[SessionFacts | StoreError]:
        self.commits += 1
        if self.commits not in self.at:
            return self.inside.commit(batch)
        if self.fault.endswith("after"):
            self.inside.commit(batch)
        if self.fault.startswith("crashes"):
            raise RuntimeError(self.fault)
        return [StoreUnavailableError(self.fault) for _ in batch]


def check_all_is_told_once(store: SessionStore, session: SessionID, count: int) -> None:
    """Every message is stored once and used up once, and each turn that was begun is finished once."""
    entries = journal(store, session)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    ids = [entry.client_id for entry in entries if entry.client_id]
    assert sorted(ids) == sorted(f"a{number}" for number in range(count))
    used_up = [seq for end in ends(entries) if not end.will_retry for seq in end.message_seqs]
    assert used_up == [entry.seq for entry in entries if entry.client_id]
    finished = [entry.turn_id for entry in entries if isinstance(entry.body, TurnFinished)]
    assert len(finished) == len(set(finished))
    facts = store.facts(session)
    assert facts is not None
    assert (facts.pending, facts.turn) == ((), None)
    assert facts.message_count == sum(isinstance(entry.body, Message) for entry in entries)


async def ask_until_done(core: Core, session: SessionID, client_id: str) -> Ack:
    while True:
        try:
            return await done(core, session, client_id)
        except (UnavailableError, QuarantinedError) as error:
            await trio.sleep(error.retry_after or 1.0)


@on_mock_time
@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
@pytest.mark.parametrize("fault", ["refuses before", "refuses after", "crashes before", "crashes after"])
async def test_p12_whatever_fails_at_any_commit_each_message_is_stored_and_finished_once(
    fault: str, on_interrupt: Literal["retry", "finish"]
) -> None:
    for at in combinations(range(1, 11), 2):
        store = FailsAt(memory := KeptInMemory(), at, fault)
        agent = Agent("echo", echo, on_interrupt)
        async with running(store, agent, drain=100) as core, trio.open_nursery() as nursery:
            for session in (ANN, BOB):
                for number in range(4):
                    nursery.start_soon(ask_until_done, core, session, f"a{number}")
        assert store.commits >= max(at)
        for session in (ANN, BOB):
            check_all_is_told_once(memory, session, 4)


class AtStep(trio.abc.Instrument):
    """Calls something just before the scheduler takes a step of number ``at``."""

    def __init__(self, at: int, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.at -= 1
        if self.at == 0:
            self.call()


@on_mock_time
@pytest.mark.parametrize("on_interrupt", ["retry", "finish"])
async def test_p12_whenever_actors_and_turns_are_cut_off_the_next_start_makes_it_good(
    on_interrupt: Literal["retry", "finish"],
) -> None:
    agent = Agent("echo", echo, on_interrupt)
    for at in range(1, 160, 2):
        memory = KeptInMemory()
        async with running(memory, agent) as core:
            kill = AtStep(at, partial(cut_off, core))
            trio.lowlevel.add_instrument(kill)
            with trio.move_on_after(30):
                async with trio.open_nursery() as nursery:
                    for number in range(4):
                        nursery.start_soon(ask_until_done, core, ANN, f"a{number}")
            trio.lowlevel.remove_instrument(kill)
        async with running(memory, agent, drain=100) as core:
            for number in range(4):
                await ask_until_done(core, ANN, f"a{number}")
        check_all_is_told_once(memory, ANN, 4)


def cut_off(core: Core) -> None:
    supervisor = core.router._activation._supervisor
    supervisor._runners.close()
    for scope in list(supervisor._scopes):
        scope.cancel()
    core._around.turns._nursery.cancel_scope.cancel()


async def test_p5_a_repeat_is_answered_however_busy_the_session_is_and_however_long_ago_it_was_sent(
    make_store: Callable[[], SessionStore],
) -> None:
    puppet = Puppet()
    async with running(make_store(), puppet.agent("retry"), pending=3) as core:
        acks = {name: await send(core, ANN, name, name) for name in "abc"}
    async with running(make_store(), puppet.agent("retry"), pending=3) as core:
        with pytest.raises(BusyError):
            await send(core, ANN, "d", "d")
        for name in "cba":
            again = await send(core, ANN, name, name)
            assert (again.seq, again.duplicate) == (acks[name].seq, True)
        again = await send(core, ANN, "b", "b", mode="reject")
        assert again.duplicate
        with pytest.raises(BusyError):
            await send(core, ANN, "e", "e", mode="reject")
        with pytest.raises(IdConflictError):
            await send(core, ANN, "a", "other", mode="reject")


async def test_p7_what_needs_no_storing_is_answered_beside_what_cannot_be_stored(
    memory: SessionStore,
) -> None:
    faulty = RefusesCommits(memory)
    async with running(faulty, NOBODY) as core:
        first = await send(core, ANN, "a", "one")
        faulty.refuses = lambda _: True
        slots = [ReplySlot[Ack]() for _ in range(3)]
        barrier = ReplySlot[None]()
        core.router.deliver(ANN, Send("b", "two", slots[0]))
        core.router.deliver(ANN, Send("a", "one", slots[1]))
        core.router.deliver(ANN, Barrier(barrier))
        core.router.deliver(ANN, Send("b", "two", slots[2]))
        with trio.fail_after(5):
            await barrier.wait()
            assert (await slots[1].wait()).seq == first.seq
            for slot in (slots[0], slots[2]):
                with pytest.raises(UnavailableError):
                    await slot.wait()


async def test_a_repeat_of_what_waits_for_another_agent_is_answered_where_nobody_answers(
    make_store: Callable[[], SessionStore],
) -> None:
    puppet = Puppet()
    async with running(make_store(), puppet.agent("retry")) as core:
        await send(core, ANN, "a", "one")
        await send(core, ANN, "b", "two")
    store = make_store()
    async with running(store, NOBODY) as core:
        for name, content in (("a", "one"), ("b", "two")):
            ack = await done(core, ANN, name, content)
            assert (ack.status, ack.duplicate) == ("done", True)
        assert await core.router.ask(ANN, partial(Age, SessionState.ACTIVE, SessionState.IDLE, 2**62))
        facts = store.facts(ANN)
        assert facts is not None
        assert facts.pending == (1, 2)
