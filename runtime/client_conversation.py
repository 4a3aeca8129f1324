"""One conversation as its consumer sees it: an iterator of events, bounded in memory."""

from collections import deque
from collections.abc import Callable
from typing import Any, Self

import msgspec
import trio

from ..actors.events import TurnDelta, TurnStarted
from .client_errors import ClientError, RequestError, UnexpectedAnswerError
from .client_events import AttachAnswer, ConversationEvent, Snapshot, WireEvent
from .client_state import Follower

INBOX_LIMIT = 4 * 1024 * 1024  # characters of frames; eight of the largest attach answers
LAG_PATIENCE = 1.0  # seconds the socket waits for a consumer before the conversation is left behind


class Conversation:
    """The events of one session, for one consumer: ``async for event in conversation``.

    A consumer that does not keep up first holds back the reading of the socket for `LAG_PATIENCE` seconds,
    not longer: it may be waiting for an answer itself. Then its events are left out, and once it has caught
    up the conversation goes on from the place it had reached.

    Attributes:
        session: The session's id as the consumer writes it.
        stored_as: Its id as the server's events name it, where sessions of several ids are one.
        turn_text: What the running turn has said, as far as the consumer has read; after the turn, its text.
    """

    def __init__(self, session: str, *, create: bool, on_room: Callable[[Self], None]) -> None:
        self.session = session
        self.stored_as = session
        self.turn_text = ""
        self._create = create
        self._on_room = on_room
        self._follower = Follower()
        self._inbox: deque[tuple[ConversationEvent, int]] = deque()
        self._weight = 0
        self._attaching = False
        self._attached = trio.Event()
        self._failure: ClientError | None = None
        self._consumer = trio.lowlevel.ParkingLot()
        self._feeder = trio.lowlevel.ParkingLot()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConversationEvent:
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self._failure is not None:
                raise self._failure
            await self._consumer.park()
        event, weight = self._inbox.popleft()
        self._weight -= weight
        self._feeder.unpark_all()
        self._keep_text(event)
        if self.wants_attach:
            self._on_room(self)
        return event

    def _keep_text(self, event: ConversationEvent) -> None:
        match event:
            case TurnDelta(offset=offset, text=text):
                self.turn_text = self.turn_text[:offset] + text
            case TurnStarted():
                self.turn_text = ""
            case Snapshot(turn=turn):
                self.turn_text = turn.text if turn else ""
            case _:
                pass

    # What follows is the link's side.

    @property
    def wants_attach(self) -> bool:
        """Whether an attach should be asked for now."""
        return (
            self._follower.behind
            and not self._attaching
            and self._failure is None
            and self._weight < INBOX_LIMIT // 2
        )

    def begin_attach(self) -> dict[str, Any]:
        """The parameters of the attach that is now asked for."""
        self._attaching = True
        return {"session": self.session, "create": self._create, **self._follower.position()}

    def end_attach(self, answer: msgspec.Raw | ClientError, size: int) -> float | None:
        """Take in the answer to an attach; the seconds after which to ask again, or None."""
        if isinstance(answer, RequestError) and answer.retryable:
            return 1.0 if answer.retry_after is None else answer.retry_after
        self._attaching = False
        if isinstance(answer, ClientError):
            self.fail(answer)
            return None
        try:
            attached = msgspec.json.decode(answer, type=AttachAnswer)
        except msgspec.DecodeError as exc:
            self.fail(UnexpectedAnswerError(f"the answer to session.attach is not understood: {exc}"))
            return None
        self.stored_as = str(attached.info.get("id", self.session))
        self._tell(self._follower.attached(attached), size)
        self._attached.set()
        if not self._follower.behind:
            return None
        self._attaching = True
        return 1.0  # the server contradicted itself: not at once again

    def retry_attach(self) -> None:
        """The wait that `end_attach` asked for is over."""
        self._attaching = False

    def left(self) -> None:
        """The connection is gone."""
        self._follower.behind = True
        self._attaching = False

    async def hear(self, event: WireEvent, size: int) -> None:
        """Take in one event of ``size`` characters, waiting a little for a consumer that is slow."""
        if self._weight >= INBOX_LIMIT and not self._follower.behind:
            with trio.move_on_after(LAG_PATIENCE):
                while self._weight >= INBOX_LIMIT:
                    await self._feeder.park()
            if self._weight >= INBOX_LIMIT:
                self._follower.behind = True
        self._tell(self._follower.heard(event), size)

    def _tell(self, news: list[ConversationEvent], size: int) -> None:
        for number, event in enumerate(news):
            weight = 0 if number else size
            self._inbox.append((event, weight))
            self._weight += weight
        self._consumer.unpark_all()

    async def attached(self) -> None:
        """Wait for the first attach.

        Raises:
            ClientError: It failed for good.
        """
        await self._attached.wait()
        if self._failure is not None and not self._inbox:
            raise self._failure

    def fail(self, error: ClientError) -> None:
        """No event will come any more; what is in the inbox can still be read."""
        self._failure = self._failure or error
        self._attached.set()
        self._consumer.unpark_all()
        self._feeder.unpark_all()
