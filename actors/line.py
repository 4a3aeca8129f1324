"""The line of actors that have mail and wait for a runner."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

C = TypeVar("C")

ASKS = 32  # answered in their askers' own steps between two checkpoints


class Line(Generic[C]):
    """Whoever gets mail while idle stands at its end; a runner takes from its head.

    Attributes:
        call: Has a runner come.
        idle: Runners with nothing to do.
        waiting: Those with mail.
        is_watched: Whether a runner looks at the line, or is on its way to it.
        asks_left: How many asks may still be answered in their askers' steps before one yields.
    """

    __slots__ = ("asks_left", "call", "idle", "is_watched", "waiting")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.idle: list[trio.lowlevel.Task] = []
        self.waiting: deque[C] = deque()
        self.is_watched = False
        self.asks_left = ASKS

    def join(self, cell: C) -> None:
        """Stand at the end; a runner is called unless one comes anyway."""
        self.waiting.append(cell)
        if not self.is_watched:
            self.call()

    async def breathe(self) -> None:
        """Let others run: the asker has had its share. A checkpoint."""
        self.asks_left = ASKS
        await trio.lowlevel.checkpoint()
