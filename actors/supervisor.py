"""Keeps session actors alive: starts, guards, starts again from the store, or lets rest."""

from collections.abc import Iterable

import trio

from ..persistence.ids import SessionID
from .commands import Command
from .errors import QuarantinedError, UnavailableError
from .registry import Place, Registry
from .reports import SessionCrashed, SessionQuarantined, describe
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
        if place is not None:
            if place.is_resting:
                self._wake(place)
            return place
        place = self._registry.open(session)
        self._start(place)
        return place

    def _wake(self, place: Place) -> None:
        left = place.restarts.remaining(trio.current_time())
        if left > 0:
            raise _quarantined(place.id, left)
        self._start(place)

    def _start(self, place: Place) -> None:
        place.is_resting = False
        self._nursery.start_soon(self._keep_alive, place, name=f"session {place.id}")

    async def _keep_alive(self, place: Place) -> None:
        while True:
            try:
                await self._live(place)
            except UnavailableError as exc:
                _refuse(self._registry.remove(place), exc)
                return
            except Exception as exc:  # noqa: BLE001 - the guard: a crash ends here and is counted
                delay = self._crashed(place, exc)
                if delay is None:
                    return
                await trio.sleep(delay)
            else:
                return

    async def _live(self, place: Place) -> None:
        actor = Session(place.id, place.mailbox, self._around)
        try:
            await actor.recover()
            place.actor = actor
            await actor.run(retire=lambda: self._retire(place))
        finally:
            # Before any wait for the next run: a dead actor would look quiet, and its place be given away.
            place.actor = None

    def _crashed(self, place: Place, error: Exception) -> float | None:
        self._around.report(SessionCrashed(place.id, *describe(error)))
        at = trio.current_time()
        delay = place.restarts.failed(at)
        if delay is None:
            left = place.restarts.remaining(at)
            self._around.report(SessionQuarantined(place.id, left))
            _refuse(place.rest(), _quarantined(place.id, left))
        return delay

    def _retire(self, place: Place) -> None:
        _refuse(self._registry.remove(place), UnavailableError("session: expected no command, met one"))


def _quarantined(session: SessionID, left: float) -> QuarantinedError:
    return QuarantinedError(
        f"session {session}: expected a sound actor, met too many crashes", retry_after=left
    )


def _refuse(commands: Iterable[Command], error: Exception) -> None:
    for command in commands:
        command.reply.reject(error)
