"""Where turns run: one task each, guarded, and known by name until their end is stored."""

from itertools import chain, repeat

import trio

from ..persistence.records import StopReason, TurnError
from .commands import Command, EndTurn
from .errors import GreenroomError, MailboxClosedError
from .mailbox import Mailbox
from .reply import ReplySlot
from .reports import AgentFailed, AgentWouldNotStop, Reporter
from .turn import Agent, Turn, run_agent

RETRY_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0)  # seconds between offers of a turn's end to a failing store


class TurnHost:
    """Runs the turns of all sessions with one agent.

    Args:
        nursery: Outlives every turn.
        agent: Who answers.
        seconds: Time limit of one turn.
        grace: Seconds a cancelled agent gets to end before it is named.
        report: Told of failing agents.
    """

    def __init__(
        self, nursery: trio.Nursery, agent: Agent, seconds: float, grace: float, report: Reporter
    ) -> None:
        self._nursery = nursery
        self._grace = grace
        self._agent = agent
        self._seconds = seconds
        self._report = report
        self._running: dict[str, Turn] = {}
        self._idle = trio.Event()
        self._idle.set()

    def start(self, turn: Turn, mailbox: Mailbox[Command]) -> None:
        """Run a turn; its end is posted to its session's mailbox."""
        if not self._running:
            self._idle = trio.Event()
        self._running[turn.turn_id] = turn
        self._nursery.start_soon(self._run, turn, mailbox, name=f"turn {turn.turn_id} of {turn.session}")

    def cancel(self, turn: Turn) -> None:
        """Cut one turn off; its agent is named if it has not ended after the grace."""
        if turn.turn_id in self._running and turn.stopped_as is None:
            turn.stop("cancelled")
            self._nursery.start_soon(self._watch, turn, name=f"end of turn {turn.turn_id}")

    def stop_all(self, reason: StopReason) -> None:
        """Cut every running turn off; what it has said is kept."""
        for turn in list(self._running.values()):
            turn.stop(reason)

    async def wait_until_idle(self) -> None:
        """Wait until every turn's end is stored."""
        await self._idle.wait()

    def report_running(self) -> None:
        """Name the agents that have not ended."""
        for turn in self._running.values():
            self._name(turn)

    async def _watch(self, turn: Turn) -> None:
        with trio.move_on_after(self._grace):
            await turn.ended.wait()
        if not turn.ended.is_set():
            self._name(turn)

    def _name(self, turn: Turn) -> None:
        self._report(AgentWouldNotStop(turn.session, turn.turn_id, self._agent.name))

    async def _run(self, turn: Turn, mailbox: Mailbox[Command]) -> None:
        try:
            outcome = await run_agent(self._agent, turn, self._seconds)
            turn.ended.set()
            if outcome.failure is not None:
                self._report(AgentFailed(turn.session, turn.turn_id, *outcome.failure))
            await _offer_end(mailbox, turn, outcome.stop_reason, outcome.error)
        finally:
            del self._running[turn.turn_id]
            if not self._running:
                self._idle.set()


async def _offer_end(
    mailbox: Mailbox[Command], turn: Turn, stop_reason: StopReason, error: TurnError | None
) -> None:
    """Have a turn's end stored, however long the store refuses.

    A session that was started again meanwhile has finished the turn as interrupted and ignores this offer:
    the turn's id fences it off.
    """
    for delay in chain(RETRY_DELAYS, repeat(RETRY_DELAYS[-1])):
        slot: ReplySlot[None] = ReplySlot()
        try:
            # Behind the command that stopped it, whose answer comes before the events of the end.
            put = mailbox.put_surely if turn.stopped_as == "cancelled" else mailbox.put_control
            put(EndTurn(turn.turn_id, turn.text, stop_reason, slot, error))
            await slot.wait()
        except MailboxClosedError:
            return  # the row says that the turn was begun: the next start finishes it
        except GreenroomError:
            await trio.sleep(delay)
        else:
            return
