"""What the machine of managers asks of each runtime, where that takes several calls, and compares."""

from collections.abc import Awaitable, Sequence
from typing import Any

import msgspec
from greenroom.actors.commands import Attached, Expected
from greenroom.actors.conversation import epoch_string
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    CommandRan,
    Ending,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionUpdated,
    TurnFinished,
)
from greenroom.runtime.tokens import TokenCounter
from greenroom.runtime.transfer import every_session, export_lines

from tests.runtime.kept_session import Kept, Line
from tests.runtime.manager_draws import Expecting
from tests.runtime.manager_model import End
from tests.runtime.three_managers import Runtime

COUNTER = TokenCounter()  # one for all: loading its ranks takes a fifth of a second


async def named(handle: Awaitable[Any]) -> SessionID | None:
    """Whose handle it is."""
    found = await handle
    return None if found is None else found.id


def expectation(expecting: Expecting, facts: SessionFacts | None) -> Expected:
    """An expectation that the session meets, or one that it does not."""
    if facts is None:
        return Expected()
    match expecting:
        case "another epoch":
            return Expected(epoch="1-another")
        case "another seq":
            return Expected(epoch_string(facts), facts.head_seq + 1)
        case _:
            epoch = epoch_string(facts) if expecting in {"epoch", "both"} else None
            return Expected(epoch, facts.head_seq if expecting in {"seq", "both"} else None)


async def stored(runtime: Runtime, session: SessionID) -> SessionFacts | None:
    """The session's row."""
    return await runtime.core.reads(runtime.core.reads.store.facts, session)


async def end(runtime: Runtime, session: SessionID, verb: str, expecting: Expecting) -> None:
    """End the conversation with one of the manager's verbs, or the handle's ``clear``."""
    if verb == "clear":
        handle = await runtime.manager.get(session)
        await (handle.clear() if handle else runtime.manager.reset(session))
    else:
        expected = expectation(expecting, await stored(runtime, session))
        await getattr(runtime.manager, verb)(session, expected)


async def cancel(runtime: Runtime, session: SessionID, *, is_named: bool) -> tuple[str, ...]:
    """Cut the turn off, by its id or whichever runs."""
    facts = await stored(runtime, session)
    turn = facts.turn.turn_id if is_named and facts and facts.turn else None
    return await runtime.manager.cancel(session, turn)


async def attach(runtime: Runtime, session: SessionID, back: int, *, is_current: bool) -> Attached:
    """Attach so many events behind the head, or to another epoch."""
    facts = await stored(runtime, session)
    epoch = epoch_string(facts) if facts and is_current else "1-other"
    seq = max(0, facts.head_seq - back) if facts else 0
    async with runtime.manager.attach(session, (epoch, seq)) as attachment:
        return attachment.attached


async def export(runtime: Runtime) -> list[Any]:
    """Every session as the lines of an export."""
    store = runtime.core.reads.store
    return await runtime.core.reads(
        lambda: [msgspec.json.decode(line) for line in export_lines(store, every_session(store))]
    )


async def look(runtime: Runtime, session: SessionID, one: Kept | None) -> list[Any]:
    """The whole of a session, as the store, the manager and the model have it; and who is at work for it."""
    at_work = [turn for turn in runtime.core._around.turns._running.values() if turn.session == session]
    assert len(at_work) == (one is not None and one.running is not None)
    facts = await runtime.manager.facts(session)
    entries = await runtime.core.reads(runtime.core.reads.store.entries, session, 0, 10_000)
    said = await runtime.manager.get_messages(session)
    assert one is not None
    compare(facts, entries, said, one)
    return [facts, entries, said, await runtime.manager.info(session)]


async def look_at_ends(runtime: Runtime, session: SessionID, ends: list[End]) -> list[Ending]:
    """The ends of a session that the hook was told of: each once, in order."""
    told = [ending for ending in runtime.told if ending.session == session]
    assert [(e.reason, e.at, e.facts.epoch, e.messages) for e in told] == [each[1:] for each in ends]
    return told


def line_of(entry: Entry) -> Line:
    """An entry as the model writes it."""
    body = entry.body
    what: object = body
    match body:
        case TurnFinished():
            what = (body.message_seqs, body.stop_reason)
            assert not body.will_retry
        case SessionUpdated():
            given = msgspec.structs.asdict(body)
            what = {name: value for name, value in given.items() if value is not None}
        case SessionEnded():
            what = (body.reason, body.next_epoch)
        case CommandRan():
            what = (body.name, body.error)
        case QueueRemoved():
            what = body.seqs
        case Message():
            pass
    kind = str(type(body).__struct_config__.tag)
    return Line(entry.seq, entry.epoch, entry.at, kind, what, entry.client_id)


def compare(facts: SessionFacts, entries: Sequence[Entry], said: tuple[Message, ...], one: Kept) -> None:
    """A stored session is what the model says."""
    for name in ("title", "summary", "system_prompt", "tags", "custom_data", "state", "epoch"):
        assert getattr(facts, name) == getattr(one, name), name
    for name in ("created_at", "updated_at", "last_active_at", "archived_at"):
        assert getattr(facts, name) == getattr(one, name), name
    assert [line_of(entry) for entry in entries] == one.journal
    assert (facts.head_seq, facts.message_count) == (one.head, len(one.live))
    assert facts.token_count == sum(COUNTER(message.content) for message in one.messages())
    assert list(facts.pending) == one.pending
    assert (facts.turn.message_seqs if facts.turn else ()) == (() if one.running is None else (one.running,))
    assert said == tuple(
        line.what for line in one.journal if line.epoch == one.epoch and isinstance(line.what, Message)
    )
