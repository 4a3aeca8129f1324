"""The follower against a model of the server that loses, repeats and forgets as the real one may."""

from typing import Any

import hypothesis.strategies as st
from greenroom.actors.events import TurnDelta
from greenroom.runtime.client_events import (
    AttachAnswer,
    ConversationEvent,
    HeardMessage,
    Notice,
    RunningTurn,
    Snapshot,
    TurnEnded,
    WireEvent,
)
from greenroom.runtime.client_state import Follower
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.runtime.wire_events import delta, durable, snapshot


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
