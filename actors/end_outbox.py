"""The outbox of ends as the runtime works through it: however often the store refuses, and past damage."""

from collections.abc import Sequence

import trio

from ..persistence.records import Ending
from .errors import DamagedError, UnavailableError
from .reads import Reads
from .reports import EndsDamaged, EndsDelayed, Reporter
from .writer import Writer

RETRY_AFTER = 1.0  # seconds before a store that refused is asked again
_NO_END = 1 << 62  # above the number of every end


class EndOutbox:
    """Reads the ends of the outbox in order, each once, and erases those that were told.

    Attributes:
        met_damage: Some ends could not be read and were left out.
    """

    def __init__(self, reads: Reads, writer: Writer, report: Reporter) -> None:
        self._reads = reads
        self._writer = writer
        self._report = report
        self._number = 0  # of the last end that was read
        self._is_closed = False
        self.met_damage = False

    async def read(self, limit: int) -> Sequence[Ending]:
        """Up to ``limit`` ends after those read before; none if there are none, or once it is closed."""
        page = await self._page(limit)
        if page:
            self._number = page[-1][0]
        return [ending for _, ending in page]

    async def erase(self, end_id: str) -> None:
        """Take an end out of the outbox.

        Raises:
            UnavailableError: The store refused, and the outbox was closed before it changed its mind.
            StoreError: The store refuses for good.
        """
        is_reported = False
        while True:
            try:
                return await self._writer.call(lambda store: store.erase_ending(end_id))
            except UnavailableError as exc:
                if self._is_closed:
                    raise
                if not is_reported:
                    self._report(EndsDelayed(str(exc)))
                is_reported = True
            await trio.sleep(RETRY_AFTER)

    def close(self) -> None:
        """Ask a store that refuses no more."""
        self._is_closed = True

    async def _page(self, limit: int) -> Sequence[tuple[int, Ending]]:
        is_reported = False
        while not self._is_closed:
            try:
                return await self._read_past_damage(limit)
            except UnavailableError as exc:
                if not is_reported:
                    self._report(EndsDelayed(str(exc)))
                is_reported = True
            await trio.sleep(RETRY_AFTER)
        return ()

    async def _read_past_damage(self, limit: int) -> Sequence[tuple[int, Ending]]:
        while True:
            for size in (limit, 1):  # one by one up to the damage, if there is any
                try:
                    return await self._reads(self._reads.store.endings, self._number, size)
                except DamagedError:
                    self.met_damage = True
            if self._number >= _NO_END:
                return ()
            await self._step_over()

    async def _step_over(self) -> None:
        """Go on behind the damaged end that comes next.

        Its number is not known, and may be far away; so it is searched for in steps that double, then halve.
        Sound ends that lie between damaged ones may be left out with them.
        """
        low, step = self._number, 1
        while low + step < _NO_END and await self._is_damaged_behind(low + step):
            low, step = low + step, step * 2
        high = min(low + step, _NO_END)
        while high < _NO_END and high - low > 1:
            middle = (low + high) // 2
            if await self._is_damaged_behind(middle):
                low = middle
            else:
                high = middle
        self._report(EndsDamaged(self._number, high))
        self._number = high

    async def _is_damaged_behind(self, number: int) -> bool:
        try:
            await self._reads(self._reads.store.endings, number, 1)
        except DamagedError:
            return True
        return False
