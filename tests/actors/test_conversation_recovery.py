"""What the rules of a conversation make of a crash, a drain and a new start."""

from greenroom.actors.conversation import Step
from greenroom.actors.turning import MAX_ATTEMPTS, recover
from greenroom.persistence.records import TurnFinished, TurnMark

from tests.actors.hand import ends
from tests.actors.play import AT, NEW, Play, ack_of, begun, rules


def test_nothing_begins_while_the_runtime_drains_and_messages_are_kept() -> None:
    play = Play(rules(is_draining=True))
    taken = play.send("a")
    assert (ack_of(taken).status, begun(taken)) == ("queued", None)
    play.rules = rules()
    assert begun(play.crash()) == TurnMark("id1", 1, (1,))


def test_p12_a_turn_that_a_crash_cut_off_is_finished_as_interrupted_exactly_once() -> None:
    play = Play()
    play.send("a")
    play.send("b")
    taken = play.crash()
    (finished,) = ends(taken.entries)
    assert finished == TurnFinished((1,), "interrupted")
    assert begun(taken) == TurnMark("id3", 1, (2,))
    play.end()
    play.crash()
    assert [end.stop_reason for end in ends(play.journal)] == ["interrupted", "end_turn"]


def test_p12_an_agent_that_may_be_rerun_gets_the_message_again_under_a_new_turn_id() -> None:
    play = Play(rules(on_interrupt="retry"))
    play.send("a")
    taken = play.crash()
    (finished,) = ends(taken.entries)
    assert finished == TurnFinished((1,), "interrupted", will_retry=True)
    assert begun(taken) == TurnMark("id3", 2, (1,))


def test_the_third_crash_on_one_message_sets_it_aside_and_the_next_begins_afresh() -> None:
    play = Play(rules(on_interrupt="retry"))
    play.send("poison")
    play.send("next")
    attempts = [begun(play.crash()) for _ in range(MAX_ATTEMPTS)]
    assert [mark and (mark.attempt, mark.message_seqs) for mark in attempts] == [
        (2, (1,)), (3, (1,)), (1, (2,)),
    ]  # fmt: skip
    last = ends(play.journal)[-1]
    assert not last.will_retry
    assert last.error is not None
    assert (last.error.name, [end.will_retry for end in ends(play.journal)]) == (
        "set_aside", [True, True, False],
    )  # fmt: skip


def test_a_drain_is_no_crash_and_counts_for_nothing() -> None:
    play = Play(rules(on_interrupt="retry"))
    play.send("a")
    for _ in range(MAX_ATTEMPTS + 1):
        play.rules = rules(on_interrupt="retry", is_draining=True)
        play.end("interrupted")
        play.rules = rules(on_interrupt="retry")
        mark = begun(play.crash())
        assert mark is not None
        assert mark.attempt == 1


def test_recovering_without_a_turn_begins_what_waits_or_does_nothing() -> None:
    play = Play(rules(is_draining=True))
    play.send("a")
    play.rules = rules()
    assert begun(play.crash()) is not None
    play.end()
    assert play.crash() == Step(play.state)
    assert recover(NEW, AT, rules()) == Step(NEW)


def test_a_runtime_that_does_not_answer_uses_no_turn_up_that_another_would_run_again() -> None:
    play = Play(rules(on_interrupt="retry"))
    play.send("a")
    play.send("b")
    play.rules = rules(answers=False)
    before = play.state
    assert play.crash() == Step(before)
    play.rules = rules(on_interrupt="retry")
    (finished,) = ends(play.crash().entries)
    assert finished.will_retry
    assert begun(play.last) is not None
