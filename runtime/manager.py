"""The host's face of the runtime: sessions by id, in the host's own process."""

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, NoReturn, TypeVar

from ..actors.commands import (
    Ack,
    Command,
    End,
    EndVerb,
    Expected,
    Open,
    Record,
    RemoveQueued,
    Send,
    SendMode,
    SetState,
    Update,
)
from ..actors.errors import NotSupportedError, SessionNotFoundError
from ..actors.events import QueuedMessage
from ..actors.hooks import SessionHook
from ..actors.memory_integration import CompactorMemoryIntegration
from ..actors.reply import Reply, ReplySlot
from ..persistence.ids import SessionID
from ..persistence.records import Hit, Message, SessionFacts, SessionFilter, SessionState
from .attachment import Attachment, attaching
from .checking import checked_client_id, checked_content, checked_message, checked_text
from .config import Isolation
from .core import Core
from .info import SessionInfo, SessionManagerStats, session_info
from .isolation import isolated
from .reading import Reading
from .session_handle import AS_IT_IS, Session
from .updates import Change, checked_update

T = TypeVar("T")

_UNISOLATED = Isolation()


class SessionManager:
    """Sessions by id; made by `open_manager`.

    Only `get_or_create`, `add_message` and `send` create a session; `get` answers None for a missing one, and
    every other method that takes an id raises `SessionNotFoundError`. Reads may raise `UnavailableError` and
    `DamagedError`; what changes something also `BusyError`, `QuarantinedError` and `ShuttingDownError`: then
    it was not done, or (unavailable only) the outcome is unknown.

    Attributes:
        compactor_memory_integration: What saves memory before a context is compacted.
    """

    compactor_memory_integration: CompactorMemoryIntegration | None = None

    def __init__(self, core: Core, isolation: Isolation = _UNISOLATED) -> None:
        self._core = core
        self._reading = Reading(core)
        self._isolation = isolation
        self._attachments: set[Attachment] = set()

    async def get_or_create(self, session: SessionID) -> Session:
        """A handle on the session, which is stored now if it was not before."""
        return Session((await self._ask(session, Open)).id, self)

    async def get(self, session: SessionID) -> Session | None:
        """A handle on the session, or None if there is no such session."""
        try:
            return Session((await self.facts(session)).id, self)
        except SessionNotFoundError:
            return None

    async def add_message(self, session: SessionID, message: Message) -> int:
        """Store a message of any role; starts no turn, creates a missing session.

        Returns:
            The message's seq; it is durable.

        Raises:
            ValueError: The message is not one that can be stored.
            TooLargeError: Its content has more than ``limits.content_bytes`` bytes.
        """
        message = checked_message(message, self._core.limits.content_bytes)
        return (await self._ask(session, partial(Record, message))).seq

    async def send(
        self,
        session: SessionID,
        content: str,
        *,
        client_id: str | None = None,
        mode: SendMode = "followup",
        wait: Literal["durable", "done"] = "durable",
    ) -> Ack:
        """Store a user message and have it answered; the host's form of ``message.send``.

        Args:
            session: For whom it is; created if missing.
            content: What is said; not only white space, at most ``limits.content_bytes`` bytes of UTF-8.
            client_id: Names the message among the session's, 1 to 128 characters; drawn if not given. The
                same id and content again is answered with the first ack.
            mode: What becomes of it while a turn runs.
            wait: Whether the answer comes with the commit or with the end of the turn.

        Raises:
            ValueError: The content or the client id cannot be stored.
            TooLargeError: The content is too long.
            IdConflictError: The client id was used for another content.
        """
        content = checked_content(content, self._core.limits.content_bytes)
        name = secrets.token_hex(16) if client_id is None else checked_client_id(client_id)
        until_done = wait == "done"
        return await self._ask(
            session, lambda reply: Send(name, content, reply, mode=mode, until_done=until_done)
        )

    async def cancel(self, session: SessionID, turn_id: str | None = None) -> tuple[str, ...]:
        """Cut a turn off, the one named or whichever runs; what it has said is kept.

        Returns:
            The ids of the turns cut off; empty if none ran.
        """
        slot: ReplySlot[tuple[str, ...]] = ReplySlot()
        self._core.router.cancel(isolated(session, self._isolation), turn_id, slot)
        return await slot.wait()

    async def remove_queued(self, session: SessionID, seq: int | None = None) -> tuple[QueuedMessage, ...]:
        """Take a message whose turn has not begun out of the queue, or all of them; those taken."""
        return await self._ask(session, lambda reply: RemoveQueued(reply, seq))

    @asynccontextmanager
    async def attach(
        self, session: SessionID, after: tuple[str, int] | None = None
    ) -> AsyncGenerator[Attachment]:
        """Listen to a session's events for the length of an ``async with``.

        Args:
            session: To whom.
            after: The epoch and seq of the last event that the host has, to be given all after it.
        """
        core, session = self._core, isolated(session, self._isolation)
        room = core.limits.outbound_bytes
        async with attaching(core.router, core.topics, session, after, room) as attachment:
            self._attachments.add(attachment)
            try:
                yield attachment
            finally:
                self._attachments.discard(attachment)

    async def get_messages(self, session: SessionID) -> tuple[Message, ...]:
        """All messages of the session's current epoch, oldest first."""
        return await self._reading.messages(isolated(session, self._isolation))

    async def compact(self, session: SessionID) -> NoReturn:
        """Replace the oldest messages of the context by a summary.

        Raises:
            NotSupportedError: Always, for now: no language model can be configured.
        """
        await self.facts(session)
        raise NotSupportedError("compact: expected a language model, met none configured", field="compact")

    def set_compactor_memory_integration(self, integration: CompactorMemoryIntegration | None) -> None:
        """What saves memory before a context is compacted; None for nothing."""
        self.compactor_memory_integration = integration

    async def new_session(self, session: SessionID, expected: Expected = AS_IT_IS) -> Session:
        """Begin another conversation; the system prompt, tags and custom data stay, the rest begins anew.

        Raises:
            ConflictError: The session does not stand where ``expected`` says.
        """
        return Session((await self._end("new", session, expected)).id, self)

    async def reset(self, session: SessionID, expected: Expected = AS_IT_IS) -> None:
        """As `new_session`, but the title stays too."""
        await self._end("reset", session, expected)

    async def archive(self, session: SessionID, expected: Expected = AS_IT_IS) -> None:
        """Put the session away; a message opens it again with its history. Idempotent.

        Raises:
            ConflictError: The session does not stand where ``expected`` says.
        """
        await self._end("archive", session, expected)

    async def delete(self, session: SessionID, expected: Expected = AS_IT_IS) -> None:
        """Remove the session and all that was said in it; returns when every hook was told.

        Raises:
            ConflictError: The session does not stand where ``expected`` says.
        """
        await self._end("delete", session, expected)

    async def set_state(self, session: SessionID, state: SessionState) -> None:
        """Go on to a state.

        Raises:
            ConflictError: The table of transitions has no row for it.
        """
        await self._ask(session, partial(SetState, state))

    async def update(  # noqa: PLR0913 - one parameter for each fact that can be set
        self,
        session: SessionID,
        *,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        custom_data: Mapping[str, str] | None = None,
        system_prompt: str | None = None,
        summary: str | None = None,
    ) -> SessionInfo:
        """Set facts anew; None leaves one alone.

        Raises:
            ValueError, TooLargeError: As `checked_update` says, which also has the bounds.
        """
        change = checked_update(
            title=title,
            tags=tags,
            custom_data=custom_data,
            system_prompt=system_prompt,
            summary=summary,
            limits=self._core.limits,
        )
        return await self.change(session, lambda _: change)

    async def change(self, session: SessionID, change: Change) -> SessionInfo:
        """Set facts anew, from what they are then: ``change`` is pure and raises only `GreenroomError`."""
        facts: SessionFacts = await self._ask(session, lambda reply: Update(change, reply, create=False))
        return session_info(facts, self._core.limits.max_tokens)

    async def list(self, where: SessionFilter | None = None) -> Sequence[SessionInfo]:
        """Sessions matching a filter, newest ``last_active_at`` first, ties by id."""
        return await self._reading.list(where or SessionFilter())

    async def search(
        self,
        query: str,
        *,
        session: SessionID | None = None,
        where: SessionFilter | None = None,
        limit: int = 50,
    ) -> Sequence[Hit]:
        """At most ``limit`` messages that hold every word of a query, the last stored first.

        Args:
            query: Words; there are no operators.
            session: Look in this one alone.
            where: Look in sessions that match.
            limit: Of how many at most.
        """
        if session is not None:
            session = (await self.facts(session)).id
        return await self._reading.search(checked_text("query", query), where, session, limit)

    async def info(self, session: SessionID) -> SessionInfo:
        """A session's facts as clients see them."""
        return session_info(await self.facts(session), self._core.limits.max_tokens)

    async def facts(self, session: SessionID) -> SessionFacts:
        """A session's stored row, after every command delivered before has taken effect."""
        return await self._reading.facts(isolated(session, self._isolation))

    async def recover(self) -> int:
        """Wait until the sessions that a former process left with work to do are started; how many.

        That begins by itself as the runtime opens; asked again, the answer is the same.
        """
        return await self._core.recovery.wait()

    def register_hook(self, hook: SessionHook) -> None:
        """Have a hook told of every end of a conversation from now on, after those registered before."""
        self._core.hooks.register(hook)

    async def stats(self) -> SessionManagerStats:
        """Counts over all stored sessions and over this process."""
        return await self._reading.stats()

    async def stop(self) -> None:
        """Refuse further work, let running turns end or cut them off, store what they said; idempotent."""
        await self._core.stop()
        self.detach_all()

    def detach_all(self) -> None:
        """End every attachment; their loops end after the events that wait for them."""
        for attachment in tuple(self._attachments):
            attachment.close()

    async def _end(self, verb: EndVerb, session: SessionID, expected: Expected) -> SessionFacts:
        return await self._ask(session, lambda reply: End(verb, reply, expected))

    async def _ask(self, session: SessionID, command: Callable[[Reply[T]], Command]) -> T:
        return await self._core.router.ask(isolated(session, self._isolation), command)
