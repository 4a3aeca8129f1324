"""Rows and records say the same, and a row that says nothing of ours is refused."""

import pytest
from greenroom.persistence.errors import StoreFormatError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Body,
    CommandRan,
    EndReason,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionUpdated,
    ToolCall,
    TurnError,
    TurnFinished,
)
from greenroom.persistence.rows import entry_of, journal_rows
from hypothesis import given
from hypothesis import strategies as st

from . import hand

texts = st.text()
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    texts,
    st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple),
    st.none() | texts,
    st.booleans(),
)
turns = st.builds(
    TurnFinished,
    st.lists(st.integers(1, 1 << 62), max_size=3).map(tuple),
    st.sampled_from(["end_turn", "cancelled", "interrupted", "error"]),
    st.booleans(),
    st.none() | st.dictionaries(texts, st.integers(0, 1 << 62), max_size=2),
    st.none() | st.builds(TurnError, texts, texts),
)


seqs = st.lists(st.integers(1, 1 << 62), max_size=3).map(tuple)
others = (
    st.builds(
        SessionUpdated,
        *[
            st.none() | given
            for given in (
                texts,
                st.lists(texts, max_size=2).map(tuple),
                st.dictionaries(texts, texts, max_size=2),
                texts,
                texts,
            )
        ],
    )
    | st.builds(SessionEnded, st.sampled_from(EndReason), texts, st.none() | st.integers(1, 1 << 62))
    | st.builds(CommandRan, texts, st.none() | texts)
    | st.builds(QueueRemoved, seqs)
)


@given(messages | turns | others, st.none() | texts, st.none() | texts, st.integers(0, (1 << 63) - 1))
def test_every_entry_survives_its_row(
    body: Body, client_id: str | None, turn_id: str | None, tokens: int
) -> None:
    entry = hand.entry(1, body, client_id=client_id, turn_id=turn_id, tokens=tokens)
    (row,) = journal_rows(hand.append(hand.facts(), entry))
    assert entry_of(row, hand.facts().id) == entry


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"kind":"poem"}', '{"kind":"message","role":"king","content":""}']
)
def test_a_body_of_no_known_kind_is_refused(body: str) -> None:
    with pytest.raises(StoreFormatError, match="a:b:c: entry 7: expected a known body"):
        entry_of((7, 1, 0, 5, 0, None, None, body, b""), SessionID("a", "b", "c"))
