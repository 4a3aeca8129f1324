"""One client of the gateway: reads its frames, never waits for work, and sends what its sessions tell it."""

import enum
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from ..actors.errors import BusyError, GreenroomError
from ..actors.events import Event
from ..actors.surroundings import now
from ..persistence.ids import SessionID
from .call_reply import CallReply
from .command_methods import CommandMethods
from .config import Isolation, Limits
from .core import Core
from .deletions import Deletions
from .encoding import error_frame, event_frame, result_frame
from .info import utc
from .isolation import isolated
from .lanes import Lanes
from .outbox import Outbox
from .protocol import Call, ProtocolError, RequestId, decode
from .reading_methods import ReadingMethods
from .requests import Attach, ClearQueue, Delete, Initialize, Ping, RemoveQueued
from .results import PROTOCOL, initialize_result
from .sender import Sender
from .websocket import ServerSocket, SocketClosedError

STRIKES: Final = 3  # malformed frames in a row
# Requests of one connection not yet answered: else one client's flood stands before everybody's commits.
MAX_UNANSWERED: Final = 256
RETRY_AFTER: Final = 0.1  # seconds


class Phase(enum.Enum):
    """How far a connection has come."""

    NEW = enum.auto()
    OPEN = enum.auto()
    ENDING = enum.auto()


class Connection:
    """A subscriber and its socket; `serve` it in a task of its own.

    Args:
        socket: Where frames come from and go to.
        core: The runtime.
        sender: Empties the outbox.
        isolation: Which session an id means.

    Attributes:
        socket: Where frames come from and go to.
        outbox: Frames to send.
        phase: How far it has come.
        ended: Set when nothing of it is left.
        opened_at: When it connected, on Trio's clock.
    """

    def __init__(self, socket: ServerSocket, core: Core, sender: Sender, isolation: Isolation) -> None:
        self.socket = socket
        self.outbox = Outbox(core.limits.outbound_bytes, event_frame)
        self.phase = Phase.NEW
        self.ended = trio.Event()
        self.opened_at = trio.current_time()
        self._core = core
        self._limits: Limits = core.limits
        self._sender = sender
        self._isolation = isolation
        self._deletions = Deletions()
        self._commands = CommandMethods(core, self, self._resumed)
        self._readings = ReadingMethods(core, self, self._resumed)
        self._lanes: Lanes | None = None  # exists while it is served
        self._strikes = 0
        self._unanswered = 0
        self._end: tuple[int, str] = (1000, "")
        self._reading = trio.CancelScope()
        self._heard_at = self.opened_at
        self._pinged = False
        socket.when_drained(lambda: sender.wake(self))

    async def serve(self) -> None:
        """Serve until either side ends the connection; raises nothing but `trio.Cancelled`."""
        try:
            async with trio.open_nursery() as nursery:
                self._lanes = lanes = Lanes(nursery, self.outbox, self._deliver, self._carry_out)
                try:
                    with self._reading:
                        await self._receive(lanes)
                finally:
                    self.phase = Phase.ENDING
                nursery.cancel_scope.cancel(reason="the connection has ended")
            await self._close()
        finally:
            self._core.topics.drop(self)
            self._sender.forget(self)
            self.socket.abort()

    def end(self, code: int, reason: str) -> None:
        """Have the connection closed with this code; the first call decides."""
        if self.phase is not Phase.ENDING:
            self.phase = Phase.ENDING
            self._end = (code, reason)
            self._reading.cancel(reason=f"closing with {code}")

    def check(self, at: float) -> None:
        """Hold the peer to its deadlines; called often, with the present time on Trio's clock."""
        limits, socket = self._limits, self.socket
        if self.phase is Phase.NEW and at - self.opened_at > limits.auth:
            self.end(4502, "no initialize in time")
        elif socket.partial_since is not None and at - socket.partial_since > limits.partial:
            self.end(1008, "message not completed in time")
        elif socket.stalled_since is not None and at - socket.stalled_since > limits.send:
            self.end(4008, "slow consumer")
        else:
            self._check_silence(at)

    def forgive(self, at: float) -> None:
        """Count the peer's silence from now on only."""
        self._heard_at, self._pinged = at, False

    def _check_silence(self, at: float) -> None:
        socket = self.socket
        # Behind a backlog its pongs stay unread, but each piece of it that the peer takes is a sign of life.
        heard_at = max(self._heard_at, socket.last_heard, socket.stalled_since or 0.0)
        if heard_at > self._heard_at:
            self._heard_at, self._pinged = heard_at, False
        silent = at - heard_at
        if silent > self._limits.ping + self._limits.pong:
            self.end(4012, "no pong")
        elif silent > self._limits.ping and not self._pinged:
            self._pinged = True
            with suppress(SocketClosedError):  # whoever reads from it learns that
                socket.ping()

    def offer(self, event: Event, /) -> None:
        """Queue an event of a session this client is attached to."""
        for told in self._deletions.pass_on(event):
            self.outbox.offer(told)
        self._flush()

    def put(self, text: str) -> None:
        """Queue a frame that must not be dropped."""
        self.outbox.put(text)
        self._flush()

    def sent(self) -> None:
        """Learn from the sender that frames may have left the outbox."""
        if self._lanes is not None and self.phase is not Phase.ENDING:
            self._lanes.advance()

    def failed(self, error: Exception, /) -> None:
        """Learn from the sender that this connection cannot be sent to."""
        self.end(1011, type(error).__name__)

    def _flush(self) -> None:
        if self.phase is Phase.ENDING:
            # A session may attach a client that has just gone: nobody else would take it out again.
            self._core.topics.drop(self)
        elif self.outbox.overflowed:
            self.end(4008, "slow consumer")
        else:
            self._sender.wake(self)

    async def _receive(self, lanes: Lanes) -> None:
        while True:
            try:
                message = await self.socket.recv()
            except SocketClosedError:
                return
            if isinstance(message, bytes):
                self.end(1003, "text frames only")
                return
            self._take(message, lanes)

    def _take(self, message: str, lanes: Lanes) -> None:
        request_id: RequestId = None
        try:
            call = decode(message, is_open=self.phase is not Phase.NEW)
            self._strikes = 0
            if call is not None:
                request_id = call.id
                self._dispatch(call, lanes)
        except ProtocolError as exc:
            self.put(error_frame(exc.request_id if exc.request_id is not None else request_id, exc))
            self._strikes = self._strikes + 1 if exc.is_malformed else 0
            if self._strikes >= STRIKES:
                self.end(1008, "three malformed frames in a row")
        except GreenroomError as exc:
            self.put(error_frame(request_id, exc))

    def _dispatch(self, call: Call, lanes: Lanes) -> None:
        match call.request:
            case Initialize():
                self._initialize(call.id, call.request)
            case Ping():
                self.put(result_frame(call.id, {"at": utc(now())}))
            case _ if self._unanswered >= MAX_UNANSWERED:
                text = f"connection: expected at most {MAX_UNANSWERED} unanswered requests, met one more"
                raise BusyError(text, retry_after=RETRY_AFTER)
            case _:
                self._unanswered += 1
                lanes.submit(self._isolated(call))

    def _isolated(self, call: Call) -> Call:
        """The call with the session that its id means."""
        if call.session is None:
            return call
        return Call(call.id, call.request, isolated(call.session, self._isolation))

    def _initialize(self, request_id: RequestId, request: Initialize) -> None:
        if self.phase is not Phase.NEW:
            raise ProtocolError("invalid_request", "initialize: expected once, met again")
        if request.protocol != PROTOCOL:
            unsupported = ProtocolError("not_supported", f"protocol: expected {PROTOCOL}", field="protocol")
            self.put(error_frame(request_id, unsupported))
            self.end(4503, "protocol not supported")
            return
        self.phase = Phase.OPEN
        self.socket.set_frame_limit(self._limits.frame_bytes)
        self.put(result_frame(request_id, initialize_result(self._limits)))

    def _answer(self, text: str, *, is_pledged: bool = False) -> None:
        """Queue the one answer to a request that was taken."""
        self._unanswered -= 1
        self.outbox.put(text, is_pledged=is_pledged)
        self._flush()

    def _resumed(self, session: SessionID) -> None:
        self._deletions.forget(session)
        self.outbox.resumed(session)

    def _answer_deletion(self, session: SessionID, text: str) -> None:
        self._answer(text)
        for event in self._deletions.answered(session):
            self.outbox.offer(event)
        self._flush()

    def _deliver(self, call: Call, answer: Callable[[str], None] | None = None) -> None:
        answer = answer or self._answer
        if isinstance(call.request, Delete) and call.session is not None:
            self._deletions.asked(call.session)
            answer = partial(self._answer_deletion, call.session)
        try:
            self._commands.deliver(call, lambda result: CallReply(answer, call.id, result))
        except GreenroomError as exc:
            answer(error_frame(call.id, exc))

    async def _carry_out(self, call: Call) -> None:
        """Do what `Lanes` calls an operation; it has pledged room for the answer."""
        answered = trio.Event()

        def answer(text: str) -> None:
            self._answer(text, is_pledged=True)
            answered.set()

        if isinstance(call.request, Attach | ClearQueue | RemoveQueued):
            self._deliver(call, answer)
            await answered.wait()
        else:
            await self._read(call, answer)

    async def _read(self, call: Call, answer: Callable[[str], None]) -> None:
        try:
            result = await self._readings.read(call)
        except GreenroomError as exc:
            answer(error_frame(call.id, exc))
        else:
            answer(result_frame(call.id, result))

    async def _close(self) -> None:
        """Send what was queued before the end, unless it was the queue that ended it, then say goodbye."""
        with suppress(SocketClosedError):
            while (text := self.outbox.take()) is not None:
                self.socket.post(text)
        await self.socket.close(*self._end)
