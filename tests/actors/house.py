"""Sessions under the clocks: a store, a wall clock that can be set, and a hand in place of the actors."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec
import trio
from greenroom.actors.clocks import Clocks, ClockSettings
from greenroom.actors.errors import GreenroomError
from greenroom.actors.reads import Reads
from greenroom.actors.silence import MICROSECONDS
from greenroom.persistence import InMemorySessionStore
from greenroom.persistence.errors import StoreError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, SessionFacts, SessionState
from trio.testing import MockClock

from tests.actors.hand import Reports, sid

ACTIVE, IDLE, COMPACTING, SUSPENDED, ARCHIVED = SessionState
NOON = 1_800_000_000 * MICROSECONDS
DAY = 86_400.0
SETTINGS = ClockSettings(300.0, 1800.0, 30 * DAY, 60 * DAY, 60.0)


class Store(InMemorySessionStore):
    """Counts what the clocks ask, and refuses when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.refusals: list[StoreError] = []

    def due(self, state: SessionState, before: int, limit: int) -> Sequence[SessionFacts]:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop()
        return super().due(state, before, limit)


class House:
    """Stored sessions, a wall clock that can be set, and a hand in place of the sessions' actors."""

    def __init__(self) -> None:
        self.store = Store()
        self.reports = Reports()
        self.started = trio.current_time()
        self.offset = 0.0
        self.log: list[tuple[float, str, str]] = []
        self.answers: dict[SessionID, GreenroomError | bool] = {}
        self.asked: Counter[SessionID] = Counter()
        self.pause = 0.0
        self.stuck: set[SessionID] = set()
        self.working = 0
        self.most_at_once = 0

    def wall(self) -> int:
        return NOON + round((trio.current_time() - self.started + self.offset) * MICROSECONDS)

    def let(self, number: int, state: SessionState = ACTIVE, *, silent: float = 0.0) -> SessionID:
        """Store a session, or change it, that has been silent (archived) for some seconds."""
        at = self.wall() - round(silent * MICROSECONDS)
        facts = self.store.facts(sid(number)) or SessionFacts(
            id=sid(number), tag="t", created_at=at, updated_at=at, last_active_at=at
        )
        archived_at = at if state is ARCHIVED else None
        self._put(msgspec.structs.replace(facts, state=state, last_active_at=at, archived_at=archived_at))
        return sid(number)

    async def ask_age(
        self, session: SessionID, state: SessionState, to: SessionState | None, before: int
    ) -> bool:
        self.asked[session] += 1
        self.working += 1
        self.most_at_once = max(self.most_at_once, self.working)
        try:
            await trio.sleep(1000.0 if session in self.stuck else self.pause)
        finally:
            self.working -= 1
        answer = self.answers.get(session, True)
        if isinstance(answer, GreenroomError):
            raise answer
        facts = self.store.facts(session)
        if not answer or facts is None or facts.state is not state:
            return False
        since = facts.archived_at if state is ARCHIVED else facts.last_active_at
        assert since is not None
        assert since < before
        self.log.append((trio.current_time() - self.started, session.peer_id, str(to)))
        if to is None:
            self.store.delete(session)
        else:
            archived_at = self.wall() if to is ARCHIVED else None
            self._put(msgspec.structs.replace(facts, state=to, archived_at=archived_at))
        return True

    def events(self, number: int) -> list[str]:
        return [to for _, peer, to in self.log if peer == sid(number).peer_id]

    def moved(self) -> list[tuple[str, str]]:
        return [(peer, to) for _, peer, to in self.log]

    def _put(self, facts: SessionFacts) -> None:
        (stored,) = self.store.commit([Append(facts, facts.head_seq)])
        assert isinstance(stored, SessionFacts), stored


@asynccontextmanager
async def clocks(house: House, settings: ClockSettings = SETTINGS) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        run = Clocks(settings, Reads(house.store), house.ask_age, house.wall, house.reports).run
        nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel()


def only(**given: float) -> ClockSettings:
    nothing = {"idle_after": 0.0, "suspend_after": 0.0, "archive_after": 0.0, "delete_after": 0.0}
    return ClockSettings(**{**nothing, "interval": 60.0, **given})


def stop_process(seconds: float) -> None:
    """As SIGSTOP and SIGCONT: both clocks go on, and nobody sees it."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    clock.jump(seconds)
