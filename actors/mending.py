"""What follows from a crash: who is started again, when, and when that is given up."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, Protocol

import msgspec
import trio

from .actor_reports import ActorQuarantined, Why
from .cell import Cell, Phase
from .errors import ActorStoppedError
from .lifting import bring_up, take_down
from .restarts import Restarts
from .timers import Timers

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]


class Household(Protocol):
    """What mending needs of the supervisor."""

    timers: Timers

    def report(self, record: msgspec.Struct, /) -> None:
        """Tell the operator."""
        ...

    def in_order(self) -> Iterable[Cell]:
        """The children, as they were started."""
        ...

    def start_soon(self, work: Callable[[], Awaitable[None]], /) -> None:
        """Run something beside everything else, until the supervisor closes."""
        ...

    def end(self, cell: Cell, why: Why, error: Exception | None = None, /) -> None:
        """End a child for good."""
        ...

    def failed_to_start(self, cell: Cell, error: Exception, /) -> None:
        """A child could not be started again."""
        ...

    def fail(self, cell: Cell, error: Exception | None, /) -> None:
        """Give up: whoever opened the supervisor decides."""
        ...


class Mender:
    """Starts actors again, with the mailbox they had."""

    def __init__(
        self, house: Household, *, strategy: Strategy, intensity: int, period: float, quarantine: bool
    ) -> None:
        self._house = house
        self._strategy = strategy
        self._intensity = intensity
        self._period = period
        self._has_quarantine = quarantine
        self._together = self._new_restarts()
        self._broken: set[Cell] = set()
        self._delay = 0.0
        self._is_mending = False

    def mend(self, cell: Cell, error: Exception | None) -> None:
        """Count a failure of an actor that is down, and have it started again, laid to rest, or given up."""
        at = trio.current_time()
        restarts = self._together
        if self._has_quarantine:
            restarts = cell.failures = cell.failures or self._new_restarts()
        delay = restarts.failed(at)
        if delay is not None:
            self._start_again(cell, delay)
        elif self._has_quarantine:
            self._lay_to_rest(cell, restarts.remaining(at))
        else:
            self._house.fail(cell, error)

    def start(self, cell: Cell) -> None:
        """Have an actor that was never up started."""
        self._house.start_soon(lambda: self._bring_up(cell, Phase.STARTING))

    def _new_restarts(self) -> Restarts:
        return Restarts(intensity=self._intensity, period=self._period)

    def _start_again(self, cell: Cell, delay: float) -> None:
        if self._strategy == "one_for_one":
            self._house.start_soon(lambda: self._mend_one(cell, delay))
            return
        self._broken.add(cell)
        self._delay = delay
        if not self._is_mending:
            self._is_mending = True
            self._house.start_soon(self._mend_together)

    def _lay_to_rest(self, cell: Cell, seconds: float) -> None:
        self._house.report(ActorQuarantined(cell.name, seconds))
        cell.close(Phase.RESTING)
        if cell.behaviour is not None:
            self._house.start_soon(lambda: self._take_down(cell))
        self._house.timers.call(seconds, lambda _: self._rise(cell))

    def _rise(self, cell: Cell) -> None:
        if cell.phase is Phase.RESTING:
            cell.rise()
            self._house.start_soon(lambda: self._bring_up(cell))

    async def _mend_one(self, cell: Cell, delay: float) -> None:
        await self._take_down(cell)
        await trio.sleep(delay)
        await self._bring_up(cell)

    async def _mend_together(self) -> None:
        """Take down and bring up whom the strategy names; a failure meanwhile begins it again."""
        try:
            while group := self._group():
                for cell in reversed(group):
                    await self._put_down(cell)
                await trio.sleep(self._delay)
                if self._group()[:1] == group[:1]:  # no earlier one broke meanwhile
                    await self._bring_up_in_order(group)
        finally:
            self._is_mending = False

    def _group(self) -> list[Cell]:
        self._broken = {cell for cell in self._broken if cell.phase is Phase.DOWN}
        if not self._broken:
            return []
        first = min(cell.order for cell in self._broken)
        everyone = self._strategy == "one_for_all"
        return [cell for cell in self._house.in_order() if everyone or cell.order >= first]

    async def _put_down(self, cell: Cell) -> None:
        if cell.phase is Phase.LIVE:
            if cell.restart == "temporary":
                self._house.end(cell, "stopped")
                return
            cell.go_down()
        if cell.phase is Phase.DOWN:
            self._broken.add(cell)
            await self._take_down(cell)

    async def _bring_up_in_order(self, group: list[Cell]) -> None:
        for cell in group:
            if cell.phase is Phase.DOWN and cell.behaviour is not None:
                return  # it came up and crashed since: it is taken down first
            self._broken.discard(cell)
            await self._bring_up(cell)
            if any(other.order <= cell.order for other in self._broken):
                return

    async def _take_down(self, cell: Cell) -> None:
        await take_down(cell, self._house.report, patience=cell.stop_within, within=cell.stop_within)

    async def _bring_up(self, cell: Cell, phase: Phase = Phase.DOWN) -> None:
        if cell.phase is not phase:
            return  # it ended meanwhile
        try:
            await bring_up(cell, shield=True)
        except Exception as exc:  # noqa: BLE001 - the guard: a failed start is one more crash
            if cell.phase is phase or not isinstance(exc, ActorStoppedError):
                self._house.failed_to_start(cell, exc)  # else the same, while it started
