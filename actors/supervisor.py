"""Keeps session actors alive: starts, guards, starts again from the store, or lets rest."""

from collections.abc import Iterable

import trio

from ..persistence.ids import SessionID
from .commands import Command
from .errors import DamagedError, QuarantinedError, UnavailableError
from .registry import Place, Registry
from .reports import SessionCrashed, SessionDamaged, SessionQuarantined, describe
from .session import Session
from .surroundings import Surroundings


class Supervisor:
    """One task per live session, each with its own guard: a crash reaches no other session."""

    def __init__(self, nursery: trio.Nursery, registry: Registry, around: Surroundings) -> None:
        self._nursery = nursery
        self._registry = registry
        self._around = around

    def place_for(self, session: SessionID) -> Place:
        """The session's place, its actor started if need be.

        Raises:
            QuarantinedError: It crashed too often and rests.
            BusyError: There is no room for another live session.
        """
        place = self._registry.get(session)
        if place is None:
            place = self._registry.open(session)
            self._nursery.start_soon(self._keep_alive, place, name=f"session {place.id}")
        elif place.is_resting:
            raise _quarantined(place.id, place.restarts.remaining(trio.current_time()))
        return place

    async def _keep_alive(self, place: Place) -> None:
        while True:
            try:
                await self._live(place)
            except UnavailableError as exc:
                _refuse(self._registry.remove(place), exc)
                return
            except DamagedError as exc:
                self._around.report(SessionDamaged(place.id))
                _refuse(self._registry.remove(place), exc)
                return
            except Exception as exc:  # noqa: BLE001 - the guard: a crash ends here and is counted
                delay = self._crashed(place, exc)
                await trio.sleep(delay)
                if place.is_resting and not self._wakes_up(place):
                    return
            else:
                return

    def _wakes_up(self, place: Place) -> bool:
        """After a quarantine the session goes on by itself: messages may be pending."""
        if self._registry.get(place.id) is not place:
            return False  # put away meanwhile, for want of room
        place.is_resting = False
        return True

    async def _live(self, place: Place) -> None:
        actor = Session(place.id, place.mailbox, self._around)
        try:
            await actor.recover()
            place.actor = actor
            await actor.run(retire=lambda: self._retire(place))
        finally:
            # Before any wait for the next run: a dead actor would look quiet, and its place be given away.
            place.actor = None

    def _crashed(self, place: Place, error: Exception) -> float:
        """Count a crash; the seconds until the next start."""
        self._around.report(SessionCrashed(place.id, *describe(error)))
        at = trio.current_time()
        delay = place.restarts.failed(at)
        if delay is not None:
            return delay
        left = place.restarts.remaining(at)
        self._around.report(SessionQuarantined(place.id, left))
        _refuse(place.rest(), _quarantined(place.id, left))
        return left

    def _retire(self, place: Place) -> None:
        _refuse(self._registry.remove(place), UnavailableError("session: expected no command, met one"))


def _quarantined(session: SessionID, left: float) -> QuarantinedError:
    return QuarantinedError(
        f"session {session}: expected a sound actor, met too many crashes", retry_after=left
    )


def _refuse(commands: Iterable[Command], error: Exception) -> None:
    for command in commands:
        command.reply.reject(error)
