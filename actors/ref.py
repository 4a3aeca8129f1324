"""What others hold of an actor."""

from collections import deque
from typing import Generic, TypeVar

import trio
from trio.lowlevel import current_task, reschedule, wait_task_rescheduled

from .actor_reports import ActorEnded
from .asking import Ask, Finished, Question
from .cell import Cell, Phase
from .errors import ActorQuarantinedError, ActorStoppedError, MailboxFullError
from .notice import Notice
from .reply import ReplySlot
from .serving import fell
from .waking import NUDGE

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")


class ActorRef(Generic[M_contra]):
    """Sends messages of ``M`` to one actor, through all its restarts, and can stop it.

    Two references are equal if they name the same actor.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def tell(self, message: M_contra) -> None:
        """Send a message that nobody waits for; returns at once and runs nothing of the actor.

        Raises:
            MailboxFullError: There is no room; ``retry_after`` says when to come back.
            ActorStoppedError: The actor has ended; the message is a dead letter.
            ActorQuarantinedError: It crashed too often and rests; ``retry_after`` is the time left.
        """
        cell = self._cell
        queue = cell.queue
        if queue is not None:
            depth = len(queue)
            if depth < cell.room:
                queue.append(message)
                if depth >= cell.peak:
                    cell.peak = depth + 1
                return
        _put(cell, message)

    async def ask(self, question: Question[R]) -> R:
        """Send a message and wait for its answer, for as long as the caller's cancel scopes allow.

        An idle actor with a plain ``receive`` is run in the caller's own step: then there is a checkpoint
        only once in a while. A caller that is cancelled leaves; its message is handled all the same.

        Raises:
            ActorCrashedError: The actor raised over this message; the cause is what it raised.
            ActorStoppedError: The actor has ended, or ends before it answers.
            ActorQuarantinedError: It crashed too often and rests; ``retry_after`` is the time left.
            MailboxFullError: There is no room; ``retry_after`` says when to come back.
        """
        cell = self._cell
        if cell.inline is not None and not cell.queue:
            line = cell.line
            if line.asks_left <= 0:  # others may have taken more, beside a checkpoint
                await line.breathe()
            line.asks_left -= 1
            receive = cell.inline
            if receive is not None and not cell.queue:  # still, after the checkpoint
                try:
                    return receive(question)
                except Exception as exc:  # noqa: BLE001 - the guard: a crash is the actor's, and is counted
                    return _fallen(cell, question, exc)
        ask = Ask(question)
        if cell.queue is None and cell.receive is not None:
            # As `Cell.put` does for an idle actor, without its calls: they are a tenth of what an ask costs.
            queue: deque[object] = deque()
            cell.queue = queue
            queue.append(ask)
            if not cell.peak:
                cell.peak = 1
            line = cell.line
            line.waiting.append(cell)
            if not line.is_watched:
                if line.idle:
                    line.is_watched = True
                    reschedule(line.idle.pop(), NUDGE)
                else:
                    line.call()
        else:
            _put(cell, ask)
        return await wait_task_rescheduled(ask.leave)

    def offer(self, message: M_contra) -> bool:
        """Send a message if it is accepted now; whether it was. A refusal is no dead letter."""
        try:
            self._cell.put(message)
        except (MailboxFullError, ActorStoppedError, ActorQuarantinedError):
            return False
        return True

    def post(self, message: M_contra) -> None:
        """Send a message from nobody, as a timer does: never raises; what is refused is a dead letter."""
        try:
            self._cell.put(message)
        except ActorStoppedError as exc:
            self._cell.bury(message, "stopped", None, exc)
        except (MailboxFullError, ActorQuarantinedError) as exc:
            self._cell.bury(message, "refused", None, exc)

    def tell_control(self, message: M_contra) -> None:
        """Send a message that goes before all ordinary mail, and is never refused for want of room.

        For what is rare, or bounded by something else: no mailbox bounds it.

        Raises:
            ActorStoppedError: The actor has ended.
            ActorQuarantinedError: It crashed too often and rests; ``retry_after`` is the time left.
        """
        self._cell.put_control(message)

    def tell_surely(self, message: M_contra) -> None:
        """Send a message in its turn, never refused for want of room; raises as `tell_control` does."""
        self._cell.put_surely(message)

    async def stop(self) -> None:
        """End the actor: what waits becomes dead letters, the message in hand has ``stop_within`` to finish.

        Returns when it has ended, at once if it has already. A caller that is cancelled leaves; the actor
        ends all the same.

        Raises:
            RuntimeError: The actor's own handler calls this and would wait for itself.
        """
        holder = self._cell.holder
        if holder is not None and holder.task is current_task():
            raise RuntimeError(
                f"actor {self.name}: expected its own handler to raise Finished, met a wait for its own end"
            )
        self._cell.house.end(self._cell, "stopped")
        await self.watch()

    def retire_when_empty(self) -> bool:
        """End the actor in this very step, if no message waits or is in hand; whether it does.

        From its own handler it ends after the message in hand. One at rest ends, too. Its name is free at
        once.
        """
        cell = self._cell
        holder = cell.holder
        if cell.phase not in {Phase.LIVE, Phase.RESTING} or cell.queue:
            return False
        if holder is not None and holder.task is not current_task():
            return False
        cell.house.end(cell, "retired")
        return True

    async def watch(self) -> ActorEnded:
        """Wait for the end of the actor, at whatever restart; at once if it has ended."""
        cell = self._cell
        slot = ReplySlot[ActorEnded]()
        if cell.end is not None:
            slot.resolve(cell.end)
        else:
            cell.watchers = cell.watchers or []
            cell.watchers.append(slot)
        try:
            return await slot.wait()
        finally:
            if cell.watchers is not None and slot in cell.watchers:
                cell.watchers.remove(slot)  # the watcher was cancelled

    def tell_end_to(self, watcher: "ActorRef[ActorEnded]") -> None:
        """Tell another actor of this one's end: by an `ActorEnded` that overtakes its mail, never refused."""
        cell = self._cell
        notice = Notice(watcher._cell)  # noqa: SLF001 - its own kind
        if cell.end is not None:
            notice.resolve(cell.end)
        else:
            cell.watchers = cell.watchers or []
            cell.watchers.append(notice)

    @property
    def name(self) -> str:
        """The actor's name, unique among its supervisor's live children."""
        return self._cell.name

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._cell.queue or ())

    @property
    def peak(self) -> int:
        """The most that ever waited."""
        return self._cell.peak

    @property
    def is_busy(self) -> bool:
        """Whether a message waits or is in hand, or the actor is being started or stopped."""
        return self._cell.queue is not None or self._cell.holder is not None

    @property
    def is_troubled(self) -> bool:
        """Whether it rests, or has crashed so lately that it counts: one that followed it would not know."""
        failures = self._cell.failures
        return failures is not None and failures.count_still(trio.current_time())

    @property
    def restarts(self) -> int:
        """How many times it was started again."""
        return max(0, self._cell.starts - 1)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, nor is about to; true while it is started again or rests."""
        return self._cell.phase not in {Phase.ENDING, Phase.ENDED}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and other._cell is self._cell

    def __hash__(self) -> int:
        return hash(id(self._cell))

    def __repr__(self) -> str:
        return f"<ActorRef {self.name}: {self._cell.phase.value}>"


def _put(cell: Cell, entry: object) -> None:
    try:
        cell.put(entry)
    except ActorStoppedError as exc:
        cell.bury(entry.message if type(entry) is Ask else entry, "stopped", None, exc)
        raise


def _fallen(cell: Cell, question: Question[R], error: Exception) -> R:
    """What the asker gets whose own step a handler raised in."""
    fell(cell, question, error)
    if isinstance(error, Finished):
        return error.answer  # type: ignore[return-value]  # as free as any answer of receive
    raise cell.crash(error) from error
