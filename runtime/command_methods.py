"""The wire methods that a session's actor carries out: each becomes a command in its mailbox."""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import UnsetType

from ..actors import commands
from ..actors.errors import TooLargeError
from ..actors.events import Subscriber
from ..actors.reply import Reply
from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts
from .core import Core
from .protocol import Call, ProtocolError
from .requests import Attach, Cancel, ClearQueue, End, RemoveQueued, SendMessage, Update, given
from .results import (
    ack_result,
    attached_result,
    cancelled_result,
    deleted_result,
    facts_result,
    removed_result,
)
from .updates import checked_update

ReplyTo = Callable[[Callable[[Any], Any]], Reply[Any]]
"""Makes the reply to a call, given how to turn its value into the wire result."""


class CommandMethods:
    """Delivers one connection's commands.

    Args:
        core: The runtime.
        subscriber: Receives the events of the sessions it attaches to.
        resumed: Called as a subscription begins: deltas dropped before are no longer missed.
    """

    def __init__(self, core: Core, subscriber: Subscriber, resumed: Callable[[SessionID], None]) -> None:
        self._core = core
        self._subscriber = subscriber
        self._resumed = resumed
        self._limits = core.limits

    def deliver(self, call: Call, reply: ReplyTo) -> None:
        """Pass a command to its session; returns at once.

        Raises:
            GreenroomError: It was refused.
        """
        session, request = call.session, call.request
        if session is None:
            raise ProtocolError("internal_error", "call: expected a session, met none")
        if isinstance(request, Cancel):
            self._core.router.cancel(session, given(request.turn_id), reply(cancelled_result))
        else:
            self._core.router.deliver(session, self._command(call, reply))

    def _command(self, call: Call, reply: ReplyTo) -> commands.Command:
        match call.request:
            case SendMessage():
                return self._send(call.request, reply)
            case Attach():
                return self._attach(call.request, reply)
            case RemoveQueued(seq=seq):
                return commands.RemoveQueued(reply(removed_result), seq)
            case ClearQueue():
                return commands.RemoveQueued(reply(removed_result))
            case Update():
                return self._update(call.request, reply)
            case End():
                return self._end(call.request, reply)
            case _:
                raise ProtocolError("internal_error", "call: expected a command, met a read")

    def _send(self, request: SendMessage, reply: ReplyTo) -> commands.Send:
        most, size = self._limits.content_bytes, len(request.content.encode())
        if size > most:
            raise TooLargeError(f"content: expected at most {most} bytes, met {size}", field="content")
        result = partial(ack_result, max_tokens=self._limits.max_tokens)
        until_done = request.wait == "done"
        return commands.Send(
            request.client_id, request.content, reply(result), request.mode, until_done=until_done
        )

    def _attach(self, request: Attach, reply: ReplyTo) -> commands.Attach:
        after = None
        if not isinstance(request.epoch, UnsetType) and not isinstance(request.after_seq, UnsetType):
            after = (request.epoch, request.after_seq)
        return commands.Attach(self._subscriber, reply(self._attached_result), after, request.create)

    def _update(self, request: Update, reply: ReplyTo) -> commands.Update:
        change = checked_update(
            title=given(request.title),
            tags=given(request.tags),
            custom_data=given(request.custom_data),
            system_prompt=given(request.system_prompt),
            limits=self._limits,
        )
        return commands.Update(lambda _: change, reply(self._facts_result))

    def _end(self, request: End, reply: ReplyTo) -> commands.End:
        expected = commands.Expected(given(request.if_epoch), given(request.if_seq))
        result = deleted_result if request.verb == "delete" else self._facts_result
        return commands.End(request.verb, reply(result), expected)

    def _attached_result(self, attached: commands.Attached) -> dict[str, Any]:
        self._resumed(attached.facts.id)
        return attached_result(attached, self._limits.max_tokens)

    def _facts_result(self, facts: SessionFacts) -> dict[str, Any]:
        return facts_result(facts, self._limits.max_tokens)
