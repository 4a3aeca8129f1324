"""Handling what is in an actor's mailbox, one message at a time, a batch per turn."""

from collections import deque
from collections.abc import Callable
from typing import Any

from .asking import Ask, Finished
from .cell import Cell
from .errors import ActorStoppedError
from .holder import NOTHING, Batch, Holder

BATCH = range(1, 65)  # messages of one actor before the next actor's turn
LOOK = 7  # a mask: one look at the time after each eight messages


def serve_plain(cell: Cell, queue: deque[object], receive: Callable[[Any], object], holder: Holder) -> None:
    """Handle a batch of a plain actor's messages, until the runner's slice is over."""
    entry: object = None
    try:
        for count in BATCH:
            if not queue:
                break
            entry = queue.popleft()
            if type(entry) is Ask:
                entry.settle(receive(entry.message))
            else:
                receive(entry)
            if not count & LOOK and holder.is_due():
                break
    except Exception as exc:  # noqa: BLE001 - the guard: a crash ends here and is counted
        fell(cell, entry, exc)
    if cell.queue is queue:
        go_on(cell, queue)


def go_on(cell: Cell, queue: deque[object]) -> None:
    """After a batch: to the end of the line with what still waits, or idle; its runner looks there next."""
    if queue:
        cell.line.waiting.append(cell)
    else:
        cell.queue = None


def release(cell: Cell, holder: Holder) -> None:
    """Nobody runs the actor's code any longer; a message still in hand was cut off."""
    if cell.holder is not holder:
        return  # it was left behind, and its place taken
    cell.holder = None
    if holder.in_hand is not NOTHING:
        entry, holder.in_hand = holder.in_hand, NOTHING
        error = ActorStoppedError(f"actor {cell.name}: expected an answer, met the actor's end")
        cell.bury(entry, "cut off", None, error)
    if holder.gone is not None:
        holder.gone.set()
        if not holder.is_cut:
            holder.gone = None  # it serves others after this


def fell(cell: Cell, entry: object, error: Exception) -> None:
    """The handler raised over a message: it is answered, and the actor's life goes another way."""
    if isinstance(error, Finished):
        if type(entry) is Batch:
            entry = entry[0]
        if type(entry) is Ask:
            entry.settle(error.answer)
        cell.house.finished(cell)
    else:
        cell.bury(entry, "poison", error, cell.crash(error))
        cell.house.crashed(cell, error)
