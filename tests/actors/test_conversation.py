"""The rules of a conversation, one command at a time; no clock, no store, no task."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from greenroom.actors.commands import Barrier, EndTurn, Open, Record, Send
from greenroom.actors.conversation import Step
from greenroom.actors.effects import Answer, AnswerWhenDone, Begin, Finished
from greenroom.actors.errors import BusyError, IdConflictError, SessionNotFoundError
from greenroom.actors.reply import ReplySlot
from greenroom.actors.stepping import step
from greenroom.actors.turning import CUT_SHORT
from greenroom.persistence.records import Entry, Message, SessionState, StopReason, TurnFinished, TurnMark

from tests.actors.hand import contents, ends
from tests.actors.play import AT, NEW, Play, ack_of, begun, refusal_of, rules


def test_the_first_message_creates_the_session_and_begins_its_turn_in_one_step() -> None:
    play = Play()
    taken = play.send("a")
    assert contents(taken.entries) == ["hello"]
    assert (taken.entries[0].seq, taken.entries[0].client_id) == (1, "a")
    facts = taken.state.facts
    assert facts is not None
    assert (facts.head_seq, facts.pending, facts.message_count) == (1, (1,), 1)
    assert facts.turn == begun(taken)
    assert facts.turn == TurnMark("id2", 1, (1,))
    ack = ack_of(taken)
    assert (ack.seq, ack.epoch, ack.status, ack.duplicate) == (1, "1-id1", "accepted", False)
    assert ack.turn_id == "id2"


def test_a_message_that_comes_while_a_turn_runs_is_queued_for_a_turn_of_its_own() -> None:
    play = Play()
    play.send("a")
    taken = play.send("b", "again")
    assert (ack_of(taken).status, ack_of(taken).turn_id, begun(taken)) == ("queued", None, None)
    assert [(q.seq, q.content) for q in taken.state.queue] == [(2, "again")]


def test_the_end_of_a_turn_is_stored_with_its_answer_and_begins_the_next() -> None:
    play = Play()
    play.send("a")
    play.send("b")
    taken = play.end(text="hi")
    message, finished = taken.entries
    assert message.body == Message("assistant", "hi")
    assert finished.body == TurnFinished((1,), "end_turn")
    assert message.turn_id == finished.turn_id == "id2"
    assert begun(taken) == taken.state.turn == TurnMark("id3", 1, (2,))
    assert [type(effect) for effect in taken.effects] == [Answer, Finished, Begin]


def test_a_turn_that_says_nothing_stores_only_its_end() -> None:
    play = Play()
    play.send("a")
    assert [type(e.body) for e in play.end(text="").entries] == [TurnFinished]
    assert play.state.pending == ()


REASONS: tuple[StopReason, ...] = (
    "end_turn", "cancelled", "max_tokens", "refusal", "error", "timeout", "budget", "interrupted",
)  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_an_answer_that_was_cut_short_is_marked_partial(reason: StopReason) -> None:
    play = Play()
    play.send("a")
    (answer, finished) = play.end(reason).entries
    assert isinstance(answer.body, Message)
    assert answer.body.partial is (reason in CUT_SHORT)
    assert finished.body == TurnFinished((1,), reason)
    assert play.state.pending == ()


@pytest.mark.parametrize("reason", REASONS)
def test_only_an_interrupted_turn_of_an_agent_that_may_be_rerun_keeps_its_messages(
    reason: StopReason,
) -> None:
    play = Play(rules(on_interrupt="retry", is_draining=False))
    play.send("a")
    play.rules = rules(on_interrupt="retry", is_draining=True)
    taken = play.end(reason)
    (finished,) = ends(taken.entries)
    assert finished.will_retry is (reason == "interrupted")
    assert [e.seq for e in taken.state.pending] == ([1] if reason == "interrupted" else [])


def test_the_end_of_another_turn_is_answered_and_changes_nothing() -> None:
    play = Play()
    play.send("a")
    before = play.state
    taken = play.end(turn_id="a former one")
    assert (taken.state, taken.entries, len(taken.effects)) == (before, (), 1)
    play.end()
    assert play.end(turn_id="id2").entries == ()
    assert step(NEW, EndTurn("id2", "", "end_turn", ReplySlot()), None, "", AT, rules()).state == NEW


def test_p5_the_same_id_and_content_gives_the_first_seq_and_the_status_as_of_now() -> None:
    play = Play()
    play.send("a")
    play.send("b")
    seen = []
    for _ in range(3):
        for client_id in "ab":
            ack = ack_of(play.send(client_id))
            assert play.last.entries == ()
            seen.append((ack.seq, ack.status, ack.duplicate))
        play.end(text="")
    assert seen == [
        (1, "accepted", True), (2, "queued", True),
        (1, "done", True), (2, "accepted", True),
        (1, "done", True), (2, "done", True),
    ]  # fmt: skip


def test_p5_the_same_id_with_other_content_is_a_conflict_that_repeats_no_content() -> None:
    play = Play()
    play.send("a", "secret one")
    error = refusal_of(play.send("a", "secret two"))
    assert isinstance(error, IdConflictError)
    assert "secret" not in str(error)


def test_a_full_queue_refuses_new_messages_but_answers_repeated_ones() -> None:
    play = Play()
    for client_id in "abc":
        play.send(client_id)
    assert isinstance(refusal_of(play.send("d")), BusyError)
    assert ack_of(play.send("c")).duplicate
    play.end()
    assert ack_of(play.send("d")).status == "queued"


def test_mode_reject_is_refused_while_a_turn_runs_and_stores_nothing() -> None:
    play = Play()
    play.send("a")
    assert isinstance(refusal_of(play.send("b", mode="reject")), BusyError)
    assert ack_of(play.send("a", mode="reject")).duplicate
    play.end()
    assert ack_of(play.send("b", mode="reject")).status == "accepted"


def test_a_sender_that_waits_is_answered_when_its_turn_has_finished() -> None:
    play = Play()
    (effect, *_) = play.send("a", until_done=True).effects
    assert isinstance(effect, AnswerWhenDone)
    assert (effect.ack.status, effect.ack.seq) == ("accepted", 1)
    (effect,) = play.send("a", until_done=True).effects
    assert isinstance(effect, AnswerWhenDone)
    assert effect.ack.duplicate


def test_where_nobody_answers_a_message_is_stored_and_that_is_all() -> None:
    play = Play(rules(answers=False, max_pending=1))
    for client_id in "abc":
        taken = play.send(client_id, until_done=True)
        assert (ack_of(taken).status, begun(taken), len(taken.effects)) == ("done", None, 1)
        assert isinstance(taken.effects[0], Answer)
    assert play.state.pending == ()
    assert ack_of(play.send("d")).status == "accepted"
    (effect,) = play.send("a").effects  # whether an agent answered it in former days, the store knows
    assert isinstance(effect, AnswerWhenDone)


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_a_recorded_message_of_any_role_starts_no_turn(role: Any) -> None:  # noqa: ANN401 - a role
    play = Play()
    taken = play.take(Record(Message(role, "noted"), ReplySlot[Entry]()))
    assert (contents(taken.entries), begun(taken), taken.state.pending) == (["noted"], None, ())
    (effect,) = taken.effects
    assert isinstance(effect, Answer)
    assert effect.value == taken.entries[0]


def test_opening_creates_once_and_tells_the_facts() -> None:
    play = Play()
    taken = play.take(Open(ReplySlot()))
    assert taken.state.facts is not None
    assert taken.entries == ()
    assert play.take(Open(ReplySlot())).state == taken.state


def test_a_barrier_changes_nothing_and_creates_nothing() -> None:
    taken = Play().take(Barrier(ReplySlot()))
    assert (taken.state, taken.entries, len(taken.effects)) == (NEW, (), 1)


def test_a_message_to_an_archived_session_opens_it_again_and_a_turns_end_leaves_it() -> None:
    play = Play()
    play.send("a")
    facts = play.state.facts
    assert facts is not None
    play.state = msgspec.structs.replace(
        play.state, facts=msgspec.structs.replace(facts, state=SessionState.ARCHIVED)
    )
    play.end(text="")
    assert play.state.facts is not None
    assert play.state.facts.state is SessionState.ARCHIVED
    play.send("b")
    assert play.state.facts.state is SessionState.ACTIVE


def test_a_known_message_without_a_session_is_refused_by_name() -> None:
    known = Entry(1, 1, AT, Message("user", "hello"), client_id="a")
    with pytest.raises(SessionNotFoundError):
        step(NEW, Send("a", "hello", ReplySlot()), known, "", AT, rules())


@pytest.mark.parametrize(
    "command",
    [
        lambda play: play.send("a"),
        lambda play: play.end(),
        lambda play: play.take(Open(ReplySlot())),
        lambda play: play.take(Record(Message("user", "x"), ReplySlot())),
        lambda play: play.crash(),
    ],
    ids=["send", "end", "open", "record", "recover"],
)
def test_a_step_leaves_the_state_it_was_given_as_it_was(command: Callable[[Play], Step]) -> None:
    play = Play()
    play.send("z")
    given = play.state
    before = msgspec.msgpack.encode(given)
    command(play)
    assert msgspec.msgpack.encode(given) == before
