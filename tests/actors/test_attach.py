"""Attaching: what was missed, what runs, and every event from then on, without a hole or a repeat."""

import random

import pytest
import trio
from greenroom.actors.commands import Ack, Attached, RunningTurn, Send, Snapshot
from greenroom.actors.errors import SessionNotFoundError, UnavailableError
from greenroom.actors.events import Event, QueueChanged, QueuedMessage, StateChanged, TurnDelta, TurnStarted
from greenroom.actors.reply import ReplySlot
from greenroom.persistence import SessionStore
from greenroom.persistence.records import Entry, Message, TurnFinished
from trio.testing import wait_all_tasks_blocked

from tests.actors.faults import RefusesReads
from tests.actors.hand import (
    ANN,
    BOB,
    NOBODY,
    Ear,
    Puppet,
    attach,
    contents,
    done,
    journal,
    running,
    send,
    settle,
)


def told(attached: Attached, ear: Ear) -> list[Entry]:
    """Every durable event a subscriber knows of: those of the answer, then those that followed it."""
    missed = attached.backlog.messages if isinstance(attached.backlog, Snapshot) else attached.backlog
    return [*missed, *ear.entries]


async def test_a_whole_turn_is_told_in_order_replies_first(memory: SessionStore) -> None:
    ear = Ear()
    async with running(memory) as core:
        attached = await attach(core, ANN, ear)
        ack = await done(core, ANN, "a", "one two")
        turn_id = ack.turn_id
        assert turn_id is not None
        kinds = [type(e.data.body if isinstance(e.data, Entry) else e.data) for e in ear.events]
        assert kinds == [Message, TurnStarted, TurnDelta, TurnDelta, Message, TurnFinished]
        assert [e.epoch for e in ear.events] == [ack.epoch] * 6
        assert ear.text_of(turn_id) == "one two"
        assert told(attached, ear) == list(journal(memory, ANN))


async def test_a_reply_is_given_before_the_events_of_the_same_commit(memory: SessionStore) -> None:
    answer = ReplySlot[Ack]()

    class Watches(Ear):
        def offer(self, event: Event, /) -> None:
            assert answer._answered
            super().offer(event)

    async with running(memory) as core:
        core.topics.subscribe(ANN, ear := Watches())
        core.router.deliver(ANN, Send("a", "hello", answer))
        await done(core, ANN, "a")
    assert len(ear.entries) == 3


async def test_attaching_creates_a_missing_session_unless_told_not_to(store: SessionStore) -> None:
    async with running(store, NOBODY) as core:
        attached = await attach(core, ANN, Ear())
        stored = store.facts(ANN)
        assert stored is not None
        assert (attached.facts.tag, attached.facts.head_seq) == (stored.tag, 0)
        assert (attached.queue, attached.turn, attached.backlog) == ((), None, Snapshot((), more=False))
        ear = Ear()
        with pytest.raises(SessionNotFoundError):
            await attach(core, BOB, ear, create=False)
        assert store.facts(BOB) is None
        await send(core, BOB, "b")
        assert ear.events == []
        await attach(core, BOB, ear, create=False)


async def test_p23_resuming_tells_every_event_after_the_position_once(store: SessionStore) -> None:
    async with running(store) as core:
        for number in range(5):
            ack = await done(core, ANN, f"a{number}", "hello")
        for position in range(16):
            ear = Ear()
            attached = await attach(core, ANN, ear, (ack.epoch, position))
            await send(core, ANN, f"b{position}", "more")
            await done(core, ANN, f"b{position}", "more")
            missed = told(attached, ear)
            assert [entry.seq for entry in missed] == list(range(position + 1, missed[-1].seq + 1))
            assert missed == list(journal(store, ANN))[position:]


async def test_attaching_again_replaces_the_subscription(memory: SessionStore) -> None:
    ear = Ear()
    async with running(memory, NOBODY) as core:
        await attach(core, ANN, ear)
        await attach(core, ANN, ear)
        await send(core, ANN, "a")
    assert len(ear.entries) == 1


async def test_attaching_tells_the_queue_and_its_changes_are_told(memory: SessionStore) -> None:
    puppet, ear = Puppet(), Ear()
    async with running(memory, puppet.agent()) as core:
        for name in "abc":
            await send(core, ANN, name, name)
        attached = await attach(core, ANN, ear)
        assert attached.queue == (QueuedMessage(2, "b"), QueuedMessage(3, "c"))
        (await puppet.turn()).end()
        await puppet.turn()
        changes = [change.queue for change in ear.live if isinstance(change, QueueChanged)]
        assert changes == [(QueuedMessage(3, "c"),)]


@pytest.mark.parametrize("seed", range(25))
async def test_p23_attaching_in_the_middle_of_a_turn_shows_its_text_without_a_hole_or_a_repeat(
    store: SessionStore, seed: int
) -> None:
    chance, puppet = random.Random(seed), Puppet()  # noqa: S311 - a test's schedule
    pieces = [chance.choice(["word ", "ü", "👩‍👩‍👧 ", "long piece of text "]) for _ in range(40)]
    ears = list[tuple[Ear, Attached]]()
    async with running(store, puppet.agent()) as core:
        ack = await send(core, ANN, "a", "hello")
        performance = await puppet.turn()

        async def speak() -> None:
            for piece in pieces:
                await performance.say(piece)
                for _ in range(chance.randrange(4)):
                    await trio.lowlevel.checkpoint()
            performance.end()

        async def listen() -> None:
            ear = Ear()
            for _ in range(chance.randrange(60)):
                await trio.lowlevel.checkpoint()
            after = (ack.epoch, chance.randrange(2)) if chance.random() < 0.7 else None
            ears.append((ear, await attach(core, ANN, ear, after)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            for _ in range(12):
                nursery.start_soon(listen)
        await done(core, ANN, "a", "hello")
    for ear, attached in ears:
        known = told(attached, ear)
        answers = [e for e in known if isinstance(e.body, Message) and e.body.role == "assistant"]
        assert contents(answers) == ["".join(pieces)]
        assert len({entry.seq for entry in known}) == len(known)
        if attached.turn is not None:
            assert attached.turn.offset == len(attached.turn.text)
            assert ear.text_of(attached.turn.turn_id, attached.turn.text) == "".join(pieces)


async def test_a_turn_that_has_said_nothing_yet_is_told_with_no_text(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent()) as core:
        ack = await send(core, ANN, "a")
        await puppet.turn()
        attached = await attach(core, ANN, Ear())
        assert ack.turn_id is not None
        assert attached.turn == RunningTurn(ack.turn_id, "", 0)


async def test_a_message_to_an_archived_session_tells_that_it_is_active_again(memory: SessionStore) -> None:
    ear = Ear()
    async with running(memory, NOBODY) as core:
        await attach(core, ANN, ear)
        assert core.registry.put_away(next(iter(core.registry)))
        await wait_all_tasks_blocked()
        memory.archive(ANN)
        await send(core, ANN, "a")
    assert [news for news in ear.live if isinstance(news, StateChanged)] == [StateChanged("active")]


async def test_an_attach_that_cannot_be_read_subscribes_nobody_and_leaves_the_session_alive(
    memory: SessionStore,
) -> None:
    store, ear = RefusesReads(memory), Ear()
    async with running(store, NOBODY) as core:
        await send(core, ANN, "a")
        store.failing = True
        with pytest.raises(UnavailableError):
            await attach(core, ANN, ear)
        assert (await send(core, ANN, "b")).seq == 2
        assert ear.events == []
        assert ANN not in core.topics._subscribers


async def test_an_attached_peer_hears_of_a_session_that_was_put_away_meanwhile(memory: SessionStore) -> None:
    ear = Ear()
    async with running(memory, live_sessions=1) as core:
        await attach(core, ANN, ear)
        await done(core, BOB, "b")
        assert not core.router.is_live(ANN)
        await done(core, ANN, "a")
        await settle(core, ANN)
    assert ear.entries == list(journal(memory, ANN))
