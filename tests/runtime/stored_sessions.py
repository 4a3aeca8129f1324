"""Sessions of every kind in a store, and what an export says of them."""

import json
from collections.abc import Iterable
from typing import Any

from greenroom.persistence import SessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Append,
    Body,
    CommandRan,
    EndReason,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionState,
    SessionUpdated,
    ToolCall,
    TurnError,
    TurnFinished,
    TurnMark,
)
from greenroom.runtime.transfer import every_session, export_lines
from hypothesis import strategies as st

Stored = tuple[SessionFacts, tuple[Entry, ...]]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIME = st.integers(0, 4_000_000_000_000_000)
COUNT = st.integers(0, 2**40)
TOKENS = st.integers(0, 2**31 - 1)
SEQS = st.lists(st.integers(1, 99), max_size=3).map(tuple)
BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(Message, st.just("user"), TEXT),
    st.builds(
        Message,
        st.sampled_from(["system", "assistant", "tool"]),
        st.text(st.characters(exclude_categories=["Cs"])),  # an agent may say NUL
        st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=2).map(tuple),
        st.none() | TEXT,
        st.booleans(),
    ),
    st.builds(
        TurnFinished,
        SEQS,
        st.sampled_from(["end_turn", "cancelled", "error"]),
        st.booleans(),
        st.none() | st.dictionaries(TEXT, COUNT, max_size=2),
        st.none() | st.builds(TurnError, TEXT, TEXT),
    ),
    st.builds(
        SessionUpdated,
        st.none() | TEXT,
        st.none() | st.lists(TEXT, max_size=2).map(tuple),
        st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
        st.none() | TEXT,
        st.none() | TEXT,
    ),
    st.builds(SessionEnded, st.sampled_from(EndReason), TEXT, st.none() | st.integers(1, 9)),
    st.builds(CommandRan, TEXT, st.none() | TEXT),
    st.builds(QueueRemoved, SEQS),
)


@st.composite
def sessions(draw: st.DrawFn) -> Stored:
    """One session with a journal of up to six entries in rising epochs."""
    bodies = draw(st.lists(BODIES, max_size=6))
    epochs = sorted(draw(st.lists(st.integers(1, 4), min_size=len(bodies), max_size=len(bodies))))
    entries = tuple(
        Entry(
            seq,
            epoch,
            draw(TIME),
            body,
            draw(TOKENS),
            draw(st.none() | TEXT.map(f"{seq} ".__add__)),
            draw(st.none() | TEXT),
        )
        for seq, (body, epoch) in enumerate(zip(bodies, epochs, strict=True), 1)
    )
    epoch = (epochs or [1])[-1] + draw(st.integers(0, 2))
    pending = tuple(e.seq for e in entries if _is_waiting(e, entries, epoch))
    context = [e for e in entries if _is_in_context(e, entries, epoch)]
    part = st.sampled_from(["echo", "a:b", "100%", "😀"])
    facts = SessionFacts(
        id=SessionID(draw(part), draw(part), draw(part), draw(st.just("") | part)),
        tag=draw(TEXT),
        created_at=draw(TIME),
        updated_at=draw(TIME),
        last_active_at=draw(TIME),
        state=draw(st.sampled_from(SessionState)),
        epoch=epoch,
        head_seq=len(entries),
        title=draw(TEXT),
        summary=draw(TEXT),
        system_prompt=draw(TEXT),
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
        custom_data=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        message_count=len(context),
        token_count=sum(entry.tokens for entry in context),
        compaction_count=draw(COUNT),
        pending=pending,
        turn=TurnMark("t1", 2, pending[:1]) if pending and draw(st.booleans()) else None,
        compacted_at=draw(st.none() | TIME),
        archived_at=draw(st.none() | TIME),
    )
    return facts, entries


def _is_in_context(entry: Entry, journal: Iterable[Entry], epoch: int) -> bool:
    later = [other.body for other in journal if other.epoch == epoch and other.seq > entry.seq]
    is_removed = any(entry.seq in body.seqs for body in later if isinstance(body, QueueRemoved))
    return isinstance(entry.body, Message) and entry.epoch == epoch and not is_removed


def _is_waiting(entry: Entry, journal: Iterable[Entry], epoch: int) -> bool:
    ends = [other.body for other in journal if isinstance(other.body, TurnFinished)]
    is_answered = any(entry.seq in end.message_seqs for end in ends if not end.will_retry)
    removals = [other.body for other in journal if isinstance(other.body, QueueRemoved)]
    is_removed = any(entry.seq in removal.seqs for removal in removals)
    is_users = isinstance(entry.body, Message) and entry.body.role == "user"
    return is_users and entry.epoch == epoch and not (is_answered or is_removed)


def put(store: SessionStore, stored: Iterable[Stored]) -> None:
    """Store sessions as their actors would have."""
    for answer in store.commit([Append(facts, 0, entries) for facts, entries in stored]):
        assert isinstance(answer, SessionFacts), answer


def exported(store: SessionStore) -> list[bytes]:
    """All sessions of a store, as the lines of an export."""
    return list(export_lines(store, every_session(store)))


def untagged(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """What lines say but for tags, and for the digest that depends on them."""
    return [{**json.loads(line), "tag": None, "digest": None} for line in lines]
