"""What waits to be sent to one connection, within a bound: what must arrive, and what may be let go.

Text of a running turn may be let go, because the client can ask for all of it again; so may an older queue of
a session, because the newer one says all of it. Everything else may not: when there is no room for that, the
connection is too slow to be served.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from ..actors.events import Event, QueueChanged, Resync, TurnDelta
from ..persistence.ids import SessionID

# Deltas are joined only for a peer that lags: one that keeps up is shown each piece as the agent said it.
JOIN_ABOVE: Final = 16 * 1024  # bytes queued
# A joined delta grows to this many bytes and no further, so that no client meets a frame of an odd size.
JOIN_BYTES: Final = 64 * 1024


class _Frame:
    """One queued frame: its text, or for deltas what its text will be made of."""

    __slots__ = ("delta", "ends_at", "is_pledged", "queue_of", "size", "text", "texts", "wave")

    def __init__(self, text: str, size: int, *, is_pledged: bool = False) -> None:
        self.text = text
        self.size = size
        self.is_pledged = is_pledged
        self.queue_of: SessionID | None = None  # whose newest queue this is
        self.delta: Event | None = None  # the first of the deltas joined here
        self.texts: list[str] = []
        self.ends_at = 0  # the offset that the next delta must have to join
        self.wave = 0


class Outbox:
    """Frames for one connection, first in, first out, bounded in bytes of UTF-8.

    - A delta is taken within ``limit``. Deltas of a turn that follow one another are joined while much waits.
      When they do not fit they are dropped and a ``resync`` takes their place, which always fits; no more of
      the session's are taken until ``resumed``.
    - Of the queues that a session has told, only the newest waits.
    - Any other frame is taken while less than ``limit`` is queued, whatever its own size: a client that reads
      is not too slow for one frame. So the bound is ``limit`` and one frame.
    - Answers that were pledged are not counted in that, so that nothing a client asks for leaves no room for
      what it is told. Whoever pledges bounds them, by `has_room`.

    ``render`` must write text as msgspec writes JSON strings: a joined delta is charged by that.

    Attributes:
        limit: The bound.
        size: Bytes queued now, pledged ones included.
        overflowed: There was no room for something that must not be dropped. The queue is empty for good.
    """

    def __init__(self, limit: int, render: Callable[[Event], str]) -> None:
        self.limit = limit
        self.size = 0
        self.overflowed = False
        self._render = render
        self._lagging = min(JOIN_ABOVE, limit // 4)
        self._queue: OrderedDict[_Frame, None] = OrderedDict()  # a deque whose middle can be taken out
        self._pledged = 0  # bytes
        self._newest_queue: dict[SessionID, _Frame] = {}
        self._joinable: dict[SessionID, _Frame] = {}
        self._wave = 0  # a reply ends it: no later text may move in front of a reply
        self._deltas = 0
        self._dropped: set[SessionID] = set()

    @property
    def has_room(self) -> bool:
        """Whether less than half of ``limit`` is queued: time to begin what makes a large answer."""
        return 2 * self.size < self.limit

    def put(self, text: str, *, is_pledged: bool = False) -> None:
        """Queue a reply; one that was pledged before it was made always fits.

        Raises:
            UnicodeEncodeError: ``text`` holds a lone surrogate; nothing was queued.
        """
        self._wave += 1
        self._keep(_Frame(text, _utf8_size(text), is_pledged=is_pledged))

    def offer(self, event: Event) -> None:
        """Queue an event."""
        if isinstance(event.data, TurnDelta):
            if event.session not in self._dropped and not self.overflowed:
                self._offer_delta(event, event.data)
        else:
            self._joinable.pop(event.session, None)
            text = self._render(event)
            frame = _Frame(text, _utf8_size(text))
            if isinstance(event.data, QueueChanged):
                self._supersede(event.session, frame)
            self._keep(frame)

    def resumed(self, session: SessionID) -> None:
        """Take deltas of ``session`` again: the client has attached to it anew, or left it."""
        self._dropped.discard(session)

    def take(self) -> str | None:
        """Hand out the oldest frame; None if there is none."""
        if not self._queue:
            return None
        frame, _ = self._queue.popitem(last=False)
        self.size -= frame.size
        if frame.is_pledged:
            self._pledged -= frame.size
        if frame.queue_of is not None:
            del self._newest_queue[frame.queue_of]
        first = frame.delta
        if first is None:
            return frame.text
        self._deltas -= 1
        if self._joinable.get(first.session) is frame:
            del self._joinable[first.session]
        if len(frame.texts) == 1 or not isinstance(first.data, TurnDelta):
            return frame.text
        data = TurnDelta(first.data.turn_id, first.data.offset, "".join(frame.texts))
        return self._render(Event(first.session, first.epoch, first.at, data))

    def _keep(self, frame: _Frame) -> None:
        """Queue what must not be dropped, at the cost of deltas, or give up."""
        if self.overflowed:
            return
        if frame.is_pledged:
            self._pledged += frame.size
        elif self.size - self._pledged >= self.limit:
            if self._deltas:
                self._drop_deltas(None)
            if self.size - self._pledged >= self.limit:
                self._overflow()
                return
        self._append(frame)

    def _append(self, frame: _Frame) -> None:
        self._queue[frame] = None
        self.size += frame.size

    def _supersede(self, session: SessionID, newest: _Frame) -> None:
        """Take out the older queue of the session that still waits."""
        if self.overflowed:
            return
        older = self._newest_queue.get(session)
        if older is not None:
            del self._queue[older]
            self.size -= older.size
        newest.queue_of = session
        self._newest_queue[session] = newest

    def _offer_delta(self, event: Event, data: TurnDelta) -> None:
        if self._join(event, data):
            return
        text = self._render(event)
        frame = _Frame(text, _utf8_size(text))
        if self.size + frame.size > self.limit:
            self._drop_deltas(event)
            return
        frame.delta = event
        frame.texts.append(data.text)
        frame.ends_at = data.offset + len(data.text)
        frame.wave = self._wave
        self._append(frame)
        self._deltas += 1
        self._joinable[event.session] = frame

    def _join(self, event: Event, data: TurnDelta) -> bool:
        frame = self._joinable.get(event.session)
        if frame is None or frame.delta is None or frame.wave != self._wave or self.size < self._lagging:
            return False
        first = frame.delta.data
        if not isinstance(first, TurnDelta) or frame.delta.epoch != event.epoch:
            return False
        size = len(msgspec.json.encode(data.text)) - 2
        fits = frame.size + size <= JOIN_BYTES and self.size + size <= self.limit
        if first.turn_id != data.turn_id or frame.ends_at != data.offset or not fits:
            return False
        frame.text = ""
        frame.texts.append(data.text)
        frame.ends_at += len(data.text)
        frame.size += size
        self.size += size
        return True

    def _drop_deltas(self, unfit: Event | None) -> None:
        """Drop the session of the delta that does not fit, or of all of them, and tell each once."""
        lost: dict[SessionID, Event] = {}
        for frame in list(self._queue):
            delta = frame.delta
            if delta is None or (unfit is not None and delta.session != unfit.session):
                continue
            lost[delta.session] = delta
            del self._queue[frame]
            self.size -= frame.size
            self._deltas -= 1
            self._joinable.pop(delta.session, None)
        if unfit is not None:
            lost[unfit.session] = unfit
        for session, delta in lost.items():
            self._dropped.add(session)
            text = self._render(Event(session, delta.epoch, delta.at, Resync()))
            self._append(_Frame(text, _utf8_size(text)))

    def _overflow(self) -> None:
        self.overflowed = True
        self.size = self._pledged = self._deltas = 0
        self._queue.clear()
        self._joinable.clear()
        self._newest_queue.clear()


def _utf8_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
