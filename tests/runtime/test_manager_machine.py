"""No sequence of calls tells a manager in memory from one on SQLite, nor from one that is started again."""

import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import msgspec
import pytest
from greenroom.actors.commands import Expected, SendMode
from greenroom.actors.conversation import epoch_string
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    CommandRan,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionFacts,
    SessionFilter,
    SessionState,
    SessionUpdated,
    ToolCall,
    TurnFinished,
)
from greenroom.runtime.tokens import TokenCounter
from greenroom.runtime.transfer import every_session, export_lines
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.runtime.manager_model import COMMANDS, HOLD, NOT_FOUND, Kept, Line, Model, Refused
from tests.runtime.three_managers import Runtime, Three

settings.register_profile("quick", max_examples=50)
settings.register_profile("deep", max_examples=500)
EXAMPLES = settings.get_profile(os.environ.get("GREENROOM_EXAMPLES", "quick"))
COUNTER = TokenCounter()  # one for all: loading its ranks takes a fifth of a second

IDS = [
    SessionID("echo", "web", "ann"),
    SessionID("echo", "mail", "a:nn", "t%1"),
    SessionID("llm", "web", "bob"),
]
sessions = st.sampled_from([IDS[0], IDS[0], IDS[0], *IDS[1:]])  # mostly one, so that much happens in it
client_ids = st.sampled_from([f"c{number}" for number in range(20)])
contents = st.sampled_from(["red", "red blue 🧵", "//new", "//new", "//", "/other", HOLD])
commands = st.sampled_from([f"/{name}" for name in COMMANDS])
modes = st.sampled_from(["followup", "followup", "followup", "reject", "interrupt"])
texts = st.sampled_from(["", "red", "Blue", "blue red é"])
messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts),
    st.builds(Message, st.just("assistant"), texts, st.just((ToolCall("k1", "look", '{"at": "red"}'),))),
    st.builds(Message, st.just("tool"), texts, tool_call_id=st.just("k1")),
)
updates = st.fixed_dictionaries(
    {},
    optional={
        "title": texts,
        "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True).map(tuple),
        "custom_data": st.dictionaries(st.sampled_from(["k", "l"]), texts, max_size=2),
        "system_prompt": texts,
        "summary": texts,
    },
)
filters = st.builds(
    SessionFilter,
    agent_id=st.none() | st.sampled_from(["echo", "llm"]),
    channel_id=st.none() | st.sampled_from(["web", "mail"]),
    peer_id=st.none() | st.sampled_from(["ann", "a:nn"]),
    state=st.none() | st.sampled_from(SessionState),
    created_after=st.none() | st.integers(1, 9).map(lambda seconds: seconds * 1_000_000),
    created_before=st.none() | st.integers(1, 9).map(lambda seconds: seconds * 1_000_000),
    limit=st.integers(0, 2),
    offset=st.integers(0, 2),
)
Expecting = Literal["nothing", "epoch", "seq", "both", "another epoch", "another seq"]


class Managers(RuleBasedStateMachine):
    """Three runtimes and a model of what they are to do."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.three = Three(Path(self.folder.name))
        self.model = Model(COUNTER)
        self.model.at = self.three.wall.at

    def ask(self, call: Callable[[Runtime], Awaitable[Any]]) -> Any:  # noqa: ANN401 - any answer
        return self.three.ask(call)

    def agree(self, call: Callable[[Runtime], Awaitable[Any]], expected: Refused | None) -> None:
        """Ask, and expect an error or its absence."""
        answer = self.ask(call)
        assert (answer if isinstance(answer, Refused) else None) == expected

    @rule(session=sessions)
    def get_or_create(self, session: SessionID) -> None:
        self.model.opened(session)
        self.ask(lambda runtime: named(runtime.manager.get_or_create(session)))
        self.look(session)

    @rule(session=sessions)
    def get(self, session: SessionID) -> None:
        found = self.ask(lambda runtime: named(runtime.manager.get(session)))
        assert found == (session if session in self.model.kept else None)

    @rule(session=sessions, message=messages)
    def add_message(self, session: SessionID, message: Message) -> None:
        seq = self.ask(lambda runtime: runtime.manager.add_message(session, message))
        assert seq == self.model.opened(session).say(self.model.at, message)
        self.look(session)

    @rule(session=sessions, content=contents, client_id=client_ids, mode=modes, waits=st.booleans())
    def send(self, session: SessionID, content: str, client_id: str, mode: SendMode, waits: bool) -> None:  # noqa: FBT001 - a rule's parameter
        if self.model.known(session, client_id) is not None:
            mode = "followup"  # that a turn runs is told to whoever wants none, before an old id is looked up
        expected = self.model.send(session, content, client_id, mode)
        # Whoever waits for a turn that lasts would wait for ever.
        is_done = isinstance(expected, Refused) or expected[0] not in self.model.opened(session).pending
        wait = "done" if waits and is_done else "durable"
        answer = self.ask(
            lambda runtime: runtime.manager.send(session, content, client_id=client_id, mode=mode, wait=wait)
        )
        if isinstance(expected, Refused):
            assert answer == expected
        else:
            seq, status, is_repeat = expected
            assert (answer["seq"], answer["duplicate"]) == (seq, is_repeat)
            assert answer["status"] == ("done" if wait == "done" and status == "accepted" else status)
        self.look(session)

    @rule(session=sessions, client_id=client_ids)
    def send_what_lasts(self, session: SessionID, client_id: str) -> None:
        self.send(session, HOLD, client_id, "followup", waits=False)

    @rule(session=sessions, content=commands, client_id=client_ids, waits=st.booleans())
    def send_a_command(self, session: SessionID, content: str, client_id: str, waits: bool) -> None:  # noqa: FBT001 - a rule's parameter
        self.send(session, content, client_id, "followup", waits)

    @rule(session=sessions, back=st.integers(0, 3), spelling=st.sampled_from(["{}", "{}", "/{}", "other"]))
    def send_again(self, session: SessionID, back: int, spelling: str) -> None:
        """The same id with what is stored, or with something like it."""
        one = self.model.kept.get(session)
        lines = [line for line in one.journal if line.client_id is not None] if one is not None else []
        if lines:
            line = lines[-1 - back % len(lines)]
            stored = line.what.content if isinstance(line.what, Message) else f"/{line.what[0]}"
            assert line.client_id is not None
            self.send(session, spelling.format(stored), line.client_id, "followup", waits=bool(back % 2))

    @rule(
        session=sessions,
        verb=st.sampled_from(["new_session", "reset", "clear", "archive", "delete"]),
        expecting=st.sampled_from(
            ["nothing", "nothing", "nothing", "epoch", "seq", "both", "another epoch", "another seq"]
        ),
    )
    def end(self, session: SessionID, verb: str, expecting: Expecting) -> None:
        ends = {"new_session": "new", "clear": "reset"}
        is_expected = not expecting.startswith("another") or verb == "clear"
        outcome = self.model.end(session, ends.get(verb, verb), is_expected=is_expected)

        async def call(runtime: Runtime) -> None:
            if verb == "clear":
                handle = await runtime.manager.get(session)
                await (handle.clear() if handle else runtime.manager.reset(session))
                return
            facts = await runtime.core.reads(runtime.core.reads.store.facts, session)
            await getattr(runtime.manager, verb)(session, expectation(expecting, facts))

        self.agree(call, outcome)
        self.look(session)

    @rule(session=sessions, given=updates)
    def update(self, session: SessionID, given: dict[str, Any]) -> None:
        outcome = self.model.update(session, **given)
        self.agree(lambda runtime: runtime.manager.update(session, **given), outcome)
        self.look(session)

    @rule(session=sessions, tag=st.sampled_from(["x", "y", "z"]), adds=st.booleans())
    def tag(self, session: SessionID, tag: str, adds: bool) -> None:  # noqa: FBT001 - a rule's parameter
        one = self.model.kept.get(session)
        if one is None:
            return
        others = tuple(each for each in one.tags if each != tag)
        left = (one.tags if tag in one.tags else (*one.tags, tag)) if adds else others
        self.model.update(session, tags=left)

        async def call(runtime: Runtime) -> None:
            handle = await runtime.manager.get_or_create(session)
            await (handle.add_tag(tag) if adds else handle.remove_tag(tag))

        self.agree(call, None)
        self.look(session)

    @rule(session=sessions, key=st.sampled_from(["k", "l"]), value=texts)
    def set_custom_data(self, session: SessionID, key: str, value: str) -> None:
        one = self.model.kept.get(session)
        if one is None:
            return
        self.model.update(session, custom_data=one.custom_data | {key: value})

        async def call(runtime: Runtime) -> str | None:
            handle = await runtime.manager.get_or_create(session)
            await handle.set_custom_data(key, value)
            return await handle.custom_data(key)

        assert self.ask(call) == value
        self.look(session)

    # Not to compacting: a start ends that, by design.
    @rule(session=sessions, to=st.sampled_from([s for s in SessionState if s is not SessionState.COMPACTING]))
    def set_state(self, session: SessionID, to: SessionState) -> None:
        outcome = self.model.set_state(session, to)
        self.agree(lambda runtime: runtime.manager.set_state(session, to), outcome)
        self.look(session)

    @rule(session=sessions, is_named=st.booleans())
    def cancel(self, session: SessionID, is_named: bool) -> None:  # noqa: FBT001 - a rule's parameter
        one = self.model.kept.get(session)
        runs = one is not None and one.running is not None

        async def call(runtime: Runtime) -> tuple[str, ...]:
            facts = await runtime.core.reads(runtime.core.reads.store.facts, session)
            turn = facts.turn.turn_id if is_named and facts and facts.turn else None
            return await runtime.manager.cancel(session, turn)

        cancelled = self.ask(call)
        if one is None:
            assert cancelled == NOT_FOUND
            return
        if runs:
            one.finish(self.model.at, "cancelled")
            one.begin_next(self.model.at)
        assert len(cancelled) == runs
        self.look(session)

    @rule(session=sessions, place=st.none() | st.integers(0, 2))
    def remove_queued(self, session: SessionID, place: int | None) -> None:
        one = self.model.kept.get(session)
        waiting = one.waiting if one is not None else []
        seq = None if place is None else (waiting[place] if place < len(waiting) else 99)
        taken = [each for each in waiting if seq in (None, each)]
        removed = self.ask(lambda runtime: runtime.manager.remove_queued(session, seq))
        if one is None:
            assert removed == NOT_FOUND
            return
        assert [each["seq"] for each in removed] == taken
        one.take_out(self.model.at, taken)
        self.look(session)

    @rule(session=sessions)
    def release(self, session: SessionID) -> None:
        """Let a turn that lasts end."""
        one = self.model.kept.get(session)
        if one is None or one.running is None:
            return

        async def call(runtime: Runtime) -> None:
            runtime.release(session)

        self.ask(call)
        one.finish(self.model.at, "end_turn")
        one.begin_next(self.model.at)
        self.look(session)

    @rule(seconds=st.integers(1, 6))
    def let_time_pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.three.pass_second()
            self.model.pass_second()
        for session in IDS:
            self.look(session)

    @rule()
    def restart(self) -> None:
        """No turn may run, it would be cut off; and the clocks have just looked, for a start looks too."""
        for session in IDS:
            while session in self.model.kept and self.model.kept[session].running is not None:
                self.release(session)
        self.let_time_pass(1)
        self.three.restart()
        self.look_at_all()

    @rule(where=filters)
    def list(self, where: SessionFilter) -> None:
        found = self.ask(lambda runtime: runtime.manager.list(where))
        assert [one["id"] for one in found] == [str(session) for session in self.model.listed(where)]

    @rule(
        query=st.sampled_from(["red", "RED blue", "re", "hold", "", "nothing"]), session=st.none() | sessions
    )
    def search(self, query: str, session: SessionID | None) -> None:
        hits = self.ask(lambda runtime: runtime.manager.search(query, session=session))
        if session is not None and session not in self.model.kept:
            assert hits == NOT_FOUND
        else:
            assert {(hit["session"], hit["seq"]) for hit in hits} == self.model.found(query, session)

    @rule(session=sessions, back=st.integers(0, 9), is_current=st.booleans())
    def resume(self, session: SessionID, back: int, is_current: bool) -> None:  # noqa: FBT001 - a rule's parameter
        """Attach after an earlier event."""

        async def call(runtime: Runtime) -> object:
            facts = await runtime.core.reads(runtime.core.reads.store.facts, session)
            epoch = epoch_string(facts) if facts and is_current else "1-other"
            seq = max(0, facts.head_seq - back) if facts else 0
            async with runtime.manager.attach(session, (epoch, seq)) as attachment:
                return attachment.attached

        attached = self.ask(call)
        one = self.model.kept.get(session)
        if one is None:
            assert attached == NOT_FOUND
        else:
            assert [message["seq"] for message in attached["queue"]] == one.waiting

    @rule()
    def export(self) -> None:
        async def call(runtime: Runtime) -> list[Any]:
            store = runtime.core.reads.store
            return await runtime.core.reads(
                lambda: [msgspec.json.decode(line) for line in export_lines(store, every_session(store))]
            )

        lines = self.ask(call)
        exported = [line["id"] for line in lines if line["line"] == "session"]
        assert sorted(exported) == sorted(map(str, self.model.kept))

    def look(self, session: SessionID) -> None:
        """One session as everybody sees it, and as it is to be."""

        async def call(runtime: Runtime) -> list[Any]:
            store = runtime.core.reads.store
            facts = await runtime.manager.facts(session)
            entries = await runtime.core.reads(store.entries, session, 0, 10_000)
            said = await runtime.manager.get_messages(session)
            info = await runtime.manager.info(session)
            compare(facts, entries, said, self.model.kept[session])
            return [facts, entries, said, info]

        seen = self.ask(call)
        assert (seen == NOT_FOUND) == (session not in self.model.kept)

    def look_at_all(self) -> None:
        """Every session, the counts, and every end that the hooks were told of."""
        for session in IDS:
            self.look(session)
        stats = self.ask(lambda runtime: runtime.manager.stats())
        names = ["total_sessions", "active_sessions", "idle_sessions", "archived_sessions"]
        names += ["total_messages", "total_tokens"]
        assert tuple(stats[name] for name in names) == self.model.counts()
        for session in IDS:
            self.look_at_ends(session)

    def look_at_ends(self, session: SessionID) -> None:
        async def call(runtime: Runtime) -> list[Any]:
            told = [end for end in runtime.told if end.session == session]
            is_to_be = [end for end in self.model.ends if end.session == session]
            assert [(e.reason, e.at, e.facts.epoch, e.messages) for e in told] == [
                end[1:] for end in is_to_be
            ]
            return told

        self.ask(call)

    def teardown(self) -> None:
        try:
            self.look_at_all()
        finally:
            self.three.close()
            self.folder.cleanup()


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


def compare(facts: SessionFacts, entries: list[Entry], said: tuple[Message, ...], one: Kept) -> None:
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


@pytest.fixture(autouse=True)
def one_token_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.wiring.TokenCounter", lambda: COUNTER)


TestManagers = Managers.TestCase
TestManagers.settings = settings(EXAMPLES, stateful_step_count=45, deadline=None)
