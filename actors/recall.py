"""What a session keeps at hand of its journal: its live context, and what was sent not long ago."""

from ..persistence.records import Entry, QueueRemoved, SessionEnded
from .context import LiveContext, weight

REMEMBERED = 64  # client ids kept at hand of either kind; others are found by the store's unique index


class Recall:
    """Grows with each stored entry, within bounds.

    Args:
        budget: Tokens of the live context.

    Attributes:
        context: The live context.
    """

    # The dicts are made for their first entry: where hosts add messages there is none. What was sent is in
    # `_sent` while it is in the context, then in `_apart`, so that its text is weighed once.
    __slots__ = ("_apart", "_apart_bytes", "_sent", "context")

    def __init__(self, budget: int) -> None:
        self.context = LiveContext(budget)
        self._sent: dict[str, Entry] | None = None
        self._apart: dict[str, Entry] | None = None
        self._apart_bytes = 0

    @property
    def bytes(self) -> int:
        """What all of it takes, about; within a factor of 1.5 once it is more than a message or two."""
        return self.context.bytes + self._apart_bytes

    def add(self, entry: Entry) -> None:
        """Take a stored entry in."""
        gone = self.context.add(entry)
        if entry.client_id is not None:
            self.know(entry)
        body = entry.body
        if isinstance(body, QueueRemoved):
            gone = self.context.remove(body.seqs)
        elif isinstance(body, SessionEnded) and body.next_epoch is not None:
            gone = self.context.clear()
        if gone and self._sent:
            for one in gone:
                if one.client_id is not None and self._sent.pop(one.client_id, None) is not None:
                    self._keep_apart(one, one.client_id)

    def know(self, entry: Entry) -> None:
        """Remember the client id of an entry, if it has one; the oldest of `REMEMBERED` goes."""
        if entry.client_id is None:
            return
        if self.context.last is not entry:
            self._keep_apart(entry, entry.client_id)
            return
        if self._sent is None:
            self._sent = {}
        self._sent[entry.client_id] = entry
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _keep_apart(self, entry: Entry, client_id: str) -> None:
        apart = self._apart = self._apart or {}
        if (before := apart.get(client_id)) is not None:
            self._apart_bytes -= weight(before)
        apart[client_id] = entry
        self._apart_bytes += weight(entry)
        if len(apart) > REMEMBERED:
            self._apart_bytes -= weight(apart.pop(next(iter(apart))))

    def sent(self, client_id: str) -> Entry | None:
        """The entry that was stored under a client id, if it is remembered."""
        known = self._sent.get(client_id) if self._sent else None
        return self._apart.get(client_id) if known is None and self._apart else known

    def clear(self) -> None:
        """Forget all: the session was removed."""
        self.context.clear()
        self._sent = self._apart = None
        self._apart_bytes = 0
