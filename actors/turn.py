"""One attempt to answer: what an agent is given, and the task that runs it."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
import trio

from ..persistence.ids import SessionID
from ..persistence.records import Message, StopReason, TurnError
from .errors import GreenroomError
from .reports import describe


class TurnClosedError(GreenroomError):
    """The turn has ended; what its agent says now goes nowhere."""

    name = "turn_closed"


class TurnTooLongError(GreenroomError):
    """The agent said more than one message may hold."""

    name = "turn_too_long"


class Turn:
    """What an agent works with.

    Attributes:
        session: Whose turn it is.
        turn_id: Names this attempt.
        attempt: 1 for the first; more after an interruption.
        messages: The message(s) this turn answers, oldest first.
        stopped_as: Why it was told to stop, if it was.
        is_closed: Nothing more can be said.
        is_waiting: It is stored that its agent waits, and has to be stored that it is called.
        was_called: Its agent was; until then it is as if there had been no turn.
        ended: Set when its agent has returned.
    """

    def __init__(  # noqa: PLR0913 - built in one place, by keyword
        self,
        session: SessionID,
        turn_id: str,
        attempt: int,
        messages: tuple[Message, ...],
        *,
        context: Callable[[], tuple[Message, ...]],
        tell: Callable[[int, str], None],
        max_bytes: int,
        is_waiting: bool = False,
    ) -> None:
        self.session = session
        self.turn_id = turn_id
        self.attempt = attempt
        self.messages = messages
        self.scope = trio.CancelScope()
        self.stopped_as: StopReason | None = None
        self.is_waiting = is_waiting
        self.was_called = False
        self._read_context = context
        self._context: tuple[Message, ...] | None = None
        self._tell = tell
        self._room = max_bytes
        self._pieces: list[str] = []
        self._length = 0
        self._held: trio.Event | None = None
        self.ended = trio.Event()
        self.is_closed = False

    @property
    def context(self) -> tuple[Message, ...]:
        """What was said before, oldest first, as far as the token budget goes; then this turn's messages."""
        if self._context is None:
            self._context = self._read_context()
        return self._context

    @property
    def text(self) -> str:
        """All that was said so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    async def say(self, text: str) -> None:
        """Say the next piece of the answer; whoever is attached sees it at once.

        Raises:
            TurnClosedError: The turn has ended meanwhile.
            TurnTooLongError: The answer would exceed the limit on one message's content, in UTF-8 bytes;
                text that JSON escapes to more than twice its size counts for half of that, to fit a frame.
        """
        while self._held is not None:
            await self._held.wait()
        if self.is_closed:
            await trio.lowlevel.checkpoint()  # an agent that was told to stop is cancelled, not refused
            raise TurnClosedError(f"turn {self.turn_id}: expected a running turn, met one that has ended")
        size = max(len(text.encode()), (len(msgspec.json.encode(text)) - 2) // 2)
        if size > self._room:
            raise TurnTooLongError(
                f"turn {self.turn_id}: expected at most {self._room} more bytes, met {size}"
            )
        if text:
            offset = self._length
            self._room -= size
            self._length += len(text)
            self._pieces.append(text)
            self._tell(offset, text)
        await trio.lowlevel.checkpoint()

    def stop(self, reason: StopReason) -> None:
        """Cancel the agent; the turn then ends with this reason. Idempotent: the first reason stands."""
        if self.stopped_as is None:
            self.stopped_as = reason
            self.scope.cancel(reason=f"turn {self.turn_id}: {reason}")

    def hold(self) -> None:
        """Let whoever says more wait, until `release` or `close`: what was said so far is being stored."""
        self._held = trio.Event()

    def release(self) -> None:
        """Let go on what `hold` made wait."""
        if self._held is not None:
            self._held.set()
            self._held = None

    def close(self) -> None:
        """Let nothing more be said."""
        self.is_closed = True
        self.release()


class Agent(msgspec.Struct, frozen=True):
    """Who answers.

    Attributes:
        name: For people and reports.
        run: Called once a turn; None for a channel where nobody answers.
        on_interrupt: Whether a turn that a crash or drain cut off is run again (``retry``) or, since it may
            have had effects, only reported (``finish``).
    """

    name: str
    run: Callable[[Turn], Awaitable[None]] | None
    on_interrupt: Literal["retry", "finish"] = "finish"


class Outcome(msgspec.Struct, frozen=True):
    """How a turn ended; ``failure`` is for the operator, ``error`` for everyone."""

    stop_reason: StopReason
    error: TurnError | None = None
    failure: tuple[str, str] | None = None


async def run_agent(agent: Agent, turn: Turn, timeout: float) -> Outcome:  # noqa: ASYNC109 - it becomes a stop reason
    """Run an agent to its end, its failure, its time limit (seconds), or the turn's `stop`."""
    turn.was_called = True
    turn.scope.deadline = trio.current_time() + timeout
    outcome = Outcome("end_turn")
    # The guard stands outside the scope: an agent with a nursery of its own may fail while it is cancelled,
    # and only the scope can take the cancellation out of the group that it raises then.
    try:
        with turn.scope:
            if agent.run is not None:
                await agent.run(turn)
    except TurnTooLongError as exc:
        outcome = Outcome("max_tokens", TurnError(exc.name, str(exc)))
    except Exception as exc:  # noqa: BLE001 - an agent is the host's code: its failure ends its turn only
        error = TurnError("agent_failed", f"agent {agent.name}: expected an answer, met {type(exc).__name__}")
        outcome = Outcome("error", error, describe(exc))
    if turn.scope.cancelled_caught:
        outcome = Outcome(turn.stopped_as or "timeout", failure=outcome.failure)
    turn.close()
    return outcome
