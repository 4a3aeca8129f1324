"""The follower against a model of the server that loses, repeats and forgets as the real one may."""

from typing import Any

import hypothesis.strategies as st
import pytest
from greenroom.actors.events import QueueChanged, TurnDelta, TurnStarted
from greenroom.runtime.client_events import (
    AttachAnswer,
    ConversationEvent,
    HeardMessage,
    Notice,
    RunningTurn,
    Snapshot,
    TurnEnded,
    WireEvent,
    WireSnapshot,
)
from greenroom.runtime.client_state import Follower, decode_event
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

AT = "2026-11-22T10:00:00Z"


def durable(seq: int, epoch: str = "1-a", kind: str = "message", **data: object) -> WireEvent:
    body = data or {"role": "user", "content": f"text {seq}"}
    return WireEvent(type=kind, at=AT, session="a:b:c", epoch=epoch, seq=seq, data=body)


def delta(turn_id: str, offset: int, text: str) -> WireEvent:
    data = {"turn_id": turn_id, "offset": offset, "text": text}
    return WireEvent(type="turn.delta", at=AT, session="a:b:c", epoch="1-a", data=data)


def snapshot(head: int, epoch: str = "1-a", turn: RunningTurn | None = None) -> AttachAnswer:
    return AttachAnswer(
        epoch=epoch, head_seq=head, recovered=False, snapshot=WireSnapshot((), more=False), turn=turn
    )


def recovered(*events: WireEvent, head: int, turn: RunningTurn | None = None) -> AttachAnswer:
    return AttachAnswer(epoch="1-a", head_seq=head, recovered=True, events=events, turn=turn)


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


class Meeting(RuleBasedStateMachine):
    """A server's conversation, a connection that may break, and a follower whose words are checked."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch, self.turns = "1-a", 0
        self.journal: list[WireEvent] = []
        self.turn: tuple[str, str] | None = None
        self.connected = False
        self.wire: list[WireEvent] = []
        self.follower = Follower()
        self.place: tuple[str, int] | None = None
        self.heard_texts: dict[str, str] = {}
        self.true_texts: dict[str, str] = {}

    def publish(self, event: WireEvent) -> None:
        if self.connected:
            self.wire.append(event)

    def append(self, kind: str, data: dict[str, Any]) -> None:
        event = durable(len(self.journal) + 1, self.epoch, kind, **data)
        self.journal.append(event)
        self.publish(event)

    def consume(self, news: list[ConversationEvent]) -> None:
        for piece in news:
            match piece:
                case Snapshot():
                    self.place = (piece.epoch, piece.head_seq)
                    if piece.turn:
                        self.heard_texts[piece.turn.turn_id] = piece.turn.text
                case HeardMessage(seq=int()) | TurnEnded(seq=int()) | Notice(seq=int()):
                    assert self.place is not None
                    assert piece.seq == self.place[1] + 1, "a gap or a repeat"
                    self.place = (piece.epoch, piece.seq)
                case TurnDelta():
                    told = self.heard_texts.setdefault(piece.turn_id, "")
                    assert piece.offset == len(told), "a hole or a repeat in the text"
                    self.heard_texts[piece.turn_id] = told + piece.text
                case _:
                    pass

    @rule()
    def message(self) -> None:
        self.append("message", {"role": "user", "content": "hi"})

    @precondition(lambda self: self.turn is None)
    @rule()
    def begin_turn(self) -> None:
        self.turns += 1
        self.turn = (f"t{self.turns}", "")
        self.true_texts[self.turn[0]] = ""
        data = {"turn_id": self.turn[0], "message_seqs": []}
        self.publish(WireEvent(type="turn.started", epoch=self.epoch, data=data))

    @precondition(lambda self: self.turn is not None)
    @rule(text=st.text(alphabet="ab🧵é ", min_size=1, max_size=4))
    def speak(self, text: str) -> None:
        assert self.turn is not None
        turn_id, so_far = self.turn
        self.turn = (turn_id, so_far + text)
        self.true_texts[turn_id] = so_far + text
        self.publish(delta(turn_id, len(so_far), text))

    @precondition(lambda self: self.turn is not None)
    @rule()
    def end_turn(self) -> None:
        assert self.turn is not None
        turn_id, text = self.turn
        self.turn = None
        self.append("message", {"role": "assistant", "content": text, "turn_id": turn_id})
        data = {"turn_id": turn_id, "message_seqs": [], "stop_reason": "end_turn"}
        self.append("turn.finished", data)

    @precondition(lambda self: self.turn is None)
    @rule()
    def new_epoch(self) -> None:
        self.epoch = f"{int(self.epoch.split('-')[0]) + 1}-a"
        self.append("session.ended", {"reason": "new"})

    @precondition(lambda self: self.turn is None and self.journal)
    @rule(data=st.data())
    def restore_a_backup(self, data: st.DataObject) -> None:
        self.break_off()
        self.journal = self.journal[: data.draw(st.integers(0, len(self.journal) - 1))]
        self.epoch += "r"

    @precondition(lambda self: self.connected and self.wire)
    @rule()
    def deliver(self) -> None:
        self.consume(self.follower.heard(self.wire.pop(0)))

    @precondition(lambda self: self.connected and self.wire)
    @rule()
    def deliver_twice(self) -> None:
        event = self.wire.pop(0)
        self.consume(self.follower.heard(event))
        self.consume(self.follower.heard(event))

    @precondition(lambda self: self.connected and any(event.seq is None for event in self.wire))
    @rule()
    def drop_live_events_with_resync(self) -> None:
        self.wire = [event for event in self.wire if event.seq is not None]
        self.wire.append(WireEvent(type="resync", epoch=self.epoch))

    @precondition(lambda self: self.connected and self.wire)
    @rule()
    def lose_an_event_silently(self) -> None:
        """A fault of ours or of the server: it must show, not stay."""
        lost = self.wire.pop(0)
        if lost.type in {"turn.delta", "resync"}:
            self.follower.behind = True  # nothing after the last one would reveal it

    @rule()
    def break_off(self) -> None:
        self.connected, self.wire = False, []
        self.follower.behind = True

    @precondition(lambda self: not self.connected or self.follower.behind)
    @rule(generous=st.booleans())
    def attach(self, *, generous: bool) -> None:
        self.connected = True
        while self.wire:  # what was under way arrives before the answer
            self.consume(self.follower.heard(self.wire.pop(0)))
        position = self.follower.position()
        head = len(self.journal)
        turn = RunningTurn(*self.turn, len(self.turn[1])) if self.turn else None
        can = position.get("epoch") == self.epoch and position["after_seq"] <= head and generous
        if can:
            missed = tuple(self.journal[position["after_seq"] :])
            answer = AttachAnswer(epoch=self.epoch, head_seq=head, recovered=True, events=missed, turn=turn)
        else:
            answer = snapshot(head, self.epoch, turn)
        self.consume(self.follower.attached(answer))
        assert not self.follower.behind

    @invariant()
    def what_was_heard_of_a_turn_is_a_beginning_of_it(self) -> None:
        for turn_id, text in self.heard_texts.items():
            assert self.true_texts[turn_id].startswith(text)

    @invariant()
    def a_follower_that_is_not_behind_has_everything_delivered(self) -> None:
        if self.connected and not self.wire and not self.follower.behind and self.turn:
            heard = self.heard_texts.get(self.turn[0], "")
            assert heard == self.turn[1]


Meeting.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_p23_a_follower_tells_everything_once_in_order_or_a_snapshot = Meeting.TestCase
