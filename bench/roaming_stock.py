"""The stored sessions that `roaming` wakes: how they are made, and whether they are whole in the end."""

from array import array
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from pathlib import Path

from ..persistence.ids import SessionID
from ..persistence.records import Entry, Message, SessionFacts, SessionImport
from ..persistence.sqlite import SQLiteSessionStore
from .peers.contender import check

QUESTION = Message(role="user", content="Is the blue room free on Friday?")
ANSWER = Message(role="assistant", content="Yes, from nine to five.")

_BATCH = 10_000  # sessions per transaction
_REPORTED = 100_000  # sessions between two lines of progress
_ALL = 1_000_000_000  # more entries than a session has


class LostMessageError(Exception):
    """What is stored is not what was acked; the text names a session."""


def peer(number: int) -> SessionID:
    """The session of that number."""
    return SessionID("bench", "roaming", f"peer{number}")


def content(operation: int) -> str:
    """What is said in an operation; no other says the same."""
    return f"Then I take it, says operation {operation}."


def fill(path: Path, sessions: int, at: int, progress: Callable[[str], None]) -> None:
    """Make a database of sessions of two short messages each, all indexed.

    Args:
        path: Where; there must be none.
        sessions: How many.
        at: When all was said, microseconds since the Unix epoch.
        progress: Told how far it is.
    """
    store = SQLiteSessionStore(path)
    try:
        imports = (_session(number, at) for number in range(sessions))
        done = 0
        while batch := list(islice(imports, _BATCH)):
            store.import_sessions(batch)
            done += len(batch)
            if done % _REPORTED == 0:
                progress(f"{done:,} sessions stored")
        while store.index_messages(_BATCH):
            pass
    finally:
        store.close()


def _session(number: int, at: int) -> SessionImport:
    entries = tuple(Entry(seq, 1, at, said, tokens=8) for seq, said in enumerate((QUESTION, ANSWER), 1))
    facts = SessionFacts(
        id=peer(number),
        tag=f"{number:x}",
        created_at=at,
        updated_at=at,
        last_active_at=at,
        head_seq=len(entries),
        message_count=len(entries),
        token_count=8 * len(entries),
    )
    return SessionImport(facts, entries)


class Acks:
    """Which session each operation was for, and the seq it was acked with.

    Made in full size at once, so that keeping them costs no memory while memory is measured.
    """

    def __init__(self, operations: int) -> None:
        self._sessions = array("q", repeat(-1, operations))
        self._seqs = array("q", repeat(0, operations))

    def add(self, operation: int, session: int, seq: int) -> None:
        """Note one ack."""
        self._sessions[operation] = session
        self._seqs[operation] = seq

    def by_session(self) -> dict[int, list[int]]:
        """The operations acked, in the order of their seqs, for each session that has any."""
        acked = (number for number, session in enumerate(self._sessions) if session >= 0)
        found: dict[int, list[int]] = {}
        for operation in sorted(acked, key=self._seqs.__getitem__):
            found.setdefault(self._sessions[operation], []).append(operation)
        return found


def require_all(path: Path, sessions: int, acks: Acks) -> int:
    """Compare every session that was spoken to with what was acked, and the sum of all messages.

    Returns:
        How many messages were acked, all of which are stored.

    Raises:
        LostMessageError: A session holds something else than its two first messages and then, in the order of
            their seqs, what was acked.
        WrongAnswerError: There are more messages or fewer than were acked.
    """
    store = SQLiteSessionStore(path, readonly=True)
    acked = 0
    try:
        for number, operations in acks.by_session().items():
            _require(store, number, operations)
            acked += len(operations)
        check(2 * sessions + acked, store.stats().total_messages)
    finally:
        store.close()
    return acked


def _require(store: SQLiteSessionStore, number: int, operations: Sequence[int]) -> None:
    expected = [QUESTION.content, ANSWER.content, *map(content, operations)]
    entries = store.entries(peer(number), 0, _ALL)
    met = [entry.body.content for entry in entries if isinstance(entry.body, Message)]
    if met != expected:
        raise LostMessageError(
            f"session {peer(number)}: expected {len(expected)} messages as acked, met {len(met)} or others"
        )
