"""A session as its peers see it: what is acked is stored, once, in order, and answered."""

import pytest
import trio
from greenroom.actors.commands import Ack, Record, Send
from greenroom.actors.errors import BusyError, IdConflictError
from greenroom.actors.fairness import BATCH
from greenroom.actors.recall import REMEMBERED
from greenroom.actors.reply import ReplySlot
from greenroom.persistence import SessionStore, SQLiteSessionStore
from greenroom.persistence.records import Entry, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.actors.conftest import KeptInMemory
from tests.actors.faults import CountsBatches, HoldsCommits
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    answers,
    attach,
    contents,
    done,
    ends,
    journal,
    record,
    running,
    send,
    settle,
    sid,
)


async def test_p1_a_message_is_acked_only_after_its_commit_has_returned(sqlite: SQLiteSessionStore) -> None:
    store, acks, ear = HoldsCommits(sqlite), list[Ack](), Ear()
    async with running(store) as core, trio.open_nursery() as nursery:
        core.topics.subscribe(ANN, ear)

        async def ask() -> None:
            acks.append(await send(core, ANN, "a"))

        nursery.start_soon(ask)
        await trio.to_thread.run_sync(store.entered.wait)
        await wait_all_tasks_blocked()
        assert (acks, ear.events, sqlite.facts(ANN)) == ([], [], None)
        store.gate.set()
    assert [ack.seq for ack in acks] == [1]


async def test_p4_every_session_has_dense_seqs_and_keeps_the_order_of_each_sender(
    store: SessionStore,
) -> None:
    acks: dict[tuple[int, int], list[int]] = {}

    async def talk(session: int, sender: int) -> None:
        for number in range(10):
            ack = await send(core, sid(session), f"{sender}-{number}")
            acks.setdefault((session, sender), []).append(ack.seq)

    async with running(store, NOBODY) as core:
        async with trio.open_nursery() as nursery:
            for session in range(5):
                for sender in range(4):
                    nursery.start_soon(talk, session, sender)
        for session in range(5):
            entries = journal(store, sid(session))
            assert [entry.seq for entry in entries] == list(range(1, 41))
            for sender in range(4):
                mine = [e.seq for e in entries if e.client_id and e.client_id.startswith(f"{sender}-")]
                assert mine == acks[session, sender] == sorted(mine)


async def test_p5_a_repeated_client_id_is_acked_with_its_first_seq_and_stored_once(
    store: SessionStore,
) -> None:
    async with running(store, NOBODY) as core:
        first = await send(core, ANN, "a")
        again = await send(core, ANN, "a")
        assert (again.seq, again.epoch, again.duplicate) == (first.seq, first.epoch, True)
        with pytest.raises(IdConflictError):
            await send(core, ANN, "a", "other content")
        assert (await send(core, BOB, "a", "other content")).duplicate is False
        assert len(journal(store, ANN)) == 1


async def test_p5_a_client_id_is_known_however_long_ago_it_was_used(store: SessionStore) -> None:
    async with running(store, NOBODY, mailbox=1000) as core:
        count = 3 * REMEMBERED
        for number in range(count):
            await send(core, ANN, f"a{number}", f"content {number}")
        slots = [ReplySlot[Ack]() for _ in range(count)]
        for number, slot in enumerate(slots):
            core.router.deliver(ANN, Send(f"a{number}", f"content {number}", slot))
        with trio.fail_after(20):
            acks = await answers(slots)
        assert [(ack.seq, ack.duplicate) for ack in acks] == [(n + 1, True) for n in range(count)]
        with pytest.raises(IdConflictError):
            await send(core, ANN, "a0", "other content")
        assert len(journal(store, ANN)) == count


async def test_p5_a_batch_may_repeat_an_id_of_its_own(sqlite: SQLiteSessionStore) -> None:
    store = HoldsCommits(sqlite)
    async with running(store, NOBODY) as core:
        core.router.deliver(ANN, Send("first", "hello", ReplySlot[Ack]()))
        await trio.to_thread.run_sync(store.entered.wait)
        slots = [ReplySlot[Ack]() for _ in range(6)]
        for number, slot in enumerate(slots):
            core.router.deliver(ANN, Send(f"a{number % 2}", f"content {number // 4}", slot))
        store.gate.set()
        acks = await answers(slots[:4])
        assert [(ack.seq, ack.duplicate) for ack in acks] == [
            (2, False), (3, False), (2, True), (3, True),
        ]  # fmt: skip
        for slot in slots[4:]:
            with pytest.raises(IdConflictError):
                await slot.wait()


async def test_commands_that_wait_together_share_one_commit(sqlite: SQLiteSessionStore) -> None:
    store = HoldsCommits(sqlite)
    async with running(store, NOBODY) as core:
        core.router.deliver(ANN, Send("first", "hello", ReplySlot[Ack]()))
        await trio.to_thread.run_sync(store.entered.wait)
        for number in range(3 * BATCH):
            core.router.deliver(ANN, Record(Message("user", str(number)), ReplySlot[Entry]()))
        store.gate.set()
        await settle(core, ANN)
        assert len(store.sizes) == 1 + 3


async def test_asking_for_what_changes_nothing_costs_no_commit(memory: SessionStore) -> None:
    store = CountsBatches(memory)
    async with running(store, NOBODY) as core:
        await send(core, ANN, "a")
        commits = len(store.sizes)
        await send(core, ANN, "a")
        await settle(core, ANN)
        await attach(core, ANN, Ear())
        with pytest.raises(IdConflictError):
            await send(core, ANN, "a", "other")
        assert len(store.sizes) == commits


async def test_p14_a_session_runs_one_turn_at_a_time_in_the_order_of_its_messages(
    memory: SessionStore,
) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent()) as core:
        for number in range(5):
            ack = await send(core, ANN, f"a{number}", f"question {number}")
            assert ack.status == ("queued" if number else "accepted")
        for number in range(5):
            performance = await puppet.turn()
            assert puppet.running == 1
            assert not puppet.has_turn()
            assert [m.content for m in performance.turn.messages] == [f"question {number}"]
            await performance.say(f"answer {number}")
            performance.end()
        await settle(core, ANN)
    assert [end.message_seqs for end in ends(journal(memory, ANN))] == [(n,) for n in range(1, 6)]


async def test_a_turn_knows_what_was_said_before_and_not_what_waits_behind_it(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent()) as core:
        await record(core, ANN, "noted")
        for name in "abc":
            await send(core, ANN, name, f"question {name}")
        seen = list[list[str]]()
        for name in "abc":
            performance = await puppet.turn()
            await record(core, ANN, f"noted while {name} ran")
            seen.append([message.content for message in performance.turn.context])
            await performance.say(f"answer {name}")
            performance.end()
    assert seen == [
        ["noted", "question a"],
        ["noted", "question a", "noted while a ran", "answer a", "question b"],
        [
            *("noted", "question a", "question b", "noted while a ran"),
            *("answer a", "noted while b ran", "answer b", "question c"),
        ],
    ]


async def test_a_turns_own_message_is_in_its_context_whatever_the_budget(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), max_tokens=50) as core:
        await send(core, ANN, "a", "question")
        for number in range(10):
            await send(core, ANN, f"b{number}", "many words " * 20)
        assert [message.content for message in (await puppet.turn()).turn.context] == ["question"]


async def test_wait_done_is_answered_with_the_turns_end_and_so_is_each_repeat(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        answers = list[Ack]()

        async def ask() -> None:
            answers.append(await done(core, ANN, "a", "hello"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            performance = await puppet.turn()
            await performance.say("one ")
            await performance.say("two")
            assert answers == []
            performance.end()
        for _ in range(70):
            await record(core, ANN, "in between")
        await ask()
        turn_id = performance.turn.turn_id
        for ack in answers:
            assert (ack.seq, ack.status, ack.stop_reason) == (1, "done", "end_turn")
            assert (ack.turn_id, ack.text) == (turn_id, "one two")
        assert [ack.duplicate for ack in answers] in ([False, True, True, True], [True, False, True, True],
                                                      [True, True, False, True])  # fmt: skip


async def test_wait_done_where_nobody_answers_is_answered_at_once_and_again(store: SessionStore) -> None:
    async with running(store, NOBODY) as core:
        first = await done(core, ANN, "a")
        assert (first.status, first.stop_reason, first.text) == ("done", "end_turn", "")
        again = await done(core, ANN, "a")
        assert (again.status, again.duplicate, again.stop_reason) == ("done", True, "end_turn")
        assert (await send(core, ANN, "a")).status == "accepted"


async def test_p15_a_full_queue_of_messages_is_busy_and_drains_with_the_turns(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), pending=3) as core:
        for number in range(3):
            await send(core, ANN, f"a{number}")
        with pytest.raises(BusyError) as caught:
            await send(core, ANN, "a3")
        assert caught.value.retry_after == 1.0
        assert (await send(core, BOB, "b")).status == "accepted"
        (await puppet.turn()).end()
        await settle(core, ANN)
        await puppet.turn()
        await puppet.turn()
        assert (await send(core, ANN, "a3")).status == "queued"


SENDS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["one", "two"]), st.booleans()), max_size=25
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SENDS)
async def test_whatever_is_sent_the_journal_is_what_was_acked(sends: list[tuple[str, str, bool]]) -> None:
    memory = KeptInMemory()
    async with running(memory, NOBODY, mailbox=100) as core:
        slots = list[tuple[str, str, ReplySlot[Ack]]]()
        for client_id, content, yields in sends:
            slots.append((client_id, content, ReplySlot[Ack]()))
            core.router.deliver(ANN, Send(*slots[-1]))
            if yields:
                await trio.lowlevel.checkpoint()
        first: dict[str, tuple[int, str]] = {}
        for client_id, content, slot in slots:
            if client_id in first and first[client_id][1] != content:
                with pytest.raises(IdConflictError):
                    await slot.wait()
                continue
            ack = await slot.wait()
            assert ack.duplicate is (client_id in first)
            first.setdefault(client_id, (ack.seq, content))
            assert first[client_id] == (ack.seq, content)
    stored = {entry.client_id: (entry.seq, *contents([entry])) for entry in journal(memory, ANN)}
    assert stored == first
