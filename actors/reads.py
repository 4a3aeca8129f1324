"""Reads of the store that do not hold up the event loop."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from ..persistence.errors import StoreError, StoreFormatError
from ..persistence.store import SessionStore
from .errors import DamagedError, UnavailableError

T = TypeVar("T")
Args = TypeVarTuple("Args")

THREADS = 4  # as many reads at a time; a limiter of its own, since the default one is shared by everything
RETRY_AFTER = 1.0  # seconds


class Reads:
    """Makes a store's reading calls on threads of their own, or at once for a store that never blocks."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self._limiter = trio.CapacityLimiter(THREADS)

    async def __call__(self, read: Callable[[*Args], T], *args: *Args) -> T:
        """Make one call.

        Raises:
            UnavailableError: The store could not answer, or there was no thread to ask it on.
            DamagedError: What it holds is damaged.
        """
        try:
            if not self.store.blocking:
                await trio.lowlevel.checkpoint()
                return read(*args)
            return await self._on_a_thread(read, *args)
        except StoreFormatError as exc:
            raise DamagedError("store: expected sound rows, met damage") from exc
        except StoreError as exc:
            raise UnavailableError(
                f"store: expected an answer, met {exc.name}", retry_after=RETRY_AFTER
            ) from exc

    async def _on_a_thread(self, read: Callable[[*Args], T], *args: *Args) -> T:
        began = False

        def begin() -> T:
            nonlocal began
            began = True
            return read(*args)

        try:
            return await trio.to_thread.run_sync(begin, limiter=self._limiter)
        except RuntimeError as exc:
            if began:
                raise
            raise UnavailableError(
                "store: expected a thread to read on, met none to be had", retry_after=RETRY_AFTER
            ) from exc
