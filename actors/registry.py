"""One place per live session: its mailbox, its actor, its record of failures."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ..persistence.ids import SessionID
from .commands import Command
from .errors import BusyError
from .mailbox import Mailbox
from .restarts import Restarts

if TYPE_CHECKING:
    from .session import Session

LOOKED_AT = 64  # places looked at to put one away, the least recently used first
RETRY_AFTER = 1.0  # seconds


class Place:
    """Where commands for one session go.

    Attributes:
        id: Whose place it is.
        mailbox: Takes commands from the first moment on, also while the actor starts.
        actor: The actor, once it has started.
        restarts: Its failures.
        is_resting: It is in quarantine, or was and has not been asked anything since: no task keeps it alive.
    """

    def __init__(self, session: SessionID, capacity: int) -> None:
        self.id = session
        self._capacity = capacity
        self.mailbox: Mailbox[Command] = Mailbox(capacity)
        self.actor: Session | None = None
        self.restarts = Restarts()
        self.is_resting = False

    @property
    def is_working(self) -> bool:
        """Whether commands wait here or are being carried out."""
        if self.is_resting or self.mailbox.is_closed:
            return False
        return self.actor is None or self.actor.is_working or self.mailbox.depth > 0

    def rest(self) -> list[Command]:
        """Begin a quarantine; the commands that wait here.

        The mailbox is replaced by an open one: a turn of the crashed actor may still post its end, and must
        learn that nobody takes it.
        """
        self.is_resting = True
        left = self.mailbox.close()
        self.mailbox = Mailbox(self._capacity)
        return left


class Registry:
    """At most ``limit`` places, one per id. Every call returns at once, so each is atomic."""

    def __init__(self, limit: int, mailbox: int) -> None:
        self._limit = limit
        self._mailbox = mailbox
        self._places: OrderedDict[SessionID, Place] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._places.values()))

    def get(self, session: SessionID) -> Place | None:
        """The session's place, now the most recently used one."""
        place = self._places.get(session)
        if place is not None:
            self._places.move_to_end(session)
        return place

    def open(self, session: SessionID) -> Place:
        """Make a place, putting a quiet session away if there is no room.

        Raises:
            BusyError: No session among the least recently used ones is quiet.
        """
        if len(self._places) >= self._limit and not self._make_room():
            raise BusyError(
                f"registry: expected at most {self._limit} live sessions, met one more",
                retry_after=RETRY_AFTER,
            )
        place = self._places[session] = Place(session, self._mailbox)
        return place

    def remove(self, place: Place) -> list[Command]:
        """Close a place; its commands that nobody will take.

        The mailbox is closed and the place unregistered in one step: a command for the same id that comes
        after opens a new place, and none is lost between the two.
        """
        if self._places.get(place.id) is place:
            del self._places[place.id]
        return place.mailbox.close()

    def _make_room(self) -> bool:
        for place in list(islice(self._places.values(), LOOKED_AT)):
            if place.is_resting or (place.actor is not None and place.actor.is_quiet):
                # All it knows is stored and it writes no more: its next command starts it from the store.
                self.remove(place)
                return True
            self._places.move_to_end(place.id)  # at work, so in use; the next look meets others
        return False
