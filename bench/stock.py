"""A database with many stored sessions, as a server has it that has run for a year."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..persistence.ids import SessionID
from ..persistence.records import Entry, Message, SessionFacts, SessionImport, SessionState
from ..persistence.sqlite import SQLiteSessionStore

DAY = 86_400_000_000
"""Microseconds."""

AGENTS = tuple(f"agent{number}" for number in range(20))
CHANNELS = ("web", "mail", "phone", "chat", "bench")

_BATCH = 10_000  # sessions per transaction
_TALKING = 10  # every tenth has messages
_MESSAGES = 4
# Of 20 sessions: 2 active, 4 idle, 4 suspended, 10 archived.
_STATES = (
    *[SessionState.ACTIVE] * 2,
    *[SessionState.IDLE] * 4,
    *[SessionState.SUSPENDED] * 4,
    *[SessionState.ARCHIVED] * 10,
)
_YEAR = 365 * DAY
_RECENT = 20 * DAY


def peer(number: int) -> str:
    """The peer of the session of that number; each has four."""
    return f"peer{number // 4}"


def fill(path: Path, sessions: int, overdue: int, now: int) -> None:
    """Make a database of ``sessions`` that were spoken to within 20 days and ``overdue`` active ones.

    Args:
        path: Where; there must be none.
        sessions: Created evenly over the last year, of every agent, channel and state.
        overdue: Active, and silent for 40 days.
        now: The present, microseconds since the Unix epoch.
    """
    store = SQLiteSessionStore(path)
    try:
        imports = _imports(sessions, overdue, now)
        while batch := list(islice(imports, _BATCH)):
            store.import_sessions(batch)
        while store.index_messages(_BATCH):
            pass
    finally:
        store.close()


def _imports(sessions: int, overdue: int, now: int) -> Iterator[SessionImport]:
    draw = random.Random(1)  # noqa: S311 - the same ones every time
    for number in range(sessions):
        # Strides without a common divisor spread the values over each other.
        active_at = now - DAY // 2 - number * 7919 % sessions * (_RECENT // sessions)
        created_at = min(active_at, now - number * 104_729 % sessions * (_YEAR // sessions))
        yield _session(number, draw.choice(_STATES), created_at, active_at)
    for number in range(sessions, sessions + overdue):
        at = now - 40 * DAY + number
        yield _session(number, SessionState.ACTIVE, at, at)


def _session(number: int, state: SessionState, created_at: int, active_at: int) -> SessionImport:
    said = _MESSAGES if number % _TALKING == 0 else 0
    entries = tuple(
        Entry(seq, 1, active_at, Message("user", f"message {seq} of session {number}"), tokens=8)
        for seq in range(1, said + 1)
    )
    facts = SessionFacts(
        id=SessionID(AGENTS[number % len(AGENTS)], CHANNELS[number % 4], peer(number), str(number)),
        tag=f"{number:x}",
        created_at=created_at,
        updated_at=active_at,
        last_active_at=active_at,
        archived_at=active_at if state is SessionState.ARCHIVED else None,
        state=state,
        head_seq=said,
        message_count=said,
        token_count=8 * said,
    )
    return SessionImport(facts, entries)
