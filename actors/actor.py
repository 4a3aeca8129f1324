"""What a host writes: the behaviour of an actor."""

from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar, cast

from .ref import ActorRef

M = TypeVar("M")


class Actor(Generic[M]):
    """State that only its own `receive` touches, one message of ``M`` at a time.

    Each start makes a new instance. `receive` is a plain ``def``, which never waits and may be run in the
    step of whoever asks, or an ``async def``.

    Attributes:
        ref: What others hold of this actor; there from `started` on, not yet in ``__init__``.
    """

    __slots__ = ("ref",)

    is_plain: bool = True
    has_started: bool = False
    has_stopped: bool = False

    ref: ActorRef[M]

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - whatever other bases take
        super().__init_subclass__(**options)
        cls.is_plain = not iscoroutinefunction(cls.receive)
        cls.has_started = cls.started is not Actor[Any].started
        cls.has_stopped = cls.stopped is not Actor[Any].stopped

    async def started(self) -> None:
        """Get ready; no message is handled before this has returned."""

    def receive(self, message: M, /) -> object:
        """Handle one message; what it returns is the answer, if the message was asked.

        Raises:
            Finished: The actor ends normally, after this message.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method receive, met none")

    def take_waiting(self, limit: int) -> list[M]:
        """Take up to ``limit`` more messages out of the mailbox, for an async `receive`.

        They are in hand from now on, as the one that it was called with: a crash makes dead letters of all.
        Questions are not taken, nor what is behind one: each is answered by a `receive` of its own.

        Raises:
            RuntimeError: It is not called from a running async `receive` of this actor.
        """
        return cast("list[M]", self.ref._cell.take_waiting(limit))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its own

    async def stopped(self) -> None:
        """Let go of what `started` took; called once for each `started` that returned, after a crash too."""
