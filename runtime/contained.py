"""A nursery's stand-in for a library that starts one task in it and must not take it down."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import trio


class ContainedTask:
    """Runs a library's reader task, keeps what it raises, and closes its stream when it ends.

    Attributes:
        failure: What the task raised, if it did.
        on_end: Called when the task has ended and the stream is closed.
    """

    def __init__(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        self.failure: Exception | None = None
        self.on_end: Callable[[], None] = lambda: None
        self._nursery = nursery
        self._stream = stream

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """Start the task."""
        self._nursery.start_soon(self._guard, task)

    def as_nursery(self) -> trio.Nursery:
        """Look like a nursery: the library calls ``start_soon`` and nothing else."""
        return cast("trio.Nursery", self)

    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:  # noqa: BLE001 - what a peer provokes in there ends its connection only
            self.failure = error
        finally:
            with suppress(trio.BrokenResourceError):
                await self._stream.aclose()  # cancelled, it closes at once
            self.on_end()
