"""What is read of sessions: from the store, once what was asked of them before has taken effect."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..actors.commands import Barrier
from ..actors.errors import QuarantinedError, SessionNotFoundError, ShuttingDownError
from ..persistence.ids import SessionID
from ..persistence.records import Hit, Message, SessionFacts, SessionFilter
from .core import Core
from .info import SessionInfo, SessionManagerStats, session_info

HISTORY_PAGE = 1000  # messages read at a time for a whole conversation


class Reading:
    """Reads of one runtime.

    Each may raise `UnavailableError` and `DamagedError`; those of one session also `SessionNotFoundError`.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reads = core.reads
        self._store = core.reads.store

    async def settle(self, session: SessionID) -> None:
        """Wait until commands delivered to the session before this call have taken effect."""
        if self._core.router.is_live(session):
            # A session that rests has nothing under way; one that is shutting down is settled by that.
            with suppress(QuarantinedError, ShuttingDownError):
                await self._core.router.ask(session, Barrier)

    async def facts(self, session: SessionID) -> SessionFacts:
        """A session's stored row, after every command delivered before has taken effect."""
        await self.settle(session)
        facts = await self._reads(self._store.facts, session)
        if facts is None:
            raise SessionNotFoundError(f"session {session}: expected it to exist, met none")
        return facts

    async def messages(self, session: SessionID) -> tuple[Message, ...]:
        """All messages of the session's current epoch, oldest first."""
        facts, messages = await self.facts(session), list[Message]()
        before: int | None = None
        while True:
            page = await self._reads(self._store.history, session, facts.epoch, before, HISTORY_PAGE)
            messages[:0] = [entry.body for entry in page if isinstance(entry.body, Message)]
            if len(page) < HISTORY_PAGE:
                return tuple(messages)
            before = page[0].seq

    async def list(self, where: SessionFilter) -> Sequence[SessionInfo]:
        """Sessions matching a filter, newest ``last_active_at`` first, ties by id."""
        rows = await self._reads(self._store.list, where)
        return [session_info(facts, self._core.limits.max_tokens) for facts in rows]

    async def search(
        self, query: str, where: SessionFilter | None, session: SessionID | None, limit: int
    ) -> Sequence[Hit]:
        """As `SessionStore.search`; every session is searched if none is named and no filter given."""
        return await self._reads(self._store.search, query, where or SessionFilter(), session, limit)

    async def stats(self) -> SessionManagerStats:
        """Counts over all stored sessions and over this process."""
        stored = await self._reads(self._store.stats)
        return SessionManagerStats(
            **msgspec.structs.asdict(stored),
            live_actors=len(self._core.registry),
            mailbox_depth=sum(place.ref.depth for place in self._core.registry),
            commits=self._core.writer.commits,
            appends=self._core.writer.appends,
        )
