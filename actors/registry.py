"""One place per live session, the least recently used first, within a budget of places and of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ..persistence.ids import SessionID
from .commands import Command
from .errors import BusyError
from .ref import ActorRef

if TYPE_CHECKING:
    from .session import Session

LOOKED_AT = 64  # places looked at to put one away, the least recently used first
RETRY_AFTER = 1.0  # seconds


class Place:
    """Where commands for one session go.

    Attributes:
        id: Whose place it is.
        ref: Takes commands from the first moment on, also while the actor starts.
        actor: The session's actor, while it is up.
        bytes: About what it holds in memory, as it last said.
    """

    __slots__ = ("actor", "bytes", "id", "ref")

    ref: ActorRef[Command]

    def __init__(self, session: SessionID) -> None:
        self.id = session
        self.actor: Session | None = None
        self.bytes = 0


class Registry:
    """At most ``limit`` places, one per id, of about ``max_bytes`` bytes together.

    Every call returns at once, so each is atomic. Places that are at work are never put away for others: for
    as long as all are, the bytes may be exceeded, the number is not.
    """

    def __init__(self, limit: int, max_bytes: int) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._places: OrderedDict[SessionID, Place] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._places.values()))

    def __contains__(self, session: SessionID) -> bool:
        """Whether the session has a place; that is no use of it."""
        return session in self._places

    def get(self, session: SessionID) -> Place | None:
        """The session's place, now the most recently used one."""
        place = self._places.get(session)
        if place is not None:
            self._places.move_to_end(session)
        return place

    def open(self, session: SessionID, start: Callable[[Place], ActorRef[Command]]) -> Place:
        """Make a place, putting a quiet session away if there is no room.

        Args:
            session: Whose.
            start: Has its actor started.

        Raises:
            BusyError: No session among the least recently used ones is quiet.
        """
        if len(self._places) >= self._limit and not self._make_room():
            raise BusyError(
                f"registry: expected at most {self._limit} live sessions, met one more",
                retry_after=RETRY_AFTER,
            )
        place = Place(session)
        place.ref = start(place)
        self._places[session] = place
        return place

    def weigh(self, place: Place, size: int) -> None:
        """Note what a session holds, in bytes; others are put away if that is too much for all together."""
        if self._places.get(place.id) is place:
            self.bytes += size - place.bytes
            place.bytes = size
            while self.bytes > self._max_bytes and self._make_room(but=place):
                pass

    def put_away(self, place: Place) -> bool:
        """End a session's actor in this step if nothing waits, runs or is being stored; whether it does.

        All it knows is stored and it writes no more: its next command starts it from the store. One that has
        crashed not long ago stays, or its next actor would have a budget of crashes of its own.
        """
        if place.actor is None or not place.actor.is_quiet or place.ref.is_troubled:
            return False
        if not place.ref.retire_when_empty():
            return False
        self.remove(place)
        return True

    def remove(self, place: Place) -> None:
        """Forget a place whose actor ends in this very step: the next command for its id opens a new one."""
        if self._places.get(place.id) is place:
            del self._places[place.id]
            self.bytes -= place.bytes
        place.actor = None  # who is put away is freed at once, not by a collector that looks for cycles

    def _make_room(self, but: Place | None = None) -> bool:
        for place in list(islice(self._places.values(), LOOKED_AT)):
            if place is not but and self.put_away(place):
                return True
            self._places.move_to_end(place.id)  # at work, so in use; the next look meets others
        return False
