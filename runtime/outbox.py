"""What waits to be sent to one connection, within a bound: what must arrive, and what may be let go.

Text of a running turn may be let go, because the client can ask for all of it again. Everything else may not:
when that no longer fits, the connection is too slow to be served.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from ..actors.events import Event, Resync, TurnDelta
from ..persistence.ids import SessionID

# Deltas are joined only for a peer that lags: one that keeps up is shown each piece as the agent said it.
JOIN_ABOVE: Final = 16 * 1024  # bytes queued
# A joined delta grows to this many bytes and no further, so that no client meets a frame of an odd size.
JOIN_BYTES: Final = 64 * 1024


class _Frame:
    """One queued frame: its text, or for deltas what its text will be made of."""

    __slots__ = ("delta", "ends_at", "size", "text", "texts", "wave")

    def __init__(self, text: str, size: int) -> None:
        self.text = text
        self.size = size
        self.delta: Event | None = None  # the first of the deltas joined here
        self.texts: list[str] = []
        self.ends_at = 0  # the offset that the next delta must have to join
        self.wave = 0


class Outbox:
    """Frames for one connection, first in, first out, in at most ``limit`` bytes of UTF-8.

    Deltas of a turn that follow one another are joined while the queue is long. When they do not fit they are
    dropped and a ``resync`` takes their place; no more of the session's are taken until ``resumed``.
    ``render`` must write text as msgspec writes JSON strings: a joined delta is charged by that.

    Attributes:
        limit: The bound.
        size: Bytes queued now.
        overflowed: Something that must not be dropped did not fit. The queue is empty for good.
    """

    def __init__(self, limit: int, render: Callable[[Event], str]) -> None:
        self.limit = limit
        self.size = 0
        self.overflowed = False
        self._render = render
        self._lagging = min(JOIN_ABOVE, limit // 4)
        self._queue: deque[_Frame] = deque()
        self._joinable: dict[SessionID, _Frame] = {}
        self._wave = 0  # a reply ends it: no later text may move in front of a reply
        self._deltas = 0
        self._dropped: set[SessionID] = set()

    @property
    def dropped(self) -> Collection[SessionID]:
        """The sessions whose deltas are not taken until ``resumed``."""
        return self._dropped

    def put(self, text: str) -> None:
        """Queue a reply.

        Raises:
            UnicodeEncodeError: ``text`` holds a lone surrogate; nothing was queued.
        """
        self._wave += 1
        self._keep(text)

    def offer(self, event: Event) -> None:
        """Queue an event."""
        if isinstance(event.data, TurnDelta):
            if event.session not in self._dropped and not self.overflowed:
                self._offer_delta(event, event.data)
        else:
            self._joinable.pop(event.session, None)
            self._keep(self._render(event))

    def resumed(self, session: SessionID) -> None:
        """Take deltas of ``session`` again: the client has attached to it anew, or left it."""
        self._dropped.discard(session)

    def take(self) -> str | None:
        """Hand out the oldest frame; None if there is none."""
        if not self._queue:
            return None
        frame = self._queue.popleft()
        self.size -= frame.size
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

    def _keep(self, text: str) -> None:
        """Queue what must not be dropped, at the cost of deltas, or give up."""
        size = _utf8_size(text)
        if self.size + size > self.limit and self._deltas:
            self._drop_deltas(None)
        if self.overflowed:
            return
        if self.size + size > self.limit:
            self._overflow()
            return
        self._queue.append(_Frame(text, size))
        self.size += size

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
        self._queue.append(frame)
        self.size += frame.size
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
        kept: deque[_Frame] = deque()
        for frame in self._queue:
            delta = frame.delta
            if delta is None or (unfit is not None and delta.session != unfit.session):
                kept.append(frame)
                continue
            lost[delta.session] = delta
            self.size -= frame.size
            self._deltas -= 1
            self._joinable.pop(delta.session, None)
        self._queue = kept
        if unfit is not None:
            lost[unfit.session] = unfit
        for session, delta in lost.items():
            self._dropped.add(session)
            self._keep(self._render(Event(session, delta.epoch, delta.at, Resync())))

    def _overflow(self) -> None:
        self.overflowed = True
        self.size = 0
        self._deltas = 0
        self._queue.clear()
        self._joinable.clear()


def _utf8_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
