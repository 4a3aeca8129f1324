"""A few tasks that serve all actors: an actor with nothing to do has no task of its own."""

from collections.abc import Callable

import trio
from trio.lowlevel import Abort, cancel_shielded_checkpoint, reschedule, wait_task_rescheduled

from .asking import Ask
from .cell import Cell
from .holder import NOTHING, Holder
from .line import Line
from .serving import BATCH, LOOK, fell, release, serve_plain
from .waking import NUDGE

SPARE = 64  # idle tasks kept for the next burst; each is about 2.5 KB


class Runners:
    """Takes actors from the line, a batch of messages of each in turn.

    A runner whose actor waits in its handler stays with it until the handler returns. Before it begins, it
    calls the next runner if more actors are in the line: nobody waits for a handler but its own actor.
    """

    __slots__ = ("_lost", "_nursery", "_scopes", "line")

    def __init__(self, nursery: trio.Nursery, lost: Callable[[Exception], None]) -> None:
        self.line = Line[Cell](self._call)
        self._nursery = nursery
        self._lost = lost
        self._scopes: set[trio.CancelScope] = set()

    def close(self) -> None:
        """End all runners, at the latest when their handlers do."""
        self.line.idle.clear()
        for scope in self._scopes:
            scope.cancel(reason="the supervisor is closed")

    def _call(self) -> None:
        self.line.is_watched = True
        if self.line.idle:
            reschedule(self.line.idle.pop(), NUDGE)
        else:
            scope = trio.CancelScope(shield=True)
            self._scopes.add(scope)  # here, for closing may come before the task's first step
            self._nursery.start_soon(self._run, scope, name="actor runner")

    async def _run(self, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._take_turns(Holder(scope))
        except Exception as exc:  # noqa: BLE001 - what a handler that was cut off raised beside Cancelled
            self._lost(exc)
        finally:
            self._scopes.discard(scope)

    async def _take_turns(self, holder: Holder) -> None:  # noqa: C901, PLR0912, PLR0915 - calls cost
        line, waiting, idle = self.line, self.line.waiting, self.line.idle
        answer: object = None
        while True:
            line.is_watched = False  # this one has come
            holder.until = 0.0
            while waiting:
                cell = waiting.popleft()
                queue, receive = cell.queue, cell.receive
                if queue is None or receive is None or cell.holder is not None:
                    continue  # it is down, or whoever serves it already goes on with what waits
                if cell.is_plain:
                    is_watched, line.is_watched = line.is_watched, True  # no need to call for whom it tells
                    serve_plain(cell, queue, receive, holder)
                    line.is_watched = is_watched
                else:
                    if waiting and not line.is_watched:
                        self._call()
                    cell.holder = holder
                    try:
                        for count in BATCH:
                            if not queue:
                                break
                            # No checkpoint between these two: what has left the mailbox is in hand.
                            holder.in_hand = entry = queue.popleft()
                            if type(entry) is Ask:
                                answer = await receive(entry.message)
                                if entry.task is not None:  # `settle`, in one call less
                                    entry.answer = answer
                                    reschedule(entry.task, entry)
                                    entry.task = None
                            else:
                                await receive(entry)
                            if not count & LOOK and holder.is_due():
                                break
                        holder.in_hand = NOTHING
                    except Exception as exc:  # noqa: BLE001 - the guard: a crash ends here and is counted
                        entry, holder.in_hand = holder.in_hand, NOTHING
                        if cell.holder is holder:
                            fell(cell, entry, exc)
                    finally:
                        if holder.gone is None and holder.in_hand is NOTHING:
                            cell.holder = None
                        else:
                            release(cell, holder)
                    if cell.queue is queue:  # `go_on`, in one call less
                        if queue:
                            waiting.append(cell)
                        else:
                            cell.queue = None
                    if holder.is_cut:
                        return  # the cut was for this actor: no other may feel it
                if waiting and holder.is_due():
                    line.is_watched = True  # this one comes back
                    await cancel_shielded_checkpoint()
                    line.is_watched = False
                    holder.until = 0.0
            if len(idle) >= SPARE:
                return
            cell = queue = receive = entry = answer = None  # whoever was served last may be freed meanwhile
            idle.append(holder.task)
            await wait_task_rescheduled(_leave)


def _leave(_: object) -> Abort:
    return Abort.SUCCEEDED
