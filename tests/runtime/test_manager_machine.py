"""No sequence of calls tells a manager in memory from one on SQLite, nor from one that is started again."""

import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from greenroom.actors.commands import SendMode
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionFilter, SessionState
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.runtime.kept_session import HOLD
from tests.runtime.manager_draws import (
    IDS,
    Expecting,
    client_ids,
    commands,
    contents,
    expectings,
    filters,
    messages,
    modes,
    sessions,
    texts,
    updates,
    verbs,
)
from tests.runtime.manager_looks import COUNTER, attach, cancel, end, export, look, look_at_ends, named
from tests.runtime.manager_model import NOT_FOUND, Model, Refused
from tests.runtime.three_managers import Runtime, Three

settings.register_profile("quick", max_examples=50)
settings.register_profile("deep", max_examples=500)
EXAMPLES = settings.get_profile(os.environ.get("EXAMPLES", "quick"))


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

    @rule(session=sessions, client_id=client_ids, verb=st.none() | verbs)
    def send_what_lasts(self, session: SessionID, client_id: str, verb: str | None) -> None:
        """Begin a turn that lasts, and perhaps end the conversation in the midst of it."""
        self.send(session, HOLD, client_id, "followup", waits=False)
        if verb is not None:
            self.end(session, verb, "nothing")

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

    @rule(session=sessions, verb=verbs, expecting=expectings)
    def end(self, session: SessionID, verb: str, expecting: Expecting) -> None:
        ends = {"new_session": "new", "clear": "reset"}
        is_expected = not expecting.startswith("another") or verb == "clear"
        outcome = self.model.end(session, ends.get(verb, verb), is_expected=is_expected)
        self.agree(lambda runtime: end(runtime, session, verb, expecting), outcome)
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
        cancelled = self.ask(lambda runtime: cancel(runtime, session, is_named=is_named))
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
        attached = self.ask(lambda runtime: attach(runtime, session, back, is_current=is_current))
        one = self.model.kept.get(session)
        if one is None:
            assert attached == NOT_FOUND
        else:
            assert [message["seq"] for message in attached["queue"]] == one.waiting

    @rule()
    def export(self) -> None:
        exported = [line["id"] for line in self.ask(export) if line["line"] == "session"]
        assert sorted(exported) == sorted(map(str, self.model.kept))

    def look(self, session: SessionID) -> None:
        """One session as everybody sees it, and as it is to be."""

        one = self.model.kept.get(session)
        seen = self.ask(lambda runtime: look(runtime, session, one))
        assert (seen == NOT_FOUND) == (one is None)

    def look_at_all(self) -> None:
        """Every session, the counts, and every end that the hooks were told of."""
        for session in IDS:
            self.look(session)
        stats = self.ask(lambda runtime: runtime.manager.stats())
        names = ["total_sessions", "active_sessions", "idle_sessions", "archived_sessions"]
        names += ["total_messages", "total_tokens"]
        assert tuple(stats[name] for name in names) == self.model.counts()
        for session in IDS:
            ends = [end for end in self.model.ends if end.session == session]
            self.ask(lambda runtime, session=session, ends=ends: look_at_ends(runtime, session, ends))

    def teardown(self) -> None:
        try:
            self.look_at_all()
        finally:
            self.three.close()
            self.folder.cleanup()


@pytest.fixture(autouse=True)
def one_token_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.wiring.TokenCounter", lambda: COUNTER)


TestManagers = Managers.TestCase
TestManagers.settings = settings(EXAMPLES, stateful_step_count=45, deadline=None)
