"""What a client has under way and must carry over a lost connection: its calls and its conversations."""

from collections import deque
from typing import Any

import msgspec
import trio

from .client_conversation import Conversation
from .client_errors import ClientError, OutcomeUnknownError
from .client_frames import Call, decode_frame

CALLS_AT_ONCE = 256  # as many as one session's mailbox takes by default
PATIENCE_LIMIT = 300.0  # seconds; no server may send a client away for longer than this


class Switchboard:
    """Matches answers with calls and events with conversations; survives connections.

    Attributes:
        frame_limit: Largest request the server takes, in bytes.
        come_back_after: Seconds to wait before the next connection, as a draining server asked, or 0.
    """

    def __init__(self) -> None:
        self.frame_limit = 64 * 1024  # PROTOCOL: what every server takes
        self.come_back_after = 0.0
        self._calls: dict[int, Call] = {}  # unanswered, oldest first
        self._unsent: deque[Call] = deque()
        self._writer = trio.lowlevel.ParkingLot()
        self._window = trio.Semaphore(CALLS_AT_ONCE)
        self._last_id = 0
        self._conversations: dict[str, Conversation] = {}
        self._listeners: dict[str, dict[Conversation, None]] = {}  # by the id that events name
        self._nursery: trio.Nursery | None = None  # of the connection that stands
        self._failure: ClientError | None = None

    async def call(self, method: str, params: dict[str, Any]) -> msgspec.Raw:
        """Send a request and wait for its answer, through losses of the connection if it may be repeated.

        Raises:
            RequestError: The server refused it.
            OutcomeUnknownError: The connection was lost and the request may not be repeated.
            ClientClosedError: The client has ended.
        """
        async with self._window:
            call = self._enqueue(method, params)
            try:
                return await call.answer()
            finally:
                self._calls.pop(call.id, None)

    def ping(self) -> None:
        """Ask the server for a sign of life; whatever it says is one."""
        self._enqueue("ping", {})

    def follow(self, session: str, *, create: bool) -> Conversation:
        """Begin to follow a session.

        Raises:
            RuntimeError: This client follows it already.
            ClientClosedError: The client has ended.
        """
        if self._failure is not None:
            raise self._failure
        if session in self._conversations:
            raise RuntimeError(f"expected a session this client is not attached to, met {session}")
        conversation = Conversation(session, create=create, on_room=self._attach)
        self._conversations[session] = conversation
        self._attach(conversation)
        return conversation

    def unfollow(self, conversation: Conversation) -> None:
        """End following; the server is told if a connection stands, and knows otherwise."""
        del self._conversations[conversation.session]
        still_heard = self._forget(conversation)
        if self._nursery is not None and not still_heard:
            self._enqueue("session.detach", {"session": conversation.session})

    # What follows is the link's side.

    def connected(self, nursery: trio.Nursery) -> None:
        """A connection stands: what is unanswered goes out again, and every conversation attaches again."""
        self._nursery = nursery
        self._unsent = deque(self._calls.values())
        for conversation in self._conversations.values():
            self._attach(conversation)

    def lost(self) -> None:
        """The connection is gone."""
        self._nursery = None
        for call in list(self._calls.values()):
            if call.on_answer is not None:
                del self._calls[call.id]
            elif call.written and not call.repeatable:
                del self._calls[call.id]
                call.settle(OutcomeUnknownError("the connection was lost before the answer came"))
        for conversation in self._conversations.values():
            conversation.left()

    def fail(self, error: ClientError) -> None:
        """No connection will ever stand again."""
        self._failure = error
        for call in self._calls.values():
            call.settle(error)
        self._calls.clear()
        for conversation in self._conversations.values():
            conversation.fail(error)

    async def next_frame(self) -> str:
        """Wait for the next request to write."""
        while True:
            while not self._unsent:
                await self._writer.park()
            call = self._unsent.popleft()
            if call.id in self._calls:  # else its caller has gone
                call.written = True
                return call.frame

    async def take(self, text: str | bytes) -> None:
        """Take in one frame from the server.

        Raises:
            UnexpectedAnswerError: It is not of this protocol.
        """
        frame = decode_frame(text)
        if frame.id is not None:
            call = self._calls.pop(frame.id, None)
            if call is not None:
                call.settle(frame.answer(), len(text))
            return
        event = frame.event()
        if event is None:
            return
        if event.type == "server.draining":
            wait = event.data.get("retry_after_ms")
            self.come_back_after = min(wait / 1000, PATIENCE_LIMIT) if isinstance(wait, int | float) else 0.0
            return
        for conversation in tuple(self._listeners.get(event.session, ())):
            await conversation.hear(event, len(text))
            self._attach(conversation)

    def _enqueue(self, method: str, params: dict[str, Any]) -> Call:
        if self._failure is not None:
            raise self._failure
        self._last_id += 1
        call = Call(self._last_id, method, params)
        call.refuse_over(self.frame_limit)
        self._calls[call.id] = call
        self._unsent.append(call)
        self._writer.unpark_all()
        return call

    def _forget(self, conversation: Conversation) -> bool:
        """Tell it of no more events; whether others of this client listen to the same session."""
        listeners = self._listeners.get(conversation.stored_as, {})
        listeners.pop(conversation, None)
        if not listeners:
            self._listeners.pop(conversation.stored_as, None)
        return bool(listeners)

    def _attach(self, conversation: Conversation) -> None:
        """Ask for an attach if one is wanted and a connection stands; a new connection asks for all."""
        if self._nursery is None or not conversation.wants_attach:
            return

        def answered(answer: msgspec.Raw | ClientError, size: int) -> None:
            if self._conversations.get(conversation.session) is not conversation:
                return
            self._forget(conversation)
            wait = conversation.end_attach(answer, size)
            self._listeners.setdefault(conversation.stored_as, {})[conversation] = None
            if wait is not None and self._nursery is not None:
                self._nursery.start_soon(self._attach_later, conversation, min(wait, PATIENCE_LIMIT))

        self._enqueue("session.attach", conversation.begin_attach()).on_answer = answered

    async def _attach_later(self, conversation: Conversation, seconds: float) -> None:
        await trio.sleep(seconds)
        conversation.retry_attach()
        if self._conversations.get(conversation.session) is conversation:
            self._attach(conversation)
