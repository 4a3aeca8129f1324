"""What a conversation looks like, event by event."""

import pytest
from greenroom.actors.events import TurnDelta
from greenroom.persistence.records import Role, TurnError
from greenroom.runtime.chat_screen import Screen
from greenroom.runtime.client_events import (
    Ack,
    ConversationEvent,
    HeardMessage,
    Notice,
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


def notice(kind: str, seq: int | None, **data: object) -> Notice:
    return Notice(type=kind, epoch="1-a", at=AT, data=data, seq=seq)


def ack(command: str, **more: object) -> Ack:
    return Ack(seq=1, epoch="1-a", status="command", command=command, **more)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (ack("new", result={"epoch": "2-a"}), "[a new conversation has begun]\n"),
        (ack("reset", result={"epoch": "2-a"}), "[the conversation has begun again]\n"),
        (ack("archive", result={}), "[the conversation is closed until the next message]\n"),
        (
            ack("stop", result={"cancelled": ["t"], "removed": [{"seq": 1}, {"seq": 2}]}),
            "[turns cut off: 1; waiting messages forgotten: 2]\n",
        ),
        (ack("compact", error="not_supported"), "[/compact failed: not_supported]\n"),
        (ack("help", result={"text": "/new: x\n/\x1b[2J"}), "/new: x\n/\\x1b[2J\n"),
        (ack("later", result={}), "[/later is done]\n"),
        (Ack(seq=1, epoch="1-a", status="accepted", turn_id="t"), ""),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_what_a_command_typed_here_led_to_is_said_in_a_line(answer: Ack, line: str, *, plain: bool) -> None:
    written: list[str] = []
    screen = Screen(written.append, plain=plain)
    screen.answered(answer)
    assert "".join(written) == line


def test_a_command_typed_here_is_not_repeated_nor_the_end_it_brought() -> None:
    events = [notice("command", 1, name="new", client_id="c"), notice("session.ended", 2, reason="new")]
    assert shown(snapshot(head=0), *events, own="c") == ""
    assert shown(snapshot(head=0), *events, own="other") == "user> /new\n"
    assert shown(snapshot(head=0), *events, own="other", plain=True) == ""


@pytest.mark.parametrize(
    ("reason", "seq", "words"),
    [("timeout", 1, "nothing was said"), ("new", 1, "new"), ("delete", None, "deleted")],
)
def test_an_end_that_came_otherwise_is_told(reason: str, seq: int | None, words: str) -> None:
    text = shown(snapshot(head=0), TurnDelta("t", 0, "so"), notice("session.ended", seq, reason=reason))
    assert text.startswith("agent> so\n[the conversation" if reason != "new" else "agent> so\n[a new")
    assert words in text


def test_a_snapshot_after_an_end_shows_what_the_new_conversation_holds_beyond_what_was_shown() -> None:
    ended_one = notice("session.ended", 2, reason="new", next_epoch="2-a")
    first = HeardMessage(seq=3, epoch="2-a", at=AT, role="user", content="one")
    second = HeardMessage(seq=4, epoch="2-a", at=AT, role="user", content="two")
    later = Snapshot(info={}, epoch="2-a", head_seq=4, messages=(first, second), more=False)
    text = shown(snapshot(head=1), ended_one, first, later)
    assert text == "[a new conversation has begun]\nuser> one\nuser> two\n"
