"""What silence does to sessions: they become idle, are suspended, archived, deleted.

Theory of operation. The store says by index who is due, the oldest first; nobody keeps a timer per session,
so a million of sleeping ones cost nothing. Each that is due is asked by a command of its own, which looks
again: only the session's actor knows whether somebody spoke meanwhile. Between rounds the loop sleeps until
the next one can be due.

Steps of a round, in this order. *Archive* comes first: a session that was silent for a month while nothing
ran goes straight to archived, with one end, not through idle and suspended on the way. *Idle* comes before
*suspend*: a session that is overdue for both goes through both, in the order of the table, in one round.

A session that refuses, for whatever reason, is held back for an interval and hides nobody behind it. What may
go wrong for all sessions alike (the store fails, no room, a shutdown) ends the step until the next round.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import trio

from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts, SessionState
from ..persistence.store import SessionStore
from .errors import BusyError, DamagedError, GreenroomError, ShuttingDownError, UnavailableError
from .reads import Reads
from .reports import Reporter
from .silence import BEAT, SilenceClock

# Sessions asked at a time. Each costs the writer two waits for the disk (its end, and the end's leaving the
# outbox), which live traffic waits for too: with eight at a time an ack took four times as long, and all were
# archived hardly sooner.
AT_ONCE: Final = 2
PAGE: Final = 64  # rows read at a time
SHORTEST_REST: Final = 0.5  # seconds between rounds; whoever is due in between is asked with the others
RETRY: Final = 5.0  # seconds after a round that met a failing store
ANSWER: Final = 10.0  # seconds for one session's answer: a stuck one must not stop the clocks
WORTH_TELLING: Final = 10.0  # seconds; shorter gaps are what a busy machine has
EVER: Final = (1 << 63) - 1  # microseconds; every moment is before it
LATE_ENOUGH: Final = 0.001  # seconds: due is who was silent for longer, not for as long

_ACTIVE, _IDLE, _COMPACTING, _SUSPENDED, _ARCHIVED = SessionState

AskAge = Callable[[SessionID, SessionState, SessionState | None, int], Awaitable[bool]]
"""Asks one session to go on from a state to another (None: deletion), as `Age` says; whether it went on."""


class ClockSettings(msgspec.Struct, frozen=True):
    """After how long a silence, in seconds; 0 is never.

    Attributes:
        idle_after: An active session is idle.
        suspend_after: An idle one is suspended.
        archive_after: Any is archived.
        delete_after: An archived one is deleted; counts from its archiving.
        interval: The longest time between two rounds, above 0.
    """

    idle_after: float
    suspend_after: float
    archive_after: float
    delete_after: float
    interval: float


class TimeSkipped(msgspec.Struct, frozen=True):
    """The wall clock leapt, or the process was stopped: ``seconds`` that count as nobody's silence."""

    seconds: float


class _Step(NamedTuple):
    """Sessions in any of ``states`` go on to ``to`` when they were silent for ``after`` seconds."""

    states: tuple[SessionState, ...]
    to: SessionState | None
    after: float


def _steps(settings: ClockSettings) -> tuple[_Step, ...]:
    steps = (
        _Step((_ACTIVE, _IDLE, _COMPACTING, _SUSPENDED), _ARCHIVED, settings.archive_after),
        _Step((_ACTIVE,), _IDLE, settings.idle_after),
        _Step((_IDLE,), _SUSPENDED, settings.suspend_after),
        _Step((_ARCHIVED,), None, settings.delete_after),
    )
    return tuple(step for step in steps if step.after > 0)


class Clocks:
    """Lets silence take effect; made where the event loop runs, for it begins to look at the time.

    Args:
        settings: When what happens.
        reads: Reads the store off the loop.
        ask_age: Asks one session.
        wall: The wall clock, microseconds since the Unix epoch.
        report: Told of `TimeSkipped`.
    """

    def __init__(
        self,
        settings: ClockSettings,
        reads: Reads,
        ask_age: AskAge,
        wall: Callable[[], int],
        report: Reporter,
    ) -> None:
        self._steps = _steps(settings)
        self._interval = settings.interval
        self._reads = reads
        self._ask_age = ask_age
        self._wall = wall
        self._report = report
        longest = max((step.after for step in self._steps), default=0.0)
        self._silence = SilenceClock(wall(), trio.current_time(), longest)
        self._held: dict[SessionID, float] = {}
        self._must_wait = False

    async def run(self) -> None:
        """Go round for ever, with both clocks always in view; return at once if nothing is ever to happen.

        If it was cut off or has crashed, it may be run again: what was forgiven stays forgiven.
        """
        if not self._steps:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                self._must_wait = False
                await self._go_round()
                wanted = RETRY if self._must_wait else max(SHORTEST_REST, await self._until_next())
                await trio.sleep(min(wanted, self._interval))

    async def _watch(self) -> None:
        while True:
            await trio.sleep(BEAT)
            self._look()

    def _look(self) -> None:
        skipped = self._silence.note(self._wall(), trio.current_time())
        if skipped >= WORTH_TELLING:
            self._report(TimeSkipped(skipped))

    async def _go_round(self) -> None:
        at = trio.current_time()
        self._held = {session: until for session, until in self._held.items() if until > at}
        for step in self._steps:
            self._look()  # before whoever else wakes up from a stop: nobody is due by its length
            cutoff = self._silence.cutoff(step.after)
            for state in step.states:
                await self._carry_out(state, step.to, cutoff)

    async def _carry_out(self, state: SessionState, to: SessionState | None, cutoff: int) -> None:
        while rows := await self._due(state, cutoff):
            turn = iter(rows)
            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(self._ask_each, turn, to, cutoff)
            if self._must_wait:
                return

    async def _due(self, state: SessionState, cutoff: int) -> list[SessionFacts]:
        """The next page of those to ask; none if the store cannot say."""
        try:
            rows = await self._reads(self._reads.store.due, state, cutoff, PAGE + len(self._held))
        except (UnavailableError, DamagedError):
            self._must_wait = True
            return []
        return [row for row in rows if row.id not in self._held][:PAGE]

    async def _ask_each(self, rows: Iterator[SessionFacts], to: SessionState | None, cutoff: int) -> None:
        for row in rows:
            went_on = False
            with trio.move_on_after(ANSWER):
                try:
                    went_on = await self._ask_age(row.id, row.state, to, cutoff)
                except (UnavailableError, BusyError, ShuttingDownError):
                    self._must_wait = True
                except GreenroomError:
                    went_on = False
            if not went_on:
                self._held[row.id] = trio.current_time() + self._interval
            if self._must_wait:
                return

    async def _until_next(self) -> float:
        """Seconds until somebody can be due, or be asked again."""
        states = tuple({state for step in self._steps for state in step.states})
        try:
            found = await self._reads(_oldest, self._reads.store, states, 1 + len(self._held))
        except (UnavailableError, DamagedError):
            return RETRY
        self._look()
        waits = [step.after for step in self._steps]  # of whoever is the first to come after this
        waits += [until - trio.current_time() for until in self._held.values()]
        for row in found:
            if row.id not in self._held:
                waits.extend(self._wait_for(row))
        return min(waits)

    def _wait_for(self, row: SessionFacts) -> list[float]:
        if row.silent_since is None:
            return []
        silent = self._silence.silence(row.silent_since)
        return [step.after - silent + LATE_ENOUGH for step in self._steps if row.state in step.states]


def _oldest(store: SessionStore, states: Sequence[SessionState], limit: int) -> list[SessionFacts]:
    """The rows of each state that are due first."""
    return [row for state in states for row in store.due(state, EVER, limit)]
