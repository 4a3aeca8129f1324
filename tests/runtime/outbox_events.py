"""Events for tests of the outbox, and how they are written there."""

import msgspec
from greenroom.actors.events import Event, QueueChanged, QueuedMessage, TurnDelta
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Entry, Message

A = SessionID("agent", "web", "a")
B = SessionID("agent", "web", "b")


def render(event: Event) -> str:
    data = event.data
    name = type(data).__name__
    return msgspec.json.encode({"session": str(event.session), "type": name, "data": data}).decode()


def delta(offset: int, text: str, *, session: SessionID = A, turn: str = "t1", epoch: str = "1") -> Event:
    return Event(session, epoch, 0, TurnDelta(turn, offset, text))


def message(seq: int, content: str = "hello", *, session: SessionID = A) -> Event:
    return Event(session, "1", 0, Entry(seq, 1, 0, Message("user", content)))


def queue(content: str, *, session: SessionID = A) -> Event:
    return Event(session, "1", 0, QueueChanged((QueuedMessage(1, content),)))
