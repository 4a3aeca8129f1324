"""What a session keeps at hand of its journal: its live context, and what was sent not long ago."""

from ..persistence.records import Entry, QueueRemoved, SessionEnded
from .context import LiveContext

REMEMBERED = 64  # client ids kept at hand; older ones are found by the store's unique index


class Recall:
    """Grows with each stored entry, within bounds.

    Args:
        budget: Tokens of the live context.
    """

    def __init__(self, budget: int) -> None:
        self.context = LiveContext(budget)
        self._sent: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Take a stored entry in."""
        self.know(entry)
        self.context.add(entry)
        body = entry.body
        if isinstance(body, QueueRemoved):
            self.context.remove(body.seqs)
        elif isinstance(body, SessionEnded) and body.next_epoch is not None:
            self.context.clear()

    def know(self, entry: Entry) -> None:
        """Remember the client id of an entry, if it has one; the oldest of `REMEMBERED` goes."""
        if entry.client_id is not None:
            self._sent[entry.client_id] = entry
            if len(self._sent) > REMEMBERED:
                del self._sent[next(iter(self._sent))]

    def sent(self, client_id: str) -> Entry | None:
        """The entry that was stored under a client id, if it is remembered."""
        return self._sent.get(client_id)

    def clear(self) -> None:
        """Forget all: the session was removed."""
        self.context.clear()
        self._sent.clear()
