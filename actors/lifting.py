"""Bringing an instance of an actor up, and taking it down, each within bounds."""

from collections.abc import Callable
from typing import Any, cast

import msgspec
import trio

from .actor import Actor
from .actor_reports import ActorStoppedBadly, ActorWouldNotStop
from .cell import Behaviour, Cell, Phase
from .errors import ActorStoppedError
from .holder import Holder
from .ref import ActorRef
from .reports import describe
from .serving import release

CUT_GRACE = 1.0  # seconds that code which was cancelled has to notice it


async def bring_up(cell: Cell, *, shield: bool) -> None:
    """Make an instance, get it ready, and let it take messages; waits only if it has a `started`.

    Raises:
        Exception: What its construction or its `started` raised.
        ActorStoppedError: It was stopped meanwhile.
        TypeError: What was made is no `Actor`.
    """
    cell.starts += 1
    made = cell.make(*cell.args)
    if not isinstance(made, Actor):  # a host without a type checker
        raise TypeError(f"actor {cell.name}: expected an Actor, met {type(made).__name__}")
    behaviour = cast("Actor[Any]", made)
    behaviour.ref = ActorRef(cell)
    if behaviour.has_started:
        with trio.CancelScope(shield=shield) as scope:
            holder = cell.holder = Holder(scope, "started")
            try:
                await behaviour.started()
                if cell.holder is holder:
                    cell.behaviour = behaviour  # from here on it has something to let go of
            finally:
                release(cell, holder)
    if cell.phase in {Phase.ENDING, Phase.ENDED}:
        raise ActorStoppedError(f"actor {cell.name}: expected to start, met its end")
    cell.go_live(behaviour)


async def take_down(
    cell: Cell, report: Callable[[msgspec.Struct], None], *, patience: float, within: float
) -> None:
    """Wait for what runs of an actor, cut it off when its time is up, then let the instance say goodbye.

    Args:
        cell: An actor that takes no more messages.
        report: Told of what would not stop.
        patience: Seconds for the message in hand; a start under way is cut off at once.
        within: Seconds for `stopped`.
    """
    holder = cell.holder
    if holder is not None:
        gone = holder.gone = trio.Event() if holder.gone is None else holder.gone
        with trio.move_on_after(0 if holder.doing == "started" else patience):
            await gone.wait()
        if cell.holder is holder:
            holder.cut(f"actor {cell.name} is stopped")
            with trio.move_on_after(CUT_GRACE):
                await gone.wait()
        if cell.holder is holder:
            report(ActorWouldNotStop(cell.name, holder.doing))
            release(cell, holder)
    behaviour, cell.behaviour = cell.behaviour, None
    if behaviour is not None and behaviour.has_stopped:
        await _say_goodbye(cell, behaviour, report, within)


async def _say_goodbye(
    cell: Cell, behaviour: Behaviour, report: Callable[[msgspec.Struct], None], within: float
) -> None:
    try:
        with trio.fail_after(within) as scope:
            holder = cell.holder = Holder(scope, "stopped")
            try:
                await behaviour.stopped()
            finally:
                release(cell, holder)
    except Exception as exc:  # noqa: BLE001 - its end is its end; the operator is told
        report(ActorStoppedBadly(cell.name, *describe(exc)))
