"""What the follower makes of what the server says, case by case."""

import msgspec
import pytest
from greenroom.actors.events import QueueChanged, TurnDelta, TurnStarted
from greenroom.runtime.client_events import (
    ConversationEvent,
    HeardMessage,
    Notice,
    RunningTurn,
    Snapshot,
    TurnEnded,
    WireEvent,
)
from greenroom.runtime.client_state import Follower, decode_event

from tests.runtime.wire_events import delta, durable, recovered, snapshot


def seqs(news: list[ConversationEvent]) -> list[int]:
    return [piece.seq for piece in news if isinstance(piece, HeardMessage | TurnEnded)]


def texts(news: list[ConversationEvent]) -> list[tuple[int, str]]:
    return [(piece.offset, piece.text) for piece in news if isinstance(piece, TurnDelta)]


def attached_at(head: int, turn: RunningTurn | None = None) -> Follower:
    follower = Follower()
    follower.attached(snapshot(head, turn=turn))
    return follower


def test_the_first_attach_asks_for_no_place_and_yields_a_snapshot() -> None:
    follower = Follower()
    assert follower.behind
    assert follower.position() == {}
    (news,) = follower.attached(snapshot(7))
    assert isinstance(news, Snapshot)
    assert not follower.behind
    assert follower.position() == {"after_seq": 7, "epoch": "1-a"}


def test_nothing_is_taken_in_before_the_attach_answer() -> None:
    assert Follower().heard(durable(1)) == []


def test_a_repeated_durable_event_is_told_once() -> None:
    follower = attached_at(3)
    assert seqs(follower.heard(durable(4))) == [4]
    assert follower.heard(durable(4)) == []
    assert not follower.behind


def test_a_gap_asks_for_an_attach_from_the_last_event_before_it() -> None:
    follower = attached_at(3)
    assert follower.heard(durable(5)) == []
    assert follower.behind
    assert follower.position() == {"after_seq": 3, "epoch": "1-a"}
    assert seqs(follower.attached(recovered(durable(4), durable(5), head=5))) == [4, 5]
    assert seqs(follower.heard(durable(6))) == [6]


def test_events_of_the_old_subscription_do_not_overtake_the_attach_answer() -> None:
    follower = attached_at(3)
    follower.behind = True
    assert follower.heard(durable(4)) == []
    assert seqs(follower.attached(recovered(durable(4), head=4))) == [4]


def test_the_next_epoch_joins_on_when_its_seq_does() -> None:
    follower = attached_at(3)
    assert seqs(follower.heard(durable(4, "2-a"))) == [4]
    assert follower.position() == {"after_seq": 4, "epoch": "2-a"}


def test_the_same_seq_in_another_epoch_is_a_gap_and_not_a_repeat() -> None:
    follower = attached_at(3)
    assert follower.heard(durable(3, "1-restored")) == []
    assert follower.behind


def test_an_answer_that_contradicts_itself_makes_the_follower_begin_anew() -> None:
    follower = attached_at(3)
    follower.behind = True
    assert seqs(follower.attached(recovered(durable(4), durable(6), head=6))) == [4]
    assert follower.behind
    assert follower.position() == {}


def test_a_running_turn_goes_on_after_a_lost_connection_without_hole_or_repeat() -> None:
    follower = attached_at(0)
    assert texts(follower.heard(delta("t", 0, "one "))) == [(0, "one ")]
    follower.behind = True
    turn = RunningTurn("t", "one two 🧵 ", 10)
    assert texts(follower.attached(recovered(head=0, turn=turn))) == [(4, "two 🧵 ")]
    assert texts(follower.heard(delta("t", 10, "three"))) == [(10, "three")]


def test_a_turn_that_began_meanwhile_is_told_from_its_first_character() -> None:
    follower = attached_at(0)
    follower.heard(delta("t", 0, "one "))
    follower.behind = True
    news = follower.attached(recovered(head=0, turn=RunningTurn("u", "new ", 4)))
    assert [piece for piece in news if isinstance(piece, TurnDelta)] == [TurnDelta("u", 0, "new ")]


def test_the_text_in_a_snapshot_is_not_told_again_as_a_delta() -> None:
    follower = Follower()
    (news,) = follower.attached(snapshot(0, turn=RunningTurn("t", "one ", 4)))
    assert isinstance(news, Snapshot)
    assert news.turn == RunningTurn("t", "one ", 4)
    assert texts(follower.heard(delta("t", 4, "two"))) == [(4, "two")]


def test_a_hole_in_the_text_asks_for_an_attach() -> None:
    follower = attached_at(0)
    follower.heard(delta("t", 0, "one "))
    assert follower.heard(delta("t", 9, "four")) == []
    assert follower.behind


def test_a_delta_that_overlaps_is_trimmed_and_a_repeated_one_is_silent() -> None:
    follower = attached_at(0)
    follower.heard(delta("t", 0, "one "))
    assert follower.heard(delta("t", 0, "one ")) == []
    assert texts(follower.heard(delta("t", 2, "e two"))) == [(4, "two")]


def test_a_turn_whose_text_shrank_makes_the_follower_begin_anew() -> None:
    follower = attached_at(0, RunningTurn("t", "one two", 7))
    follower.behind = True
    follower.attached(recovered(head=0, turn=RunningTurn("t", "one", 3)))
    assert follower.behind
    assert follower.position() == {}


def test_words_after_the_end_of_a_turn_are_dropped() -> None:
    follower = attached_at(0)
    follower.heard(delta("t", 0, "one "))
    ended = {"turn_id": "t", "message_seqs": [1], "stop_reason": "cancelled"}
    (news,) = follower.heard(durable(1, kind="turn.finished", **ended))
    assert isinstance(news, TurnEnded)
    assert follower.heard(delta("t", 4, "late")) == []
    assert not follower.behind


def test_resync_asks_for_an_attach() -> None:
    follower = attached_at(2)
    assert follower.heard(WireEvent(type="resync", session="a:b:c", epoch="1-a")) == []
    assert follower.behind


def test_turn_started_is_told_once() -> None:
    follower = attached_at(0)
    event = WireEvent(type="turn.started", data={"turn_id": "t", "message_seqs": [1]})
    assert follower.heard(event) == [TurnStarted("t", (1,))]
    assert follower.heard(event) == []


def test_recovery_tells_the_queue_as_it_is_now() -> None:
    follower = attached_at(0)
    follower.behind = True
    assert follower.attached(recovered(head=0)) == [QueueChanged(())]


@pytest.mark.parametrize(
    "event",
    [
        WireEvent(type="session.memory", epoch="1-a", seq=1, data={"facts": 2}),
        durable(1, role="oracle", content="a role of a later version"),
        durable(1, role="user"),
        WireEvent(type="turn.delta", data={"turn_id": "t"}),
        WireEvent(type="session.state", data={"state": "idle"}),
    ],
)
def test_what_this_version_does_not_know_arrives_as_the_server_sent_it(event: WireEvent) -> None:
    news = decode_event(event)
    assert isinstance(news, Notice)
    assert (news.type, news.data, news.seq) == (event.type, event.data, event.seq)


def ended(seq: int | None, **data: str) -> WireEvent:
    return WireEvent(type="session.ended", epoch="1-a", seq=seq, data={"reason": "new", "end_id": "e"} | data)


def test_after_an_end_the_place_is_in_the_epoch_that_follows() -> None:
    follower = attached_at(3)
    (news,) = follower.heard(ended(4, next_epoch="2-a"))
    assert isinstance(news, Notice)
    assert follower.position() == {"after_seq": 4, "epoch": "2-a"}
    assert seqs(follower.heard(durable(5, "2-a"))) == [5]
    follower.behind = True
    answer = msgspec.structs.replace(recovered(durable(6, "2-a"), head=6), epoch="2-a")
    assert seqs(follower.attached(answer)) == [6]
    assert not follower.behind


def test_an_end_without_a_following_epoch_leaves_the_place_where_it_was() -> None:
    follower = attached_at(3)
    follower.heard(ended(4, reason="archive"))
    assert follower.position() == {"after_seq": 4, "epoch": "1-a"}
    assert seqs(follower.heard(durable(5))) == [5]


def test_after_a_deletion_a_session_of_the_same_name_begins_with_seq_1() -> None:
    follower = attached_at(3)
    (news,) = follower.heard(ended(None, reason="delete"))
    assert isinstance(news, Notice)
    assert follower.position() == {}
    assert seqs(follower.heard(durable(1, "1-b"))) == [1]
    assert follower.position() == {"after_seq": 1, "epoch": "1-b"}
