"""The wire methods that read: of one session after all that was asked of it before, or of the whole store."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UnsetType

from ..actors.backlog import MAX_BYTES, newest_messages
from ..actors.events import Subscriber
from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts, SessionFilter, SessionState
from ..persistence.store import SessionStore
from .core import Core
from .protocol import Call, ProtocolError, invalid
from .reading import Reading
from .requests import Compact, Detach, History, Info, List, Search, Stats, Uncompact, clamp, given
from .results import facts_result, hit_result, snapshot_result

EPOCHS: Final = 50  # newest epochs that session.info names
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class ReadingMethods:
    """Carries out one connection's reads.

    Args:
        core: The runtime.
        subscriber: Receives the events of the sessions it is attached to.
        resumed: Called as a subscription ends: deltas dropped before are no longer missed.
    """

    def __init__(self, core: Core, subscriber: Subscriber, resumed: Callable[[SessionID], None]) -> None:
        self._core = core
        self._reading = Reading(core)
        self._subscriber = subscriber
        self._resumed = resumed
        self._max_tokens = core.limits.max_tokens

    async def read(self, call: Call) -> Any:  # noqa: ANN401 - any JSON value
        """Carry out a read; the wire result.

        Raises:
            GreenroomError: It was refused.
        """
        match call.request:
            case List():
                return await self._list(call.request)
            case Stats():
                return await self._reading.stats()
            case Search():
                return await self._search(call.session, call.request)
            case _ if call.session is not None:
                return await self._read_session(call, call.session)
            case _:
                raise ProtocolError("internal_error", "call: expected a session, met none")

    async def _read_session(self, call: Call, session: SessionID) -> Any:  # noqa: ANN401
        if isinstance(call.request, Detach):
            return await self._detach(session)
        facts = await self._reading.facts(session)
        match call.request:
            case History():
                return await self._history(facts, call.request)
            case Info():
                epochs = await self._core.reads(self._core.reads.store.epochs, session, EPOCHS)
                names = [f"{epoch}-{facts.tag}" for epoch in _with_current(epochs, facts.epoch)]
                return facts_result(facts, self._max_tokens) | {"epochs": names}
            case Compact() | Uncompact():
                text = "method: expected one that this version can carry out, met one of compaction"
                raise ProtocolError("not_supported", text)
            case _:
                raise ProtocolError("internal_error", "call: expected a read, met a command")

    async def _detach(self, session: SessionID) -> dict[str, Any]:
        await self._reading.settle(session)
        # Before it is known whether the session exists: one that was deleted may be created again.
        self._core.topics.unsubscribe(session, self._subscriber)
        self._resumed(session)
        await self._reading.facts(session)
        return {}

    async def _history(self, facts: SessionFacts, request: History) -> dict[str, Any]:
        epoch, limit = _epoch_number(request.epoch, facts), clamp(request.limit)
        page = await newest_messages(self._core.reads, facts, epoch, given(request.before_seq), limit)
        return snapshot_result(page, facts.tag)

    async def _search(self, session: SessionID | None, request: Search) -> dict[str, Any]:
        if session is not None:
            await self._reading.facts(session)
        reads = self._core.reads
        hits = await reads(_find, reads.store, request.query, session, clamp(request.limit))
        return {"hits": that_fit(hits)}

    async def _list(self, request: List) -> dict[str, Any]:
        limit = clamp(request.limit)
        where = SessionFilter(
            agent_id=given(request.agent_id),
            channel_id=given(request.channel_id),
            peer_id=given(request.peer_id),
            state=None if isinstance(request.state, UnsetType) else SessionState[request.state.upper()],
            created_after=_microseconds(request.created_after),
            created_before=_microseconds(request.created_before),
            limit=limit + 1,
            offset=request.offset,
        )
        infos = await self._reading.list(where)
        shown = that_fit(infos[:limit])
        return {"sessions": shown, "more": len(infos) > len(shown)}


def that_fit(rows: Sequence[T]) -> Sequence[T]:
    """The first rows whose JSON has at most `MAX_BYTES` together; at least one, if there is one."""
    room = MAX_BYTES
    for number, row in enumerate(rows):
        room -= len(msgspec.json.encode(row)) + 1
        if room < 0 and number:
            return rows[:number]
    return rows


def _find(store: SessionStore, query: str, session: SessionID | None, limit: int) -> Sequence[dict[str, Any]]:
    """The messages that hold the words, as the wire shows them; without those deleted meanwhile."""
    hits = store.search(query, SessionFilter(), session, limit)
    rows = {found: store.facts(found) for found in {hit.session for hit in hits}}
    return [hit_result(hit, facts.tag) for hit in hits if (facts := rows[hit.session]) is not None]


def _with_current(epochs: Sequence[int], current: int) -> list[int]:
    """The epochs that hold entries, newest first, and the current one, which may hold none yet."""
    return [current, *(epoch for epoch in epochs if epoch != current)][:EPOCHS]


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
