"""Starts the sessions that a former process left with work to do; others wait for their first command."""

import trio

from ..actors.errors import DamagedError, UnavailableError
from ..actors.reads import Reads
from ..actors.router import Router

PAGE = 100  # sessions with unfinished work read at a time
PAUSE = 0.1  # seconds before trying again to start a session for which there was no room


class Recovery:
    """One pass over the stored sessions with unfinished work: its cost does not grow with the others."""

    def __init__(self, reads: Reads, router: Router) -> None:
        self._reads = reads
        self._router = router
        self._done = trio.Event()
        self._started = 0

    async def run(self) -> None:
        """Make the pass, however long the store refuses."""
        key, is_over = 0, False
        while not is_over:
            try:
                rows = await self._reads(self._reads.store.unfinished, key, PAGE)
            except (UnavailableError, DamagedError):
                await trio.sleep(PAUSE)
                continue
            for row in rows:
                key = row.key
                while not self._router.wake(row.id):  # noqa: ASYNC110 - room appears when any session rests
                    await trio.sleep(PAUSE)
                self._started += 1
            is_over = not rows
        self._done.set()

    async def wait(self) -> int:
        """Wait for the end of the pass; how many sessions it started."""
        await self._done.wait()
        return self._started
