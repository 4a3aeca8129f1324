"""Keeps the news of a deletion behind the answer to whoever asked for it.

A deletion is answered when its hooks have run, which may take seconds, and everybody else is told at once.
But on the connection that asked for it the answer comes first, so what its session says meanwhile waits.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from ..actors.events import Event
from ..persistence.ids import SessionID
from ..persistence.records import SessionEnded

MAX_HELD: Final = 100
"""Events of one session that wait. More come only when hooks take long and a session of the same name talks
much meanwhile; then they go out before the answer."""


class Deletions:
    """The deletions that one connection has asked for and waits for."""

    def __init__(self) -> None:
        self._asked: dict[SessionID, int] = {}
        self._held: dict[SessionID, deque[Event]] = {}

    def asked(self, session: SessionID) -> None:
        """The connection has asked for a deletion."""
        self._asked[session] = self._asked.get(session, 0) + 1

    def pass_on(self, event: Event) -> Sequence[Event]:
        """What may be told now that this event has come: it, nothing, or all that waited too."""
        if not self._asked:
            return (event,)
        held = self._held.get(event.session)
        if held is None:
            if event.session not in self._asked or not isinstance(event.data, SessionEnded):
                return (event,)
            held = self._held[event.session] = deque()
        held.append(event)
        return self._held.pop(event.session) if len(held) > MAX_HELD else ()

    def answered(self, session: SessionID) -> Sequence[Event]:
        """The answer to the oldest deletion has gone out; what may follow it, up to the news of the next."""
        self._asked[session] -= 1
        is_last = not self._asked[session]
        if is_last:
            del self._asked[session]
        held = self._held.pop(session, None) or deque()
        released: list[Event] = []
        while held and (is_last or not released or not isinstance(held[0].data, SessionEnded)):
            released.append(held.popleft())
        if held:
            self._held[session] = held
        return released

    def forget(self, session: SessionID) -> None:
        """The subscription has ended or begun anew: what waits belongs to the one before."""
        self._held.pop(session, None)
