"""Where turns run, as many as there are places: guarded, and known by name until their end is stored."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import chain, repeat
from typing import TypeVar

import trio

from ..persistence.records import StopReason, TurnError
from .commands import CallTurn, Command, EndTurn
from .errors import GreenroomError, MailboxClosedError, QuarantinedError
from .ref import ActorRef
from .reply import Reply, ReplySlot
from .reports import AgentFailed, AgentWouldNotStop, Reporter
from .turn import Agent, Outcome, Turn, run_agent

T = TypeVar("T")

RETRY_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0)  # seconds between offers of a turn's end to a failing store


class TurnHost:
    """Runs the turns of all sessions with one agent, as many at a time as there are places.

    The others wait in the order in which they came; a session has one turn at most, so that is fair between
    sessions. A turn has its place until its agent has returned, also if that ignores its cancellation: it is
    still at work. Such an agent is named when it is told to stop and when its time is up, and then again each
    time it could have had another turn, so that whoever wonders why nobody is answered can read why.

    Args:
        nursery: Outlives every turn.
        agent: Who answers.
        seconds: Time limit of one turn, from the moment it gets its place.
        grace: Seconds a cancelled agent gets to end before it is named.
        report: Told of failing agents.
        places: Turns whose agent may be at work at a time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - built in one place
        self,
        nursery: trio.Nursery,
        agent: Agent,
        seconds: float,
        grace: float,
        report: Reporter,
        places: int,
    ) -> None:
        self._nursery = nursery
        self._grace = grace
        self._agent = agent
        self._seconds = seconds
        self._report = report
        self._places = places
        self._running: dict[str, Turn] = {}
        self._waiting: OrderedDict[str, ActorRef[Command]] = OrderedDict()
        # Those that have a place, and when their agent is to be named; the earliest first.
        self._at_work: dict[str, float] = {}
        self._is_watching = False
        self._idle = trio.Event()
        self._idle.set()

    @property
    def at_work(self) -> int:
        """How many turns have a place."""
        return len(self._at_work)

    @property
    def is_full(self) -> bool:
        """Whether a turn that came now would have to wait."""
        return len(self._at_work) + len(self._waiting) >= self._places

    @property
    def waiting(self) -> int:
        """How many turns wait for a place."""
        return len(self._waiting)

    def start(self, turn: Turn, session: ActorRef[Command]) -> None:
        """Run a turn, now or when those before it have left it a place; its session is told of its end."""
        if not self._running:
            self._idle = trio.Event()
        self._running[turn.turn_id] = turn
        self._waiting[turn.turn_id] = session
        self._fill_places()

    def cancel(self, turn: Turn) -> None:
        """Cut one turn off: its agent never runs if it waits, and is named if it goes on after the grace."""
        if turn.turn_id in self._waiting:
            turn.stop("cancelled")
            self._call(turn.turn_id)
        elif turn.turn_id in self._at_work and turn.stopped_as is None:
            turn.stop("cancelled")
            self._nursery.start_soon(self._watch, turn, name=f"end of turn {turn.turn_id}")

    def stop_waiting(self, reason: StopReason) -> None:
        """End every turn that waits for a place; its agent never runs."""
        for turn_id in list(self._waiting):
            self._running[turn_id].stop(reason)
            self._call(turn_id)

    def stop_all(self, reason: StopReason) -> None:
        """Cut every turn off; what it has said is kept."""
        self.stop_waiting(reason)
        for turn in list(self._running.values()):
            turn.stop(reason)

    async def wait_until_idle(self) -> None:
        """Wait until every turn's end is stored."""
        await self._idle.wait()

    def report_running(self) -> None:
        """Name the agents that have not ended."""
        for turn_id in self._at_work:
            self._name(turn_id)

    def _fill_places(self) -> None:
        while self._waiting and len(self._at_work) < self._places:
            turn_id = next(iter(self._waiting))
            self._at_work[turn_id] = trio.current_time() + self._seconds + self._grace
            self._call(turn_id)
            if not self._is_watching:
                self._is_watching = True
                self._nursery.start_soon(self._watch_all, name="turns that take too long")

    def _call(self, turn_id: str) -> None:
        """Take a turn out of the line and run it; only to its end, if it was stopped."""
        turn, session = self._running[turn_id], self._waiting.pop(turn_id)
        self._nursery.start_soon(self._run, turn, session, name=f"turn {turn_id} of {turn.session}")

    async def _watch(self, turn: Turn) -> None:
        with trio.move_on_after(self._grace):
            await turn.ended.wait()
        if not turn.ended.is_set():
            self._name(turn.turn_id)

    async def _watch_all(self) -> None:
        """Name agents that keep their places beyond their time, as long as any turn has a place."""
        while self._at_work:
            turn_id, at = next(iter(self._at_work.items()))
            if trio.current_time() < at:
                await trio.sleep_until(at)
            else:
                self._name(turn_id)
                del self._at_work[turn_id]
                self._at_work[turn_id] = trio.current_time() + self._seconds + self._grace
        self._is_watching = False

    def _name(self, turn_id: str) -> None:
        self._report(AgentWouldNotStop(self._running[turn_id].session, turn_id, self._agent.name))

    async def _run(self, turn: Turn, session: ActorRef[Command]) -> None:
        try:
            outcome = await self._answer(turn, session)
            if outcome.failure is not None:
                self._report(AgentFailed(turn.session, turn.turn_id, *outcome.failure))
            await _offer_end(session, turn, outcome.stop_reason, outcome.error)
        finally:
            del self._running[turn.turn_id]
            if not self._running:
                self._idle.set()

    async def _answer(self, turn: Turn, session: ActorRef[Command]) -> Outcome:
        """Let the agent answer, unless the turn was stopped before, and leave the place to the next one."""
        try:
            # When the nursery is cancelled, each turn that waits still comes here; its agent must not run.
            await trio.lowlevel.checkpoint_if_cancelled()
            if turn.stopped_as is None and (not turn.is_waiting or await _may_be_called(session, turn)):
                return await run_agent(self._agent, turn, self._seconds)
            turn.close()
            return Outcome(turn.stopped_as or "interrupted")
        finally:
            turn.ended.set()
            self._at_work.pop(turn.turn_id, None)
            self._fill_places()


async def _may_be_called(session: ActorRef[Command], turn: Turn) -> bool:
    """Have it stored that a turn's agent is called; whether it is to be."""

    def call(reply: Reply[bool]) -> None:
        session.tell_control(CallTurn(turn.turn_id, reply))

    is_meant = await _store(call, is_over=lambda: turn.stopped_as is not None)
    return bool(is_meant) and turn.stopped_as is None


async def _offer_end(
    session: ActorRef[Command], turn: Turn, stop_reason: StopReason, error: TurnError | None
) -> None:
    """Have a turn's end stored.

    A session that was started again meanwhile has finished the turn as interrupted and ignores this offer:
    the turn's id fences it off.
    """

    def offer(reply: Reply[None]) -> None:
        # Behind the command that stopped it, whose answer comes before the events of the end.
        tell = session.tell_surely if turn.stopped_as == "cancelled" else session.tell_control
        tell(EndTurn(turn.turn_id, turn.text, stop_reason, reply, error, was_called=turn.was_called))

    await _store(offer, is_over=lambda: False)


async def _store(tell: Callable[[Reply[T]], None], is_over: Callable[[], bool]) -> T | None:
    """Tell a session something that it has to store, however long the store refuses.

    Returns:
        What it answers; None if there is no such session any more (the row says that the turn was begun: the
        next start finishes it), or it is over meanwhile.
    """
    for delay in chain(RETRY_DELAYS, repeat(RETRY_DELAYS[-1])):
        slot: ReplySlot[T] = ReplySlot()
        try:
            tell(slot)
            return await slot.wait()
        except (MailboxClosedError, QuarantinedError):
            return None
        except GreenroomError:
            await trio.sleep(delay)
        if is_over():
            return None
    return None
