"""What a conversation looks like on a terminal, event by event; knows no terminal and no network."""

from collections.abc import Callable
from typing import Final

from ..actors.events import TurnDelta
from .client_events import Ack, ConversationEvent, HeardMessage, Notice, Snapshot, TurnEnded
from .terminal import printable

_DONE: Final = {
    "new": "a new conversation has begun",
    "reset": "the conversation has begun again",
    "archive": "the conversation is closed until the next message",
}
_ENDS: Final = _DONE | {
    "timeout": "the conversation is closed until the next message: nothing was said for long",
    "delete": "the conversation was deleted",
}


class Screen:
    """Writes a conversation as it comes.

    For a person: the history, then who says what. For a pipe (``plain``): the answers' text alone, one per
    line, from now on.
    """

    def __init__(self, write: Callable[[str], None], *, plain: bool) -> None:
        self._write = write
        self._plain = plain
        self._own: set[str] = set()
        self._speaking: str | None = None  # the turn whose text the open line shows
        self._said = 0  # code points of that turn on the screen
        self._epoch: str | None = None
        self._seq = 0  # the newest event of the epoch on the screen
        self._command_seq: int | None = None  # the newest command: the end it may bring needs no further word

    def expect(self, client_id: str) -> None:
        """A message with this id was typed here, so that it is on the screen already."""
        self._own.add(client_id)

    def show(self, event: ConversationEvent) -> None:
        """Show one event."""
        match event:
            case Snapshot():
                self._snapshot(event)
            case TurnDelta():
                self._text(event.turn_id, event.offset, event.text)
            case HeardMessage():
                self._message(event)
            case TurnEnded():
                self._ended(event)
            case Notice():
                self._notice(event)
            case _:
                pass

    def answered(self, ack: Ack) -> None:
        """Show what a command led to, in a line; other messages are answered by events."""
        if ack.command is None:
            return
        self._end_line()
        if ack.error is not None:
            self._write(f"[/{ack.command} failed: {printable(ack.error)}]\n")
        elif ack.command == "stop":
            turns, messages = (len(ack.result.get(name, ())) for name in ("cancelled", "removed"))
            self._write(f"[turns cut off: {turns}; waiting messages forgotten: {messages}]\n")
        elif "text" in ack.result:
            self._write(f"{printable(str(ack.result['text']))}\n")
        else:
            self._write(f"[{_DONE.get(ack.command, f'/{printable(ack.command)} is done')}]\n")

    def _snapshot(self, snapshot: Snapshot) -> None:
        first = self._epoch is None
        known = self._seq if snapshot.epoch == self._epoch else 0
        if not (first and self._plain):
            if snapshot.more and first:
                self._write("[older messages are not shown]\n")
            for message in snapshot.messages:
                if message.seq > known:
                    self._message(message)
        self._epoch, self._seq = snapshot.epoch, snapshot.head_seq
        if snapshot.turn:
            self._text(snapshot.turn.turn_id, 0, snapshot.turn.text)

    def _text(self, turn_id: str, offset: int, text: str) -> None:
        if turn_id != self._speaking:
            self._end_line()
            self._speaking, self._said = turn_id, 0
            self._write("" if self._plain else "agent> ")
        fresh = text[max(0, self._said - offset) :]
        self._said += len(fresh)
        self._write(printable(fresh))

    def _message(self, message: HeardMessage) -> None:
        self._epoch, self._seq = message.epoch, message.seq
        mine = message.client_id in self._own
        self._own.discard(message.client_id or "")
        if message.role == "assistant":
            self._text(message.turn_id or f"message {message.seq}", 0, message.content)
            self._end_line()
        elif not (mine or self._plain):
            self._end_line()
            self._write(f"{message.role}> {printable(message.content)}\n")

    def _ended(self, turn: TurnEnded) -> None:
        self._epoch, self._seq = turn.epoch, turn.seq
        self._end_line()
        if turn.stop_reason != "end_turn" and not self._plain:
            self._write(f"[the turn ended: {turn.error.message if turn.error else turn.stop_reason}]\n")

    def _notice(self, notice: Notice) -> None:
        if notice.seq is not None:
            self._epoch, self._seq = notice.epoch, notice.seq
        if notice.type == "command":
            self._command_seq = notice.seq
            client_id = notice.data.get("client_id", "")
            mine = client_id in self._own
            self._own.discard(client_id)
            if not (mine or self._plain):
                self._end_line()
                self._write(f"user> /{printable(str(notice.data.get('name', '')))}\n")
        elif notice.type == "session.ended":
            self._epoch = notice.data.get("next_epoch", self._epoch)
            is_told = self._command_seq is not None and notice.seq == self._command_seq + 1
            reason = _ENDS.get(str(notice.data.get("reason")))
            if reason and not (is_told or self._plain):
                self._end_line()
                self._write(f"[{reason}]\n")

    def _end_line(self) -> None:
        if self._speaking is not None:
            self._write("\n")
        self._speaking = None
