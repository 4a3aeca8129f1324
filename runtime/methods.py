"""What each wire method does, in terms of sessions and the store."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from msgspec import UnsetType

from ..actors.backlog import newest_messages
from ..actors.commands import Attach as AttachCommand
from ..actors.commands import Attached, Send
from ..actors.conversation import epoch_string
from ..actors.events import Subscriber
from ..actors.reply import Reply
from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts, SessionFilter, SessionState
from .core import Core
from .encoding import ack_result, attached_result, snapshot_result
from .info import session_info
from .manager import SessionManager
from .protocol import Call, ProtocolError, invalid
from .requests import Attach, Detach, History, Info, List, SendMessage, Stats, clamp

EPOCHS = 50  # newest epochs that session.info names
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Methods:
    """Carries out one connection's calls.

    Args:
        core: The runtime.
        subscriber: Receives the events of the sessions it attaches to.
        resumed: Called as a subscription begins or ends: deltas dropped before are no longer missed.
    """

    def __init__(self, core: Core, subscriber: Subscriber, resumed: Callable[[SessionID], None]) -> None:
        self._core = core
        self._manager = SessionManager(core)
        self._subscriber = subscriber
        self._resumed = resumed
        self._limits = core.limits

    def deliver(self, call: Call, reply: Callable[[Callable[[Any], Any]], Reply[Any]]) -> None:
        """Pass a command to its session.

        Args:
            call: ``message.send`` or ``session.attach``.
            reply: Makes the reply, given how to turn its value into the wire result.

        Raises:
            GreenroomError: It was refused.
        """
        session, request = call.session, call.request
        if session is None:
            raise ProtocolError("internal_error", "call: expected a session, met none")
        if isinstance(request, SendMessage):
            self._core.router.deliver(session, self._send(request, reply(ack_result)))
        elif isinstance(request, Attach):
            self._core.router.deliver(session, self._attach(request, reply(self._attached_result)))

    async def read(self, call: Call) -> Any:  # noqa: ANN401 - any JSON value
        """Carry out a read; the wire result.

        Raises:
            GreenroomError: It was refused.
        """
        match call.request:
            case List():
                return await self._list(call.request)
            case Stats():
                return await self._manager.stats()
            case Detach() | History() | Info():
                if call.session is None:
                    raise ProtocolError("internal_error", "call: expected a session, met none")
                return await self._read_session(call.session, call.request)
            case _:
                raise ProtocolError("internal_error", "call: expected a read, met a command")

    def _send(self, request: SendMessage, reply: Reply[Any]) -> Send:
        size = len(request.content.encode())
        if size > self._limits.content_bytes:
            text = f"content: expected at most {self._limits.content_bytes} bytes, met {size}"
            raise ProtocolError("too_large", text, field="content")
        return Send(
            request.client_id, request.content, reply, request.mode, until_done=request.wait == "done"
        )

    def _attach(self, request: Attach, reply: Reply[Any]) -> AttachCommand:
        after = None
        if not isinstance(request.epoch, UnsetType) and not isinstance(request.after_seq, UnsetType):
            after = (request.epoch, request.after_seq)
        return AttachCommand(self._subscriber, reply, after, request.create)

    def _attached_result(self, attached: Attached) -> Any:  # noqa: ANN401
        self._resumed(attached.facts.id)
        return attached_result(attached, self._limits.max_tokens)

    async def _read_session(self, session: SessionID, request: Detach | History | Info) -> Any:  # noqa: ANN401
        facts = await self._manager.facts(session)
        match request:
            case Detach():
                self._core.topics.unsubscribe(session, self._subscriber)
                self._resumed(session)
                return {}
            case History():
                return await self._history(facts, request)
            case Info():
                reads = self._core.reads
                epochs = await reads(reads.store.epochs, session, EPOCHS)
                return {
                    "info": session_info(facts, self._limits.max_tokens),
                    "epoch": epoch_string(facts),
                    "head_seq": facts.head_seq,
                    "epochs": [f"{epoch}-{facts.tag}" for epoch in _with_current(epochs, facts.epoch)],
                }
            case _:
                assert_never(request)

    async def _history(self, facts: SessionFacts, request: History) -> Any:  # noqa: ANN401
        epoch, limit = _epoch_number(request.epoch, facts), clamp(request.limit)
        before = None if isinstance(request.before_seq, UnsetType) else request.before_seq
        page = await newest_messages(self._core.reads, facts, epoch, before, limit)
        return snapshot_result(page, facts.tag)

    async def _list(self, request: List) -> Any:  # noqa: ANN401
        limit = clamp(request.limit)
        where = SessionFilter(
            agent_id=_given(request.agent_id),
            channel_id=_given(request.channel_id),
            peer_id=_given(request.peer_id),
            state=None if isinstance(request.state, UnsetType) else SessionState[request.state.upper()],
            created_after=_microseconds(request.created_after),
            created_before=_microseconds(request.created_before),
            limit=limit + 1,
            offset=request.offset,
        )
        infos = await self._manager.list(where)
        return {"sessions": infos[:limit], "more": len(infos) > limit}


def _with_current(epochs: Sequence[int], current: int) -> list[int]:
    """The epochs that hold entries, newest first, and the current one, which may hold none yet."""
    return [current, *(epoch for epoch in epochs if epoch != current)][:EPOCHS]


def _given(value: str | UnsetType) -> str | None:
    return None if isinstance(value, UnsetType) else value


def _microseconds(value: datetime | UnsetType) -> int | None:
    return None if isinstance(value, UnsetType) else (value - _UNIX_EPOCH) // timedelta(microseconds=1)


def _epoch_number(epoch: str | UnsetType, facts: SessionFacts) -> int:
    if isinstance(epoch, UnsetType):
        return facts.epoch
    digits, _, _ = epoch.partition("-")
    number = int(digits) if digits.isdecimal() else 0
    if epoch != f"{number}-{facts.tag}" or not 1 <= number <= facts.epoch:
        raise invalid("epoch")
    return number
