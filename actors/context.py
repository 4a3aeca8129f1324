"""The live context of one session: its newest messages within a token budget."""

from collections import deque
from collections.abc import Collection, Sequence

from ..persistence.records import Entry, Message


class LiveContext:
    """Keeps messages, oldest first; the oldest go while their tokens exceed ``budget``, but one stays."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: deque[Entry] = deque()
        self._tokens = 0

    def add(self, entry: Entry) -> None:
        """Remember a stored message; entries of other kinds are ignored."""
        if not isinstance(entry.body, Message):
            return
        self._entries.append(entry)
        self._tokens += entry.tokens
        while self._tokens > self._budget and len(self._entries) > 1:
            self._tokens -= self._entries.popleft().tokens

    def remove(self, seqs: Collection[int]) -> None:
        """Forget messages that were taken out of the queue."""
        self._tokens -= sum(entry.tokens for entry in self._entries if entry.seq in seqs)
        self._entries = deque(entry for entry in self._entries if entry.seq not in seqs)

    def clear(self) -> None:
        """Forget everything: another conversation begins."""
        self._entries.clear()
        self._tokens = 0

    def with_last(self, entries: Sequence[Entry]) -> tuple[Message, ...]:
        """All messages, with those among entries that are still to be stored."""
        return tuple(e.body for e in (*self._entries, *entries) if isinstance(e.body, Message))

    def before(self, head: int, pending: Collection[int]) -> tuple[Message, ...]:
        """The messages up to ``head`` but for the ``pending`` ones: those have turns of their own."""
        return tuple(
            e.body
            for e in self._entries
            if e.seq <= head and e.seq not in pending and isinstance(e.body, Message)
        )
