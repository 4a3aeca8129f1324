"""One actor from within: its mailbox, its instance, and where it stands between start and end."""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Protocol

import trio

from .actor_reports import ActorEnded, Why
from .asking import Ask, control, is_control, message_of
from .dead_letters import DeadLetter, DeadLetters, Fate
from .errors import (
    ActorCrashedError,
    ActorQuarantinedError,
    ActorStoppedError,
    GreenroomError,
    MailboxFullError,
)
from .holder import NOTHING, Batch, Holder
from .line import Line
from .reply import Reply
from .restarts import Restarts

RETRY_AFTER = 0.1  # seconds; about the time an actor needs for a full mailbox

Restart = Literal["permanent", "transient", "temporary"]


class Phase(Enum):
    """Where an actor stands; only the first three accept mail."""

    STARTING = "starting"
    LIVE = "live"
    DOWN = "down"  # between two instances
    RESTING = "resting"  # in quarantine: refuses
    ENDING = "ending"
    ENDED = "ended"


class Behaviour(Protocol):
    """An instance of a host's actor."""

    is_plain: bool
    has_started: bool
    has_stopped: bool
    receive: Any

    async def started(self) -> None:
        """Get ready."""
        ...

    async def stopped(self) -> None:
        """Let go."""
        ...


class House(Protocol):
    """What an actor needs of its supervisor; all of it returns at once."""

    @property
    def dead_letters(self) -> DeadLetters:
        """Where unhandled messages go."""
        ...

    def crashed(self, cell: "Cell", error: Exception, /) -> None:
        """Its code raised."""
        ...

    def finished(self, cell: "Cell", /) -> None:
        """It ends by itself."""
        ...

    def end(self, cell: "Cell", why: Why, /) -> None:
        """It is to end."""
        ...


class Cell:
    """Everything about one actor that outlives its instances.

    The mailbox is there only while mail waits or somebody serves it: ``queue`` is None for an idle actor, and
    to swap it is to take it away from whoever serves it. ``receive`` is None unless the actor is live;
    ``inline`` is the same, but None also for an actor that may wait.
    """

    __slots__ = (
        "args",
        "behaviour",
        "beyond_repair",
        "end",
        "failures",
        "holder",
        "house",
        "inline",
        "is_plain",
        "line",
        "make",
        "name",
        "order",
        "peak",
        "phase",
        "queue",
        "receive",
        "restart",
        "room",
        "starts",
        "stop_within",
        "watchers",
    )

    def __init__(  # noqa: PLR0913 - a child's specification
        self,
        house: House,
        line: "Line[Cell]",
        *,
        name: str,
        order: int,
        make: Callable[..., Behaviour],
        args: tuple[object, ...],
        restart: Restart,
        mailbox: int,
        stop_within: float,
        beyond_repair: tuple[type[Exception], ...] = (),
    ) -> None:
        self.house = house
        self.line = line
        self.name = name
        self.order = order
        self.make = make
        self.args = args
        self.restart: Restart = restart
        self.room = mailbox
        self.stop_within = stop_within
        self.beyond_repair = beyond_repair
        self.phase = Phase.STARTING
        self.queue: deque[object] | None = deque()
        self.receive: Callable[[Any], Any] | None = None
        self.inline: Callable[[Any], Any] | None = None
        self.is_plain = True
        self.behaviour: Behaviour | None = None
        self.holder: Holder | None = None
        self.failures: Restarts | None = None
        self.watchers: list[Reply[ActorEnded]] | None = None
        self.end: ActorEnded | None = None
        self.peak = 0
        self.starts = 0

    def put(self, entry: object) -> None:
        """Accept a message, or an `Ask`.

        Raises:
            MailboxFullError: There is no room.
            ActorStoppedError: The actor has ended.
            ActorQuarantinedError: It rests.
        """
        queue = self.queue
        if queue is not None:
            depth = len(queue)
            if depth < self.room:
                queue.append(entry)
                if depth >= self.peak:
                    self.peak = depth + 1
                return
        self.put_first(entry)

    def put_first(self, entry: object) -> None:
        """Accept a message for an idle actor, or refuse it; raises as `put` does."""
        if self.queue is not None or self.phase is not Phase.LIVE:
            raise self.refusal()
        self.queue = deque((entry,))
        self.peak = self.peak or 1
        self.line.join(self)

    def put_control(self, message: object) -> None:
        """Accept a message before all ordinary mail, whatever room there is; raises as `put_surely` does."""
        queue = self.queue
        if queue is None:
            self.put_first(control(message))
            return
        place = 0
        while place < len(queue) and is_control(queue[place]):
            place += 1
        queue.insert(place, control(message))
        self.peak = max(self.peak, len(queue))

    def put_surely(self, message: object) -> None:
        """Accept a message behind all others, whatever room there is.

        Raises:
            ActorStoppedError: The actor has ended.
            ActorQuarantinedError: It rests.
        """
        if self.queue is None:
            self.put_first(message)
        else:
            self.queue.append(message)
            self.peak = max(self.peak, len(self.queue))

    def take_waiting(self, limit: int) -> list[object]:
        """Hand over up to ``limit`` of the messages that wait, up to a question; they are in hand, too.

        Nothing if the actor is not live: what waits then is for its next instance.
        """
        holder, taken = self.holder, list[object]()
        if holder is None or holder.in_hand is NOTHING or holder.task is not trio.lowlevel.current_task():
            raise RuntimeError(f"actor {self.name}: expected its async receive to take more, met another")
        queue = self.queue if self.receive is not None else None
        while queue and len(taken) < limit and not (type(queue[0]) is Ask and queue[0].task is not None):
            taken.append(message_of(queue.popleft()))
        if taken:
            first = holder.in_hand
            batch = holder.in_hand = first if type(first) is Batch else Batch((first,))
            batch.extend(taken)
        return taken

    def refusal(self) -> GreenroomError:
        """Why a message is not accepted now."""
        if self.phase is Phase.RESTING and self.failures is not None:
            return ActorQuarantinedError(
                f"actor {self.name}: expected a sound actor, met too many crashes",
                retry_after=self.failures.remaining(trio.current_time()),
            )
        if self.phase in {Phase.ENDING, Phase.ENDED}:
            return ActorStoppedError(f"actor {self.name}: expected a live actor, met one that has ended")
        return MailboxFullError(
            f"actor {self.name}: expected at most {self.room} waiting messages, met one more",
            retry_after=RETRY_AFTER,
        )

    def crash(self, error: Exception) -> ActorCrashedError:
        """What an asker is told of a crash."""
        crash = ActorCrashedError(f"actor {self.name}: expected an answer, met {type(error).__name__}")
        crash.__cause__ = error
        return crash

    def bury(self, entry: object, fate: Fate, error: Exception | None, answer: Exception) -> None:
        """Make a dead letter of what was in the mailbox or in hand, and answer whoever asked."""
        if type(entry) is Batch:
            for one in entry:
                self.bury(one, fate, error, answer)
            return
        if type(entry) is Ask:
            entry.settle(None, answer)
        self.house.dead_letters.add(
            DeadLetter(
                self.house.dead_letters,
                self.put,
                actor=self.name,
                message=message_of(entry),
                fate=fate,
                error=error,
                answer=answer,
                at=trio.current_time(),
            )
        )

    def go_live(self, behaviour: Behaviour) -> None:
        """Take messages, first those that wait."""
        self.behaviour = behaviour
        self.is_plain = behaviour.is_plain
        self.receive = behaviour.receive
        self.inline = self.receive if behaviour.is_plain else None
        self.phase = Phase.LIVE
        if self.queue:
            self.line.join(self)
        else:
            self.queue = None

    def go_down(self) -> None:
        """Take no more messages for now; mail waits."""
        self._take_away(Phase.DOWN)

    def rise(self) -> None:
        """Accept mail again after a quarantine; nobody takes it yet."""
        self.phase = Phase.DOWN
        self.queue = deque()

    def close(self, phase: Phase, answer: Exception | None = None) -> None:
        """Take and accept no more messages; what waits is dead letters, and each ask is answered.

        Args:
            phase: Where it stands from now on.
            answer: For those who wait; why a message would not be accepted, if not given.
        """
        waiting = self._take_away(phase)
        self.queue = None
        fate: Fate = "quarantined" if phase is Phase.RESTING else "stopped"
        for entry in waiting:
            self.bury(entry, fate, None, answer or self.refusal())

    def _take_away(self, phase: Phase) -> deque[object]:
        """Swap the mailbox, so that whoever serves it finds it empty after the message in hand."""
        self.receive = self.inline = None
        self.phase = phase
        served = self.queue
        self.queue = waiting = deque(served or ())
        if served is not None:
            served.clear()
        return waiting
