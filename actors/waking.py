"""What Trio hands a task that it wakes; an `outcome.Value` made for each waking makes asks a tenth slower."""

from collections.abc import AsyncGenerator, Generator
from typing import Final, TypeVar

from outcome import Outcome, capture

R = TypeVar("R")
V = TypeVar("V")


class Wake(Outcome[V]):
    """An outcome that may be used again and equals itself alone. Trio calls `unwrap`, once per waking."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other  # not by what it holds, as those of the library are

    def __hash__(self) -> int:
        return id(self)

    def send(self, gen: Generator[R, V, object]) -> R:
        """As any outcome."""
        return capture(self.unwrap).send(gen)

    async def asend(self, agen: AsyncGenerator[R, V]) -> R:
        """As any outcome."""
        return await capture(self.unwrap).asend(agen)


class _Nudge(Wake[None]):
    """Wakes a task that is told nothing."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Nothing."""


NUDGE: Final = _Nudge()
