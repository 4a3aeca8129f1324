"""No sequence of calls tells the two stores apart, nor a store opened again from one that stayed open."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from greenroom.persistence import InMemorySessionStore, SQLiteSessionStore
from greenroom.persistence.errors import DuplicateClientIdError, StoreError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Append,
    CommandRan,
    Ending,
    EndReason,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionFilter,
    SessionImport,
    SessionRecord,
    SessionState,
    SessionUpdated,
    ToolCall,
    TurnMark,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from . import hand

IDS = [
    SessionID("echo", "web", "ann"),
    SessionID("echo", "web", "b:ob"),
    SessionID("llm", "mail", "ann", "t%1"),
]
sessions = st.sampled_from(IDS)
small = st.integers(-1, 6)
phrases = st.lists(
    st.sampled_from(
        ["red", "Red", "réd", "cafe\u0301", "CAFÉ", "straße", "日本", 'a"b*', "NEAR(", "_1", " ", "-", "."]
    ),
    max_size=4,
).map(" ".join)
texts = phrases | st.text(max_size=8)  # may hold NUL, never a lone surrogate: those have a test of their own
bodies = st.one_of(
    st.builds(Message, st.sampled_from(["user", "assistant"]), texts),
    st.builds(
        Message, st.just("assistant"), texts, st.just((ToolCall("c", "n", "{}"),)), partial=st.booleans()
    ),
    st.builds(SessionUpdated, st.none() | texts, st.none() | st.lists(texts, max_size=2).map(tuple)),
    st.builds(SessionEnded, st.sampled_from(EndReason), texts, st.none() | small),
    st.builds(CommandRan, texts, st.none() | texts),
    st.builds(QueueRemoved, st.lists(small, max_size=2).map(tuple)),
    st.builds(hand.finished, small, small, will_retry=st.booleans(), usage=st.none() | st.just({"in": 1})),
)
client_ids = st.none() | st.sampled_from(["m1", "m2", "m3", "m4"])
changes = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(SessionState),
        "title": texts,
        "summary": texts,
        "tags": st.lists(texts, max_size=2).map(tuple),
        "custom_data": st.dictionaries(texts, texts, max_size=2),
        "message_count": st.integers(0, 9),
        "token_count": st.integers(0, 99),
        "last_active_at": st.integers(hand.NOW, hand.NOW + 2),
        "compacted_at": st.none() | st.just(hand.NOW),
        "archived_at": st.none() | st.integers(hand.NOW, hand.NOW + 2),
        "created_at": st.sampled_from([hand.NOW, hand.NOW, hand.NOW, hand.NOW + 1]),
        "pending": st.lists(st.integers(1, 4), max_size=2, unique=True).map(tuple),
        "turn": st.none() | st.builds(TurnMark, st.just("t1"), st.integers(1, 3), st.just((1,))),
    },
)
drafts = st.lists(
    st.tuples(bodies, st.integers(0, 30), client_ids, st.none() | st.sampled_from(["t1", "t2"])), max_size=3
)
filters = st.builds(
    SessionFilter,
    agent_id=st.none() | st.sampled_from(["echo", "llm"]),
    peer_id=st.none() | st.sampled_from(["ann", "b:ob"]),
    state=st.none() | st.sampled_from(SessionState),
    channel_id=st.none() | st.sampled_from(["web", "mail"]),
    created_after=st.none() | st.just(hand.NOW - 1) | st.just(hand.NOW),
    created_before=st.none() | st.just(hand.NOW + 1),
    limit=st.integers(0, 2),
    offset=st.integers(0, 2),
)


ends = st.none() | st.tuples(st.sampled_from(["e1", "e2", "e3"]), st.sampled_from(EndReason), st.booleans())


def plain(answer: object) -> object:
    """An answer as something that compares by value."""
    if isinstance(answer, DuplicateClientIdError):
        return (answer.name, answer.entry)
    if isinstance(answer, StoreError):
        return answer.name
    return answer


class TwoStores(RuleBasedStateMachine):
    """Both stores are asked the same; SQLite is closed and opened at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "greenroom.db"
        self.memory = InMemorySessionStore(max_tokens=40)
        self.sqlite = SQLiteSessionStore(self.path, max_tokens=40)

    def both(self, method: str, *arguments: Any) -> Any:  # noqa: ANN401 - any method of a store
        answers: list[Any] = []
        for store in (self.memory, self.sqlite):
            try:
                answer = getattr(store, method)(*arguments)
            except StoreError as error:
                answer = plain(error)
            answers.append([plain(one) for one in answer] if isinstance(answer, list | tuple) else answer)
        assert answers[0] == answers[1]
        return answers[0]

    def draft(
        self, session: SessionID, new: dict[str, Any], entries: list[Any], *, next_epoch: bool
    ) -> Append:
        facts = self.memory.facts(session) or hand.facts(id=session)
        epoch = facts.epoch + next_epoch
        made = [
            Entry(seq, epoch, hand.NOW, body, tokens, client_id, turn_id)
            for seq, (body, tokens, client_id, turn_id) in enumerate(entries, facts.head_seq + 1)
        ]
        return hand.append(facts, *made, **{**new, "epoch": epoch})

    @rule(parts=st.lists(st.tuples(sessions, changes, drafts, st.booleans(), ends), max_size=3))
    def commit(self, parts: list[Any]) -> None:
        batch: list[Append] = []
        for session, new, entries, jump, end in parts:
            append = self.draft(session, new, entries, next_epoch=jump)
            if end is not None:
                end_id, reason, removes = end
                ending = Ending(end_id, session, reason, hand.NOW, append.facts, (Message("user", "was"),))
                append = msgspec.structs.replace(append, ending=ending)
                if removes:
                    append = msgspec.structs.replace(
                        self.draft(session, {}, [], next_epoch=False), removes=True
                    )
                    append = msgspec.structs.replace(append, ending=ending)
            batch.append(append)
        self.both("commit", batch)

    @rule(session=sessions, back=st.lists(st.integers(0, 5), max_size=3), turn_id=st.none() | st.just("t1"))
    def use_messages_up(self, session: SessionID, back: list[int], turn_id: str | None) -> None:
        facts = self.memory.facts(session)
        if facts is not None:
            seqs = tuple(facts.head_seq - one for one in back)
            bodies = [QueueRemoved(seqs[:2]), Message("user", "too late"), hand.finished(*seqs[1:])]
            entries = [(body, 5, None, turn_id) for body in bodies]
            self.both("commit", [self.draft(session, {"pending": ()}, entries, next_epoch=False)])

    @rule(end_id=st.sampled_from(["e1", "e2", "e3"]))
    def erase_ending(self, end_id: str) -> None:
        self.both("erase_ending", end_id)

    @rule(after=small, limit=small, state=st.sampled_from(SessionState))
    def read_ends_and_silent_ones(self, after: int, limit: int, state: SessionState) -> None:
        self.both("endings", after, limit)
        self.both("due", state, hand.NOW + after, limit)

    @rule(limit=small)
    def index_messages(self, limit: int) -> None:
        self.sqlite.index_messages(limit)

    @rule(query=phrases, where=filters, session=st.none() | sessions, limit=small)
    def search(self, query: str, where: SessionFilter, session: SessionID | None, limit: int) -> None:
        self.both("search", query, where, session, limit)

    @rule(parts=st.lists(st.tuples(sessions, changes, drafts), max_size=2), is_damaged=st.booleans())
    def import_sessions(self, parts: list[Any], is_damaged: bool) -> None:  # noqa: FBT001 - a rule's parameter
        imports: list[SessionImport] = []
        for session, new, entries in parts:
            append = hand.append(
                hand.facts(id=session, key=7, chain=b"?" if is_damaged else b""),
                *[
                    Entry(seq, 1, hand.NOW, body, tokens, client_id, turn_id)
                    for seq, (body, tokens, client_id, turn_id) in enumerate(entries, 1)
                ],
                **new,
            )
            imports.append(SessionImport(append.facts, append.entries))
        self.both("import_sessions", imports)

    @rule(session=sessions, base=small, key=small)
    def commit_on_another_head(self, session: SessionID, base: int, key: int) -> None:
        facts = msgspec.structs.replace(hand.facts(id=session), key=max(key, 0), head_seq=base)
        self.both("commit", [hand.append(facts, hand.entry(base + 1))])

    @rule(session=sessions, new=changes)
    def save(self, session: SessionID, new: dict[str, Any]) -> None:
        facts = self.memory.facts(session) or hand.facts(id=session)
        self.both("save", SessionRecord(msgspec.structs.replace(facts, **new)))

    @rule(session=sessions)
    def delete(self, session: SessionID) -> None:
        self.both("delete", session)

    @rule(session=sessions)
    def archive(self, session: SessionID) -> None:
        self.both("archive", session)

    @rule(session=sessions, epoch=small, before=st.none() | small, limit=small)
    def read_journal(self, session: SessionID, epoch: int, before: int | None, limit: int) -> None:
        self.both("history", session, epoch, before, limit)
        facts = self.memory.facts(session)
        for seq in range(facts.head_seq if facts else 0):
            self.both("outcome", session, seq + 1)
        self.both("entries", session, epoch, limit)
        self.both("outcome", session, epoch)
        self.both("epochs", session, limit)
        self.both("unfinished", epoch, limit)

    @rule(where=filters)
    def read_list(self, where: SessionFilter) -> None:
        self.both("list", where)

    @rule()
    def reopen(self) -> None:
        self.sqlite.close()
        self.sqlite = SQLiteSessionStore(self.path, max_tokens=40)

    @invariant()
    def hold_the_same(self) -> None:
        for session in IDS:
            self.both("load", session)
            self.both("entries", session, 0, 99)
        self.both("stats")
        self.both("endings", 0, 99)
        self.both("search", "red", SessionFilter(), None, 99)
        facts: list[SessionFacts] = self.both("list", SessionFilter())
        assert len({one.key for one in facts}) == len(facts)

    def teardown(self) -> None:
        self.sqlite.close()
        self.directory.cleanup()


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
