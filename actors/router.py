"""Brings a command to the session it is for, starting the session if need be. Never waits."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from ..persistence.ids import SessionID
from .activation import RETRY_AFTER, Activation, quarantined
from .commands import Barrier, Cancel, Command
from .errors import BusyError, GreenroomError, QuarantinedError, ShuttingDownError
from .registry import Place, Registry
from .reply import Reply, ReplySlot

T = TypeVar("T")


class Router:
    """Delivers in order: what is delivered first to a session is taken first, also while it starts."""

    def __init__(self, activation: Activation, registry: Registry) -> None:
        self._activation = activation
        self._registry = registry
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether new commands are refused."""
        return self._is_draining

    def is_live(self, session: SessionID) -> bool:
        """Whether the session has an actor, or will have one in a moment."""
        return session in self._registry

    def deliver(self, session: SessionID, command: Command) -> None:
        """Put a command into the session's mailbox.

        Raises:
            ShuttingDownError: The runtime drains.
            BusyError: The mailbox, or the registry of live sessions, is full.
            QuarantinedError: The session crashed too often and rests.
        """
        place = self._place(session)
        try:
            place.ref.tell(command)
        except QuarantinedError as exc:
            raise quarantined(session, exc) from None

    def cancel(self, session: SessionID, turn_id: str | None, reply: Reply[tuple[str, ...]]) -> None:
        """Cut a session's turn off: at once, if it is running, and in order with what was delivered before.

        Raises:
            ShuttingDownError: The runtime drains.
            BusyError: The registry of live sessions is full.
            QuarantinedError: The session crashed too often and rests.
        """
        place = self._place(session)
        if place.actor is not None:
            place.actor.stop_turn(turn_id)
        try:
            place.ref.tell_surely(Cancel(reply, turn_id))
        except QuarantinedError as exc:
            raise quarantined(session, exc) from None

    def _place(self, session: SessionID) -> Place:
        if self._is_draining:
            raise ShuttingDownError(
                "runtime: expected it to take work, met a shutdown", retry_after=RETRY_AFTER
            )
        return self._activation.place_for(session)

    def wake(self, session: SessionID) -> bool:
        """Start a session that has work left; False if there is no room for it now."""
        if not self._is_draining:
            try:
                self._activation.place_for(session)
            except BusyError:
                return False
        return True

    async def ask(self, session: SessionID, command: Callable[[Reply[T]], Command]) -> T:
        """Deliver a command and wait for its answer.

        Args:
            session: For whom it is.
            command: Builds the command around the reply it is given.

        Raises:
            GreenroomError: Whatever `deliver` or the session refuses it with.
        """
        slot: ReplySlot[T] = ReplySlot()
        self.deliver(session, command(slot))
        return await slot.wait()

    async def drain(self) -> None:
        """Refuse new commands and wait until those delivered before have taken effect."""
        self._is_draining = True
        for place in self._registry:
            while place.ref.is_busy:
                await trio.lowlevel.checkpoint()
                slot: ReplySlot[None] = ReplySlot()
                with suppress(GreenroomError):  # an actor that ends meanwhile has nothing left to do
                    place.ref.tell_control(Barrier(slot))
                    await slot.wait()
