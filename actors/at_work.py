"""What a thread with an event loop is at, seen from another thread: whose code, and where.

Only names and places are read from its frames, never a message or another value of its variables.
"""

from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Final, NamedTuple

from trio.lowlevel import Task

from .cell import Cell
from .lifting import _say_goodbye, bring_up  # pyright: ignore[reportPrivateUsage]  # recognised by its code
from .ref import ActorRef
from .runners import Runners
from .serving import serve_plain
from .turn_host import TurnHost

CALLERS: Final = 8  # places beside the innermost: enough to come from a library to the code that called it

_take_turns = Runners._take_turns  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its code
_run_turn = TurnHost._run  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # recognised by its code

# Whoever runs an actor's code, and has its cell in a variable of that name.
_RUNS_AN_ACTOR: Final[frozenset[CodeType]] = frozenset(
    {
        _take_turns.__code__,
        serve_plain.__code__,
        ActorRef[object].ask.__code__,
        bring_up.__code__,
        _say_goodbye.__code__,
    }
)
_RUNS_A_TURN: Final = _run_turn.__code__


class AtWork(NamedTuple):
    """What a thread is at.

    Attributes:
        who: An actor, a turn or a task, by name.
        where: File and line of the innermost Python code.
        callers: Those that it was called from, the innermost first.
    """

    who: str
    where: str
    callers: tuple[str, ...]


def is_idle(frame: FrameType) -> bool:
    """Whether a thread at this frame, its innermost, is a Trio loop that waits for something to do."""
    module = str(frame.f_globals.get("__name__"))
    return frame.f_code.co_name == "get_events" and module.startswith("trio._core._io_")


def at_work(frame: FrameType) -> AtWork:
    """What a thread is at whose innermost frame this is.

    The thread may go on meanwhile; then the answer is out of date, or less exact.
    """
    frames, task = _step(frame)
    places = [f"{each.f_code.co_filename}:{each.f_lineno}" for each in frames or [frame]]
    return AtWork(_who(frames, task), places[0], tuple(places[1 : 1 + CALLERS]))


def _step(frame: FrameType) -> tuple[list[FrameType], Task | None]:
    """The frames of a task's step, the innermost first, and the task."""
    frames: list[FrameType] = []
    at: FrameType | None = frame
    while at is not None:
        if at.f_code.co_name == "unrolled_run" and at.f_globals.get("__name__") == "trio._core._run":
            task = at.f_locals.get("task")
            # Between two steps the loop still names the task of the former.
            is_current = isinstance(task, Task) and frames and _code(task) is frames[-1].f_code
            return frames, task if is_current else None
        frames.append(at)
        at = at.f_back
    return frames, None


def _who(frames: list[FrameType], task: Task | None) -> str:
    actor = _actor(frames)
    if actor is not None:
        return actor
    return "the event loop" if task is None else _with_owner(task)


def _actor(frames: list[FrameType]) -> str | None:
    """The actor whose code runs, if any; the innermost, since actors run others that they ask."""
    for frame in frames:
        if frame.f_code in _RUNS_AN_ACTOR:
            # To ask a frame for its variables keeps their present values alive until it is asked again or
            # ends: here at most one message and one task, and only of a loop that was still.
            cell = frame.f_locals.get("cell")
            if isinstance(cell, Cell):
                return f"actor {cell.name}"
    return None


def _with_owner(task: Task) -> str:
    """A task's name, and the turn or the actor in whose nursery it runs, if it does."""
    if _code(task) is _RUNS_A_TURN:
        return task.name
    above = task.parent_nursery
    while above is not None:
        parent = above.parent_task
        owner = parent.name if _code(parent) is _RUNS_A_TURN else _actor(list(_awaited(parent)))
        if owner is not None:
            return f"{task.name} of {owner}"
        above = parent.parent_nursery
    return task.name


def _code(task: Task) -> object:
    return getattr(task.coro, "cr_code", None)


def _awaited(task: Task) -> Iterator[FrameType]:
    """The frames of a task that waits, the outermost first, as far as they are coroutines'."""
    coroutine: object = task.coro
    # A coroutine that has ended meanwhile has no frame.
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield frame
        coroutine = getattr(coroutine, "cr_await", None)
