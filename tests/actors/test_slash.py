"""Messages that are commands: carried out once, stored with their client id, told apart from text."""

import pytest
from greenroom.actors.commands import CommandOutcome, Stopped
from greenroom.actors.effects import Answer, AnswerFacts
from greenroom.actors.errors import IdConflictError
from greenroom.actors.slash import HELP_TEXT
from greenroom.persistence.records import CommandRan, EndReason, Message, SessionEnded

from tests.actors.play import Play, begun, refusal_of, rules


def outcome_of(play: Play) -> CommandOutcome:
    effect = play.last.effects[-1]
    if isinstance(effect, AnswerFacts):
        assert play.state.facts is not None
        value = effect.value(play.state.facts)
    else:
        assert isinstance(effect, Answer)
        value = effect.value
    assert value.status == "command"  # type: ignore[attr-defined]
    outcome = value.outcome  # type: ignore[attr-defined]
    assert isinstance(outcome, CommandOutcome)
    return outcome


@pytest.mark.parametrize("name", ["new", "reset"])
def test_a_command_that_begins_again_is_stored_in_the_epoch_it_ends(name: str) -> None:
    play = Play()
    play.send("a")
    play.said = "half an ans"
    play.send("b", "wait for me")
    play.send("c", f"/{name}")
    kinds = [type(entry.body).__name__ for entry in play.last.entries]
    assert kinds == ["Message", "TurnFinished", "QueueRemoved", "CommandRan", "SessionEnded"]
    assert {entry.epoch for entry in play.last.entries} == {1}
    assert play.last.entries[0].body == Message("assistant", "half an ans", partial=True)
    assert play.last.entries[3].body == CommandRan(name)
    assert play.last.entries[3].client_id == "c"
    ended = play.last.entries[4].body
    assert isinstance(ended, SessionEnded)
    assert (ended.reason, ended.next_epoch) == (EndReason(name), 2)
    assert outcome_of(play) == CommandOutcome(name, play.state.facts)
    assert play.state.facts is not None
    assert (play.state.facts.epoch, play.state.facts.message_count) == (2, 0)


def test_a_command_is_carried_out_once_however_often_it_is_sent() -> None:
    play = Play()
    play.send("a")
    play.send("c", "/new")
    length, state = len(play.journal), play.state
    play.send("c", "/new")
    assert (len(play.journal), play.state) == (length, state)
    effect = play.last.effects[-1]
    assert isinstance(effect, Answer)
    assert (effect.value.duplicate, effect.value.seq) == (True, length - 1)  # type: ignore[attr-defined]
    assert outcome_of(play) == CommandOutcome("new", state.facts)


@pytest.mark.parametrize(("first", "second"), [("/new", "/reset"), ("/new", "new"), ("hello", "/new")])
def test_p5_a_client_id_stands_for_one_command_or_one_message(first: str, second: str) -> None:
    play = Play()
    play.send("a", first)
    refused = play.send("a", second)
    assert isinstance(refusal_of(refused), IdConflictError)


def test_stop_cuts_the_turn_off_and_empties_the_queue() -> None:
    play = Play()
    play.send("a")
    assert play.state.turn is not None
    turn_id = play.state.turn.turn_id
    play.send("b", "later")
    (queued,) = play.state.queue
    play.send("c", "/stop")
    assert outcome_of(play) == CommandOutcome("stop", Stopped((turn_id,), (queued,)))
    assert (play.state.turn, play.state.pending) == (None, ())
    play.send("d", "/stop")
    assert outcome_of(play) == CommandOutcome("stop", Stopped((), ()))


def test_help_says_what_there_is_and_changes_nothing() -> None:
    play = Play()
    play.send("a")
    turn = play.state.turn
    play.send("c", "/help")
    assert outcome_of(play) == CommandOutcome("help", HELP_TEXT)
    assert play.state.turn == turn


def test_what_cannot_be_done_is_stored_with_the_name_of_its_error() -> None:
    play = Play()
    play.send("c", "/compact")
    assert outcome_of(play) == CommandOutcome("compact", error="not_supported")
    assert play.journal[-1].body == CommandRan("compact", "not_supported")


def test_archiving_what_is_archived_ends_nothing_again() -> None:
    play = Play()
    play.send("c", "/archive")
    play.send("d", "/archive")
    assert play.last.ending is None
    assert sum(isinstance(entry.body, SessionEnded) for entry in play.journal) == 1


@pytest.mark.parametrize(
    ("content", "stored"),
    [("//new", "/new"), ("//x", "/x"), ("/unknown", "/unknown"), ("/new now", "/new now"), ("new", "new")],
)
def test_what_is_no_command_is_a_message(content: str, stored: str) -> None:
    play = Play()
    play.send("a", content)
    assert play.journal[0].body == Message("user", stored)
    assert begun(play.last) is not None
    play.send("a", content)
    assert len(play.journal) == 1


def test_with_commands_turned_off_everything_is_a_message() -> None:
    play = Play(rules(commands=False))
    play.send("a", "/new")
    play.send("b", "//new")
    assert [entry.body for entry in play.journal] == [Message("user", "/new"), Message("user", "//new")]
