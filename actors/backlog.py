"""What an attaching subscriber has missed: the events after its position, or a snapshot."""

from collections.abc import Sequence

import msgspec

from ..persistence.records import Entry, SessionFacts
from .commands import Snapshot
from .conversation import epoch_string
from .reads import Reads

# A gap longer than this is told as a snapshot instead, so that an answer fits one frame.
MAX_EVENTS = 300
MAX_BYTES = 512 * 1024
MAX_MESSAGES = 200
ENVELOPE = 256  # bytes of a frame around an entry's body, generously


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
            if len(entries) == len(newest_that_fit(entries)):
                return tuple(entries)
    found = await reads(store.history, facts.id, facts.epoch, None, MAX_MESSAGES + 1)
    messages = newest_that_fit(found[-MAX_MESSAGES:])
    return Snapshot(messages, more=len(messages) < len(found))


def newest_that_fit(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The newest entries whose frames are at most `MAX_BYTES` together, oldest first; at least one."""
    room = MAX_BYTES
    first = len(entries)
    while first > 0:
        room -= len(msgspec.json.encode(entries[first - 1].body)) + ENVELOPE
        if room < 0 and first < len(entries):
            break
        first -= 1
    return tuple(entries[first:])
