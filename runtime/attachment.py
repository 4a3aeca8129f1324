"""A host's ear on one session: where its events wait until the host takes them."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Self

import trio

from ..actors.commands import Attach, Attached
from ..actors.errors import GreenroomError
from ..actors.events import Event, QueueChanged, TurnDelta
from ..actors.reply import Reply, ReplySlot
from ..actors.router import Router
from ..actors.topics import Topics
from ..persistence.ids import SessionID
from ..persistence.records import Entry, Message

OVERHEAD: Final = 256
"""Characters that an event counts for beside its text; about what one without text takes as JSON."""


class SlowHostError(GreenroomError):
    """The host did not take its events in time; those after the last one it got are to be asked for anew."""

    name = "slow_consumer"
    retryable = True


class Attachment:
    """Events of one session, in order, none missing: ``async for event in attachment``.

    The loop ends when the runtime has stopped and every event was taken.

    Attributes:
        attached: How the session was when the subscription began; the events follow on it.
    """

    attached: Attached

    def __init__(self, session: SessionID, topics: Topics, room: int) -> None:
        """Prepare to listen.

        Args:
            session: To whom.
            topics: Who listens to whom.
            room: Characters of events that may wait.
        """
        self._session = session
        self._topics = topics
        self._room = room
        self._waiting: deque[Event] = deque()
        self._used = 0
        self._is_full = False
        self._is_closed = False
        self._news = trio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether no further event comes."""
        return self._is_closed

    def offer(self, event: Event, /) -> None:
        """Take one event; where there is no room for it, no other is taken either."""
        if self._is_closed:
            return
        # While there is any room an event is taken whole: no host is too slow for one large message.
        if self._used >= self._room:
            self._is_full = True
            self.close()
            return
        self._waiting.append(event)
        self._used += _size(event)
        self._news.set()

    def close(self) -> None:
        """Listen no longer; what waits can still be taken. Idempotent."""
        self._is_closed = True
        self._topics.unsubscribe(self._session, self)
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            SlowHostError: There was no room for it. Attach again after the last event that has a seq.
        """
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._is_full:
                raise SlowHostError(
                    f"attachment: expected at most {self._room} characters of events to wait, met more"
                )
            if self._is_closed:
                raise StopAsyncIteration
            self._news = trio.Event()
            await self._news.wait()
        event = self._waiting.popleft()
        self._used -= _size(event)
        return event


class _AttachReply:
    """The reply to an attach whose asker may be gone when it comes: then the subscription ends at once."""

    def __init__(self, slot: ReplySlot[Attached], attachment: Attachment) -> None:
        self._slot = slot
        self._attachment = attachment

    def resolve(self, value: Attached, /) -> None:
        """Answer with how the session is."""
        if self._attachment.is_closed:
            self._attachment.close()
        self._slot.resolve(value)

    def reject(self, error: Exception, /) -> None:
        """Answer with an error."""
        self._slot.reject(error)


@asynccontextmanager
async def attaching(
    router: Router, topics: Topics, session: SessionID, after: tuple[str, int] | None, room: int
) -> AsyncGenerator[Attachment]:
    """Listen to a session for the length of an ``async with``.

    Args:
        router: Brings the request to the session.
        topics: Who listens to whom.
        session: To whom.
        after: The epoch string and seq of the last event the host has.
        room: Characters of events that may wait.

    Raises:
        SessionNotFoundError: There is no such session.
        BusyError, UnavailableError, QuarantinedError, ShuttingDownError: It cannot be attached to now.
    """
    attachment = Attachment(session, topics, room)
    slot: ReplySlot[Attached] = ReplySlot()
    reply: Reply[Attached] = _AttachReply(slot, attachment)
    try:
        router.deliver(session, Attach(attachment, reply, after, create=False))
        attachment.attached = await slot.wait()
        yield attachment
    finally:
        attachment.close()


def _size(event: Event) -> int:
    match event.data:
        case Entry(body=Message() as message):
            return OVERHEAD + len(message.content) + sum(len(call.arguments) for call in message.tool_calls)
        case TurnDelta(text=text):
            return OVERHEAD + len(text)
        case QueueChanged(queue=queue):
            return OVERHEAD + sum(len(message.content) for message in queue)
        case _:
            return OVERHEAD
