"""The host's face of the runtime: sessions by id, in the host's own process."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import trio

from ..actors.commands import Ack, Barrier, Open, Record, Send, SendMode
from ..actors.errors import QuarantinedError, SessionNotFoundError, ShuttingDownError
from ..actors.reports import Reporter
from ..actors.turn import Agent
from ..persistence.ids import SessionID
from ..persistence.records import Message, SessionFacts, SessionFilter
from ..persistence.sqlite import SQLiteSessionStore
from ..persistence.store import SessionStore
from .agents import find_agent
from .config import Config
from .core import Core, open_core
from .info import SessionInfo, SessionManagerStats, session_info
from .observability import log_report

MAX_CLIENT_ID = 128  # characters
HISTORY_PAGE = 1000  # messages read at a time for a whole conversation


class Session:
    """A cheap handle: its methods ask the session's actor or the store, and return immutable values."""

    def __init__(self, session: SessionID, manager: "SessionManager") -> None:
        self.id = session
        self._manager = manager

    async def add_message(self, message: Message) -> int:
        """As `SessionManager.add_message`."""
        return await self._manager.add_message(self.id, message)

    async def messages(self) -> tuple[Message, ...]:
        """As `SessionManager.get_messages`."""
        return await self._manager.get_messages(self.id)

    async def info(self) -> SessionInfo:
        """The session's facts.

        Raises:
            SessionNotFoundError: It does not exist any more.
        """
        return await self._manager.info(self.id)


class SessionManager:
    """Sessions by id; made by `open_manager`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def get_or_create(self, session: SessionID) -> Session:
        """A handle on the session, which is stored now if it was not before."""
        await self._core.router.ask(session, Open)
        return Session(session, self)

    async def add_message(self, session: SessionID, message: Message) -> int:
        """Store a message of any role; starts no turn, creates a missing session.

        Returns:
            The message's seq; it is durable.

        Raises:
            ValueError: The content is not text that can be stored.
            BusyError, UnavailableError, QuarantinedError, ShuttingDownError: It was not stored, or
                (unavailable only) the outcome is unknown.
        """
        _check_content(message.content)
        entry = await self._core.router.ask(session, partial(Record, message))
        return entry.seq

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
            IdConflictError: The client id was used for another content.
            BusyError, UnavailableError, QuarantinedError, ShuttingDownError: As in `add_message`.
        """
        _check_content(content)
        name = secrets.token_hex(16) if client_id is None else client_id
        most = self._core.limits.content_bytes
        if not content.strip() or len(content.encode()) > most:
            raise ValueError(f"content: expected more than white space and at most {most} bytes, met other")
        if not 0 < len(name) <= MAX_CLIENT_ID or "\0" in name:
            raise ValueError(f"client_id: expected 1 to {MAX_CLIENT_ID} characters without NUL, met other")
        until_done = wait == "done"
        return await self._core.router.ask(
            session, lambda reply: Send(name, content, reply, mode=mode, until_done=until_done)
        )

    async def get_messages(self, session: SessionID) -> tuple[Message, ...]:
        """All messages of the session's current epoch, oldest first.

        Raises:
            SessionNotFoundError: There is no such session.
        """
        facts = await self.facts(session)
        reads, messages = self._core.reads, list[Message]()
        before: int | None = None
        while True:
            page = await reads(reads.store.history, session, facts.epoch, before, HISTORY_PAGE)
            messages[:0] = [entry.body for entry in page if isinstance(entry.body, Message)]
            if len(page) < HISTORY_PAGE:
                return tuple(messages)
            before = page[0].seq

    async def list(self, where: SessionFilter | None = None) -> Sequence[SessionInfo]:
        """Sessions matching a filter, newest ``last_active_at`` first, ties by id."""
        reads = self._core.reads
        rows = await reads(reads.store.list, where or SessionFilter())
        return [session_info(facts, self._core.limits.max_tokens) for facts in rows]

    async def info(self, session: SessionID) -> SessionInfo:
        """A session's facts.

        Raises:
            SessionNotFoundError: There is no such session.
        """
        return session_info(await self.facts(session), self._core.limits.max_tokens)

    async def facts(self, session: SessionID) -> SessionFacts:
        """A session's stored row, after every command delivered before has taken effect.

        Raises:
            SessionNotFoundError: There is no such session.
        """
        await self.settle(session)
        facts = await self._core.reads(self._core.reads.store.facts, session)
        if facts is None:
            raise SessionNotFoundError(f"session {session}: expected it to exist, met none")
        return facts

    async def settle(self, session: SessionID) -> None:
        """Wait until commands delivered to the session before this call have taken effect."""
        if self._core.router.is_live(session):
            # A session that rests has nothing under way; one that is shutting down is settled by that.
            with suppress(QuarantinedError, ShuttingDownError):
                await self._core.router.ask(session, Barrier)

    async def stats(self) -> SessionManagerStats:
        """Counts over all stored sessions and over this process."""
        stored = await self._core.reads(self._core.reads.store.stats)
        return SessionManagerStats(
            **msgspec.structs.asdict(stored),
            live_actors=len(self._core.registry),
            mailbox_depth=sum(place.mailbox.depth for place in self._core.registry),
            commits=self._core.writer.commits,
            appends=self._core.writer.appends,
        )

    async def stop(self) -> None:
        """Refuse further work, let running turns end or cut them off, store what they said; idempotent."""
        await self._core.stop()


@asynccontextmanager
async def open_manager(
    config: Config | None = None,
    *,
    store: SessionStore | None = None,
    agent: Agent | None = None,
    report: Reporter = log_report,
) -> AsyncGenerator[SessionManager]:
    """Run a session runtime in this process for the length of an ``async with``.

    Args:
        config: How it runs; its ``db`` is opened unless ``store`` is given.
        store: Where sessions are kept; closed at the end.
        agent: Who answers, instead of the one that the configuration names.
        report: Told of crashes and refusals.

    Raises:
        StoreOpenError: The database cannot be used.
        AgentNotFoundError: The configured agent cannot be found.
    """
    config = config or Config()
    agent = agent or find_agent(config.agent)
    if store is None:
        store = await trio.to_thread.run_sync(open_store, config)
    async with open_core(store, agent, config.limits, report) as core:
        yield SessionManager(core)


def open_store(config: Config) -> SQLiteSessionStore:
    """Open the configured database for writing.

    Raises:
        StoreOpenError: It cannot be used.
    """
    return SQLiteSessionStore(Path(config.db), max_tokens=config.limits.max_tokens)


def _check_content(content: str) -> None:
    if "\0" in content:
        raise ValueError("content: expected text without NUL, met one")
    try:
        content.encode()
    except UnicodeEncodeError as exc:
        raise ValueError("content: expected text that UTF-8 can hold, met a lone surrogate") from exc
