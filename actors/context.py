"""The live context of one session: its newest messages within a token budget."""

from collections.abc import Collection, Sequence

from ..persistence.records import Entry, Message

# Counted with `sys.getsizeof` on Python 3.11, 64 bits.
ENTRY_BYTES = (
    190  # of a message beside its text: the entry 80, the message 64, its time 32, its place in a list 8
)
CLIENT_ID_BYTES = 150  # 96 for one of 32 characters, and its place in a dict, 40 to 110 as that grows
TURN_ID_BYTES = 80

_text_bytes = str.__sizeof__  # a fifth of the time of `sys.getsizeof`, and the same for texts


class LiveContext:
    """Keeps messages, oldest first; the oldest go while their tokens exceed ``budget``, but one stays.

    Most contexts hold a few messages for hours: a list of four is a tenth of an empty deque.

    Attributes:
        bytes: What the messages take, about; as `weight` counts them.
    """

    __slots__ = ("_budget", "_entries", "_tokens", "bytes")

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: list[Entry] = []
        self._tokens = 0
        self.bytes = 0

    def add(self, entry: Entry) -> Sequence[Entry]:
        """Remember a stored message; entries of other kinds are ignored. Returns what goes for it."""
        if not isinstance(entry.body, Message):
            return ()
        self._entries.append(entry)
        self.bytes += weight(entry)
        self._tokens += entry.tokens
        return self._trim() if self._tokens > self._budget else ()

    def _trim(self) -> Sequence[Entry]:
        count = 0
        while self._tokens > self._budget and count < len(self._entries) - 1:
            oldest = self._entries[count]
            self._tokens -= oldest.tokens
            self.bytes -= weight(oldest)
            count += 1
        gone = self._entries[:count]
        del self._entries[:count]
        return gone

    def remove(self, seqs: Collection[int]) -> Sequence[Entry]:
        """Forget messages that were taken out of the queue; returns them."""
        gone = [entry for entry in self._entries if entry.seq in seqs]
        self._entries = [entry for entry in self._entries if entry.seq not in seqs]
        self._tokens -= sum(entry.tokens for entry in gone)
        self.bytes -= sum(map(weight, gone))
        return gone

    def clear(self) -> Sequence[Entry]:
        """Forget everything, since another conversation begins; returns it."""
        gone, self._entries = self._entries, []
        self._tokens = self.bytes = 0
        return gone

    @property
    def last(self) -> Entry | None:
        """The newest message."""
        return self._entries[-1] if self._entries else None

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


def weight(entry: Entry) -> int:
    """The bytes that an entry takes, about; costs the same however long its text is.

    A text that is not ASCII keeps its UTF-8 form too, once it was encoded: one that comes from a commit was.
    """
    body = entry.body
    size = ENTRY_BYTES
    if isinstance(body, Message):
        size += _text_bytes(body.content)
    if entry.client_id is not None:
        size += CLIENT_ID_BYTES
    if entry.turn_id is not None:
        size += TURN_ID_BYTES
    return size
