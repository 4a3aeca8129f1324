"""Where one conversation stands on the client's side: what was said in, what is news out; no sockets.

Rules:
1. Durable events come out gap-free and duplicate-free by (epoch, seq), or a `Snapshot` says where they go on.
2. The deltas of a turn, joined to the turn text of the last snapshot, are that turn's text without hole or
   repeat.
3. Whenever the server's words do not join up, the follower is *behind*: it takes in nothing until the answer
   to a new attach, which it asks for with the place it has reached.
"""

from typing import Any

import msgspec

from ..actors.events import QueueChanged, TurnDelta, TurnStarted
from .client_events import (
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

_KINDS: dict[str, type[HeardMessage | TurnEnded | TurnStarted | TurnDelta | QueueChanged]] = {
    "message": HeardMessage,
    "turn.started": TurnStarted,
    "turn.delta": TurnDelta,
    "turn.finished": TurnEnded,
    "queue.changed": QueueChanged,
}


def decode_event(event: WireEvent) -> ConversationEvent:
    """The typed form of an event; a `Notice` for kinds and shapes this version does not know."""
    kind = _KINDS.get(event.type)
    if kind is not None:
        place = {"seq": event.seq, "epoch": event.epoch, "at": event.at}
        try:
            return msgspec.convert({**event.data, **place}, kind)
        except msgspec.ValidationError:
            pass  # a later version of the protocol; its reader may know better than this one
    return Notice(type=event.type, epoch=event.epoch, at=event.at, data=event.data, seq=event.seq)


class Follower:
    """Follows one conversation.

    Attributes:
        epoch: The present epoch as of the newest durable event taken in; None before the first attach, and
            when the session was deleted.
        last_seq: Its seq.
        behind: Whether an attach is needed before anything more can be taken in.
    """

    epoch: str | None = None
    last_seq = 0
    behind = True
    _turn_id: str | None = None
    _turn_length = 0  # code points of the running turn that were told
    _ended_turn_id: str | None = None

    def position(self) -> dict[str, Any]:
        """The parameters of an attach that goes on from here."""
        return {} if self.epoch is None else {"after_seq": self.last_seq, "epoch": self.epoch}

    def attached(self, answer: AttachAnswer) -> list[ConversationEvent]:
        """Take in the answer to an attach."""
        self.behind = False
        if not answer.recovered:
            return [self._start_over(answer)]
        news = [piece for event in answer.events for piece in self._durable(event)]
        if self.behind or (self.epoch, self.last_seq) != (answer.epoch, answer.head_seq):
            self._forget()
            return news
        news.append(QueueChanged(answer.queue))
        return news + self._catch_up(answer.turn)

    def heard(self, event: WireEvent) -> list[ConversationEvent]:
        """Take in an event that came by itself."""
        if self.behind:
            return []  # the answer to the attach under way, or to the next one, covers it
        if event.type == "resync":
            self.behind = True
            return []
        if event.seq is not None:
            return self._durable(event)
        piece = decode_event(event)
        if event.type == "session.ended":  # deleted: what comes under this name next begins with seq 1
            self.epoch, self.last_seq, self._turn_id = None, 0, None
        if isinstance(piece, TurnDelta):
            return self._delta(piece)
        if isinstance(piece, TurnStarted):
            if piece.turn_id == self._turn_id:
                return []
            self._turn_id, self._turn_length = piece.turn_id, 0
        return [piece]

    def _start_over(self, answer: AttachAnswer) -> Snapshot:
        self.epoch, self.last_seq = answer.epoch, answer.head_seq
        turn = answer.turn
        self._turn_id, self._turn_length = (turn.turn_id, len(turn.text)) if turn else (None, 0)
        shown = answer.snapshot or WireSnapshot((), more=False)
        return Snapshot(
            info=answer.info,
            epoch=answer.epoch,
            head_seq=answer.head_seq,
            messages=shown.messages,
            more=shown.more,
            queue=answer.queue,
            turn=turn,
        )

    def _forget(self) -> None:
        """Give the place up: the next attach brings a snapshot."""
        self.behind, self.epoch, self.last_seq, self._turn_id = True, None, 0, None

    def _durable(self, event: WireEvent) -> list[ConversationEvent]:
        seq = event.seq or 0
        if event.epoch == self.epoch and seq <= self.last_seq:
            return []
        if seq != self.last_seq + 1:
            self.behind = True
            return []
        self.epoch, self.last_seq = _epoch_after(event), seq
        piece = decode_event(event)
        if isinstance(piece, TurnEnded):
            self._ended_turn_id = piece.turn_id
            if piece.turn_id == self._turn_id:
                self._turn_id = None
        return [piece]

    def _delta(self, delta: TurnDelta) -> list[ConversationEvent]:
        if delta.turn_id == self._ended_turn_id:
            return []
        if delta.turn_id != self._turn_id:
            self._turn_id, self._turn_length = delta.turn_id, 0
        if delta.offset > self._turn_length:
            self.behind = True
            return []
        return self._tell_text(delta.turn_id, delta.text[self._turn_length - delta.offset :])

    def _catch_up(self, turn: RunningTurn | None) -> list[ConversationEvent]:
        """Tell what a running turn said meanwhile."""
        if turn is None:
            self._turn_id = None
            return []
        if turn.turn_id != self._turn_id:
            self._turn_id, self._turn_length = turn.turn_id, 0
        if len(turn.text) < self._turn_length:
            self._forget()
            return []
        return self._tell_text(turn.turn_id, turn.text[self._turn_length :])

    def _tell_text(self, turn_id: str, text: str) -> list[ConversationEvent]:
        if not text:
            return []
        offset = self._turn_length
        self._turn_length += len(text)
        return [TurnDelta(turn_id, offset, text)]


def _epoch_after(event: WireEvent) -> str:
    """The present epoch once a durable event has happened."""
    following = event.data.get("next_epoch") if event.type == "session.ended" else None
    return following if isinstance(following, str) else event.epoch
