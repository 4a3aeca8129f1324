"""What an attaching subscriber has missed: the events after its position, or a snapshot."""

from collections.abc import Sequence

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import Entry, SessionFacts
from .commands import Snapshot
from .conversation import epoch_string
from .reads import Reads

# A gap longer than this is told as a snapshot instead, so that an answer fits one frame.
MAX_EVENTS = 300
MAX_BYTES = 512 * 1024
MAX_MESSAGES = 200
FIRST_PAGE = 10  # messages
ENVELOPE = 256  # bytes of a frame around an entry's body, its session and its client id, generously


async def find_backlog(
    reads: Reads, facts: SessionFacts, after: tuple[str, int] | None
) -> tuple[Entry, ...] | Snapshot:
    """Read what happened after a position.

    Args:
        reads: The store's reading calls.
        facts: The session as it is; nothing may be appended while this runs.
        after: The epoch string and seq of the last event the subscriber has.

    Returns:
        Every entry after ``after`` if that is in the current epoch, not in the future, at most `MAX_EVENTS`
        and `MAX_BYTES` away; else the newest messages of the current epoch.

    Raises:
        UnavailableError: The store could not be read.
    """
    store = reads.store
    if after is not None:
        epoch, seq = after
        gap = facts.head_seq - seq
        if epoch == epoch_string(facts) and gap == 0:
            return ()
        if epoch == epoch_string(facts) and 0 < gap <= MAX_EVENTS:
            entries = await reads(store.entries, facts.id, seq, gap)
            if len(entries) == len(newest_that_fit(entries, facts.id)):
                return tuple(entries)
    return await newest_messages(reads, facts, facts.epoch, None, MAX_MESSAGES)


async def newest_messages(
    reads: Reads, facts: SessionFacts, epoch: int, before_seq: int | None, limit: int
) -> Snapshot:
    """The newest ``limit`` messages of an epoch before a seq, as far as `MAX_BYTES` go.

    Reads few at first and more while there is room, so that long messages are not read in vain.

    Raises:
        UnavailableError: The store could not be read.
    """
    found: list[Entry] = []
    size = FIRST_PAGE
    while True:
        size = min(size, limit + 1 - len(found))
        page = await reads(reads.store.history, facts.id, epoch, before_seq, size)
        found[:0] = page
        kept = newest_that_fit(found[-limit:], facts.id)
        if len(page) < size or len(found) > limit or len(kept) < len(found):
            return Snapshot(kept, more=len(kept) < len(found))
        before_seq, size = page[0].seq, size * 2


def newest_that_fit(entries: Sequence[Entry], session: SessionID) -> tuple[Entry, ...]:
    """The newest entries whose frames are at most `MAX_BYTES` together, oldest first; at least one."""
    room = MAX_BYTES
    envelope = ENVELOPE + len(str(session).encode())
    first = len(entries)
    while first > 0:
        entry = entries[first - 1]
        room -= len(msgspec.json.encode(entry.body)) + len((entry.client_id or "").encode()) + envelope
        if room < 0 and first < len(entries):
            break
        first -= 1
    return tuple(entries[first:])
