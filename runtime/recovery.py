"""Starts the sessions that a former process left with work to do; others wait for their first command."""

from collections.abc import Sequence

import trio

from ..actors.clocks import EVER
from ..actors.errors import DamagedError, UnavailableError
from ..actors.reads import Reads
from ..actors.router import Router
from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts, SessionState

PAGE = 100  # sessions with unfinished work read at a time
AGAIN = 1.0  # seconds from a refusal of the store to the next pass
PAUSE = 0.1  # seconds before trying again to start a session for which there was no room


class Recovery:
    """Passes over the stored sessions with unfinished work: their cost does not grow with the others.

    There is one at the start, and one more whenever the store has refused to let a session start: whoever was
    promised an answer gets it without asking again.
    """

    def __init__(self, reads: Reads, router: Router) -> None:
        self._reads = reads
        self._router = router
        self._done = trio.Event()
        self._wanted = trio.Event()
        self._started = 0

    def again(self) -> None:
        """Have another pass made soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Make passes until cancelled, however long the store refuses.

        If it was cut off or has crashed, it may be called again: a session that could not begin then begins
        now, and to one that lives nothing happens.
        """
        while True:
            await self._pass()
            await self._wanted.wait()
            await trio.sleep(AGAIN)
            self._wanted = trio.Event()

    async def _pass(self) -> None:
        key, started, is_over = 0, 0, False
        while not is_over:
            try:
                rows = await self._reads(self._reads.store.unfinished, key, PAGE)
            except (UnavailableError, DamagedError):
                await trio.sleep(PAUSE)
                continue
            for row in rows:
                key = row.key
                await self._wake(row.id)
                started += 1
            is_over = not rows
        await self._wake_compacting()
        if not self._done.is_set():
            self._started = started
            self._done.set()

    async def _wake_compacting(self) -> None:
        """Start those whose compaction a former process began: as they start they are active again."""
        woken: set[SessionID] = set()
        while rows := await self._compacting(len(woken)):
            fresh = [row.id for row in rows if row.id not in woken]
            if not fresh:
                return
            for session in fresh:
                woken.add(session)
                await self._wake(session)

    async def _compacting(self, before: int) -> Sequence[SessionFacts]:
        try:
            return await self._reads(self._reads.store.due, SessionState.COMPACTING, EVER, before + PAGE)
        except (UnavailableError, DamagedError):
            return ()  # the first command starts it, as it would any other

    async def _wake(self, session: SessionID) -> None:
        while not self._router.wake(session):  # noqa: ASYNC110 - room appears when any session rests
            await trio.sleep(PAUSE)

    async def wait(self) -> int:
        """Wait for the end of the first pass; how many sessions it started."""
        await self._done.wait()
        return self._started
