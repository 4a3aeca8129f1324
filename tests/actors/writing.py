"""What the tests of the writer share: appends, and a writer at work."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec
from greenroom.actors.services import keep_writing, open_services
from greenroom.actors.writer import Writer
from greenroom.persistence import SessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Append,
    Entry,
    Message,
    SessionFacts,
)

from tests.actors.hand import Reports


def first(session: SessionID, *texts: str, client_id: str | None = None) -> Append:
    entries = tuple(
        Entry(seq, 1, 0, Message("user", text), client_id=client_id) for seq, text in enumerate(texts, 1)
    )
    facts = SessionFacts(
        id=session, tag="t", created_at=0, updated_at=0, last_active_at=0, head_seq=len(entries)
    )
    return Append(facts, 0, entries)


def more(facts: SessionFacts, text: str, client_id: str | None = None) -> Append:
    seq = facts.head_seq + 1
    entry = Entry(seq, 1, 0, Message("user", text), client_id=client_id)
    return Append(msgspec.structs.replace(facts, head_seq=seq), facts.head_seq, (entry,))


@asynccontextmanager
async def writing(
    store: SessionStore, report: Callable[[msgspec.Struct], None] | None = None
) -> AsyncGenerator[Writer]:
    """A writer that is kept at work as in a runtime."""
    report = Reports() if report is None else report
    writer = Writer(store, lambda text: len(text.split()), report)
    async with open_services(report) as services:
        await keep_writing(services, writer)
        yield writer
        await writer.close()
