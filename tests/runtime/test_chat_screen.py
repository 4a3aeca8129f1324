"""What a conversation looks like, event by event."""

import pytest
from greenroom.actors.events import TurnDelta
from greenroom.persistence.records import Role, TurnError
from greenroom.runtime.chat_screen import Screen
from greenroom.runtime.client_events import (
    ConversationEvent,
    HeardMessage,
    RunningTurn,
    Snapshot,
    TurnEnded,
)

AT = "2026-11-22T10:00:00Z"


def message(seq: int, role: Role, content: str, **more: str) -> HeardMessage:
    return HeardMessage(seq=seq, epoch="1-a", at=AT, role=role, content=content, **more)


def ended(seq: int, **more: object) -> TurnEnded:
    fields = {"stop_reason": "end_turn", "turn_id": "t", "message_seqs": (1,)} | more
    return TurnEnded(seq=seq, epoch="1-a", at=AT, **fields)


def snapshot(*messages: HeardMessage, head: int, turn: RunningTurn | None = None) -> Snapshot:
    return Snapshot(info={}, epoch="1-a", head_seq=head, messages=messages, more=False, turn=turn)


def shown(*events: ConversationEvent, plain: bool = False, own: str = "") -> str:
    written: list[str] = []
    screen = Screen(written.append, plain=plain)
    screen.expect(own)
    for event in events:
        screen.show(event)
    return "".join(written)


def test_an_answer_is_shown_as_it_comes_and_once() -> None:
    answer = [TurnDelta("t", 0, "one "), TurnDelta("t", 4, "two")]
    final = message(2, "assistant", "one two", turn_id="t")
    assert shown(snapshot(head=0), *answer, final, ended(3)) == "agent> one two\n"
    assert shown(snapshot(head=0), *answer, final, ended(3), plain=True) == "one two\n"


def test_an_answer_that_was_not_streamed_is_shown_whole() -> None:
    final = message(2, "assistant", "one two", turn_id="t")
    assert shown(snapshot(head=0), final, ended(3)) == "agent> one two\n"


def test_the_end_of_an_answer_whose_deltas_were_lost_comes_from_its_message() -> None:
    final = message(2, "assistant", "one two", turn_id="t")
    assert shown(snapshot(head=0), TurnDelta("t", 0, "one "), final) == "agent> one two\n"


def test_what_was_typed_here_is_not_repeated_and_what_others_say_is_shown() -> None:
    mine = message(1, "user", "mine", client_id="c1")
    theirs = message(2, "user", "theirs", client_id="c2")
    assert shown(snapshot(head=0), mine, theirs, own="c1") == "user> theirs\n"


def test_others_begin_on_a_line_of_their_own() -> None:
    theirs = message(1, "user", "theirs")
    assert shown(snapshot(head=0), TurnDelta("t", 0, "one "), theirs) == "agent> one \nuser> theirs\n"


def test_the_history_is_for_persons_only() -> None:
    past = [message(1, "user", "hi"), message(2, "assistant", "hello", turn_id="s")]
    assert shown(snapshot(*past, head=3)) == "user> hi\nagent> hello\n"
    assert shown(snapshot(*past, head=3), plain=True) == ""


def test_after_a_second_snapshot_only_what_is_new_is_shown() -> None:
    first = message(1, "assistant", "old", turn_id="s")
    again = snapshot(first, message(2, "assistant", "new", turn_id="u"), head=2)
    assert shown(snapshot(first, head=1), again, plain=True) == "new\n"


def test_a_running_turn_goes_on_where_the_line_stands() -> None:
    running = RunningTurn("t", "one two ", 8)
    events = [snapshot(head=0), TurnDelta("t", 0, "one "), snapshot(head=0, turn=running)]
    assert shown(*events, TurnDelta("t", 8, "three"), ended(1)) == "agent> one two three\n"


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (ended(1, stop_reason="cancelled"), "[the turn ended: cancelled]\n"),
        (ended(1, stop_reason="error", error=TurnError("agent_error", "it broke")), "it broke"),
    ],
)
def test_a_turn_that_ended_badly_says_so(turn: TurnEnded, words: str) -> None:
    assert words in shown(snapshot(head=0), TurnDelta("t", 0, "half"), turn)


def test_p29_control_characters_of_a_message_never_reach_the_terminal() -> None:
    evil = "a\x1b]0;title\x07b\rc\x9b2J\td\ne"
    text = shown(snapshot(head=0), TurnDelta("t", 0, evil), message(1, "user", evil))
    assert not set(text) & set("\x1b\x07\r\x9b")
    assert "\td\ne" in text
