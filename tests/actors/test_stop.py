"""Stop: a turn is cut off at once, what it said is kept, what waits stays or goes as was asked."""

from functools import partial

import pytest
import trio
import trio.testing
from greenroom.actors.commands import Ack, RemoveQueued, Send
from greenroom.actors.errors import GreenroomError, SessionNotFoundError, UnavailableError
from greenroom.actors.reply import ReplySlot
from greenroom.actors.reports import AgentWouldNotStop
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, QueueRemoved, TurnFinished
from greenroom.persistence.store import SessionStore
from greenroom.runtime.core import Core

from tests.actors.faults import RefusesCommits
from tests.actors.hand import (
    ANN,
    BOB,
    Ear,
    Puppet,
    Reports,
    attach,
    contents,
    ends,
    journal,
    on_mock_time,
    running,
    send,
)


async def cancel(core: Core, session: SessionID, turn_id: str | None = None) -> tuple[str, ...]:
    slot: ReplySlot[tuple[str, ...]] = ReplySlot()
    core.router.cancel(session, turn_id, slot)
    with trio.fail_after(5):
        return await slot.wait()


def removing(seq: int | None = None) -> partial[RemoveQueued]:
    return partial(RemoveQueued, seq=seq)


async def test_p17_stop_keeps_what_was_said_and_marks_it(store: SessionStore) -> None:
    puppet, ear = Puppet(), Ear()
    async with running(store, puppet.agent()) as core:
        await attach(core, ANN, ear)
        ack = await send(core, ANN, "a")
        turn = await puppet.turn()
        await turn.say("half an ")
        await turn.say("answer")
        assert await cancel(core, ANN) == (ack.turn_id,)
        assert [e.body for e in journal(store, ANN)[1:]] == [
            Message("assistant", "half an answer", partial=True),
            TurnFinished((1,), "cancelled"),
        ]
        assert turn.turn.is_closed
        assert await cancel(core, ANN) == ()
        await trio.testing.wait_all_tasks_blocked()
        assert turn.was_cancelled
        assert ear.text_of(ack.turn_id or "") == "half an answer"
        assert [e.body for e in ear.entries] == [e.body for e in journal(store, ANN)]


async def test_stop_of_a_turn_lets_the_next_message_have_its_own(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        await send(core, ANN, "a", "one")
        await send(core, ANN, "b", "two")
        await puppet.turn()
        await cancel(core, ANN)
        following = await puppet.turn()
        assert [message.content for message in following.turn.messages] == ["two"]


async def test_stop_names_the_turn_it_means(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        ack = await send(core, ANN, "a")
        assert await cancel(core, ANN, "another") == ()
        assert ends(journal(store, ANN)) == []
        assert await cancel(core, ANN, ack.turn_id) == (ack.turn_id,)


async def test_stop_takes_effect_in_its_place_among_the_requests_of_one_sender(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        sent, stopped, sent_after = ReplySlot[object](), ReplySlot[tuple[str, ...]](), ReplySlot[object]()
        core.router.deliver(ANN, Send("a", "one", sent))
        core.router.cancel(ANN, None, stopped)
        core.router.deliver(ANN, Send("b", "two", sent_after))
        with trio.fail_after(5):
            ack = await sent.wait()
            assert await stopped.wait() == (ack.turn_id,)  # type: ignore[attr-defined]
            await sent_after.wait()
        turn = await puppet.turn()
        if turn.turn.messages[0].content == "one":  # its agent was called before it was stopped
            turn = await puppet.turn()
        assert turn.turn.messages[0].content == "two"
        await trio.testing.wait_all_tasks_blocked()
        assert not turn.was_cancelled
        assert [
            (e.turn_id, e.body.stop_reason) for e in journal(store, ANN) if isinstance(e.body, TurnFinished)
        ] == [(ack.turn_id, "cancelled")]  # type: ignore[attr-defined]


async def test_stop_behind_another_stop_and_a_message_stops_that_message(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        first = await send(core, ANN, "a", "one")
        await puppet.turn()
        ended, sent, stopped = ReplySlot[object](), ReplySlot[Ack](), ReplySlot[tuple[str, ...]]()
        core.router.deliver(ANN, Send("b", "/stop", ended))
        core.router.deliver(ANN, Send("c", "two", sent))
        core.router.cancel(ANN, None, stopped)
        with trio.fail_after(5):
            ack = await sent.wait()
            assert await stopped.wait() == (ack.turn_id,)
        reasons = [
            (e.turn_id, e.body.stop_reason) for e in journal(store, ANN) if isinstance(e.body, TurnFinished)
        ]
        assert reasons == [(first.turn_id, "cancelled"), (ack.turn_id, "cancelled")]


async def test_p17_stop_is_never_refused_for_the_flood_before_it(memory: SessionStore) -> None:
    puppet = Puppet()
    async with running(memory, puppet.agent(), mailbox=2) as core:
        ack = await send(core, ANN, "a")
        slots = [ReplySlot[object]() for _ in range(2)]
        for number, slot in enumerate(slots):
            core.router.deliver(ANN, Send(f"more{number}", "x", slot))
        with pytest.raises(GreenroomError, match="waiting messages"):
            core.router.deliver(ANN, Send("too many", "x", ReplySlot()))
        assert await cancel(core, ANN) == (ack.turn_id,)


@on_mock_time
async def test_p17_an_agent_that_will_not_stop_is_named_and_its_words_are_dropped(
    memory: SessionStore,
) -> None:
    said: list[str] = []

    async def stubborn(turn: Turn) -> None:
        await turn.say("words")
        with trio.CancelScope(shield=True):
            await trio.sleep(30)
            try:
                await turn.say(" too late")
            except GreenroomError as exc:
                said.append(exc.name)

    reports = Reports()
    async with running(memory, Agent("stubborn", stubborn), report=reports) as core:
        ack = await send(core, ANN, "a")
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        assert await cancel(core, ANN) == (ack.turn_id,)
        assert trio.current_time() - before < 10  # the agent holds out for 30
        await trio.sleep(2)
        assert reports.of(AgentWouldNotStop) == [AgentWouldNotStop(ANN, ack.turn_id or "", "stubborn")]
        await trio.sleep(60)
        assert said == ["turn_closed"]
        assert contents(journal(memory, ANN)) == ["hello", "words"]


async def test_stop_of_a_session_that_does_not_exist_is_not_found(store: SessionStore) -> None:
    async with running(store) as core:
        with pytest.raises(SessionNotFoundError):
            await cancel(core, BOB)
        with pytest.raises(SessionNotFoundError):
            await core.router.ask(BOB, removing())
        assert store.facts(BOB) is None


async def test_a_message_taken_out_of_the_queue_never_reaches_an_agent(store: SessionStore) -> None:
    puppet, ear = Puppet(), Ear()
    async with running(store, puppet.agent()) as core, trio.open_nursery() as nursery:
        await attach(core, ANN, ear)
        await send(core, ANN, "a", "one")
        turn = await puppet.turn()
        second = await send(core, ANN, "b", "two")
        await send(core, ANN, "c", "three")
        outcome: list[str] = []

        async def wait_for_second() -> None:
            ack = await send(core, ANN, "b", "two", until_done=True)
            outcome.append(ack.status)

        nursery.start_soon(wait_for_second)
        await trio.testing.wait_all_tasks_blocked()
        (removed,) = await core.router.ask(ANN, removing(second.seq))
        assert (removed.seq, removed.content) == (second.seq, "two")
        await trio.testing.wait_all_tasks_blocked()
        assert outcome == ["removed"]
        assert (await send(core, ANN, "b", "two")).status == "removed"
        assert await core.router.ask(ANN, removing(second.seq)) == ()
        turn.end()
        following = await puppet.turn()
        assert [message.content for message in following.turn.context] == ["one", "three"]
        following.end()
        assert [e.body for e in ear.entries if isinstance(e.body, QueueRemoved)] == [
            QueueRemoved((second.seq,))
        ]
        await trio.testing.wait_all_tasks_blocked()
        record = store.load(ANN)
        assert record is not None
        assert (record.facts.message_count, contents(record.context)) == (2, ["one", "three"])


async def test_a_message_whose_turn_runs_is_not_taken_out(store: SessionStore) -> None:
    puppet = Puppet()
    async with running(store, puppet.agent()) as core:
        ack = await send(core, ANN, "a")
        assert await core.router.ask(ANN, removing(ack.seq)) == ()
        assert await core.router.ask(ANN, removing()) == ()


async def test_p7_stop_that_cannot_be_stored_is_refused_and_the_turn_still_ends(memory: SessionStore) -> None:
    puppet = Puppet()
    faulty = RefusesCommits(memory)
    async with running(faulty, puppet.agent()) as core:
        await send(core, ANN, "a")
        turn = await puppet.turn()
        await turn.say("words")
        faulty.refuses = lambda _: True
        with pytest.raises(UnavailableError):
            await cancel(core, ANN)
        faulty.refuses = lambda _: False
        with trio.fail_after(5):
            while not ends(journal(memory, ANN)):  # noqa: ASYNC110 - stored by the retry of another task
                await trio.sleep(0.01)
        assert contents(journal(memory, ANN)) == ["hello", "words"]
        assert [end.stop_reason for end in ends(journal(memory, ANN))] == ["cancelled"]


@pytest.mark.parametrize("seed", range(60))
async def test_p17_stop_at_any_moment_of_a_turn_ends_it_once(memory: SessionStore, seed: int) -> None:
    async def talkative(turn: Turn) -> None:
        for number in range(5):
            await turn.say(f"{number} ")
            await trio.lowlevel.checkpoint()

    ear = Ear()
    async with running(memory, Agent("talkative", talkative)) as core:
        await attach(core, ANN, ear)
        ack = await send(core, ANN, "a")
        for _ in range(seed % 20):
            await trio.lowlevel.checkpoint()
        cancelled = await cancel(core, ANN)
        await trio.testing.wait_all_tasks_blocked()
        (end,) = ends(journal(memory, ANN))
        assert end.stop_reason == ("cancelled" if cancelled else "end_turn")
        assert cancelled in ((), (ack.turn_id,))
        said = "".join(contents(journal(memory, ANN))[1:])
        assert ear.text_of(ack.turn_id or "") == said
