"""Whatever is queued and taken in whatever order, an outbox keeps its bound and its promises."""

from collections.abc import Generator
from contextlib import contextmanager

import msgspec
from greenroom.actors.events import Event, Resync
from greenroom.persistence.ids import SessionID
from greenroom.runtime.outbox import Outbox
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from .outbox_events import A, B, delta, message, queue, render


class OutboxMachine(RuleBasedStateMachine):
    """Sessions stream turns and durable entries to a client that takes when it likes, and attaches anew."""

    LIMIT = 1500

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(self.LIMIT, render)
        self.kept: list[str] = []  # what must come out, in order
        self.queues: dict[SessionID, str] = {}  # those of them that a newer queue supersedes
        self.largest = 0
        self.said = {A: "", B: ""}  # the running turn's text
        self.heard = {A: "", B: ""}  # the client's copy of it
        self.stale = {A: False, B: False}  # the client has met a resync
        self.replies = 0

    @rule(
        session=st.sampled_from([A, B]), text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
    )
    def say(self, session: SessionID, text: str) -> None:
        self.outbox.offer(delta(len(self.said[session]), text, session=session))
        self.said[session] += text

    @rule(session=st.sampled_from([A, B]), size=st.integers(0, 200))
    def record(self, session: SessionID, size: int) -> None:
        event = message(len(self.kept) + 1, "é" * size, session=session)
        with self.keeping(render(event)):
            self.outbox.offer(event)

    @rule(session=st.sampled_from([A, B]), size=st.integers(0, 200))
    def change_queue(self, session: SessionID, size: int) -> None:
        self.replies += 1
        event = queue(f"{self.replies}:" + "q" * size, session=session)
        older, self.queues[session] = self.queues.get(session), render(event)
        if older in self.kept:
            self.kept.remove(older)
        with self.keeping(render(event)):
            self.outbox.offer(event)

    @rule(size=st.integers(0, 200), is_large=st.booleans())
    def reply(self, size: int, is_large: bool) -> None:  # noqa: FBT001  # a drawn value
        self.replies += 1
        text = f"{self.replies}:" + "r" * (size + self.LIMIT * is_large)
        with self.keeping(text):
            self.outbox.put(text)

    @contextmanager
    def keeping(self, text: str) -> Generator[None]:
        """It is taken if less than the limit waits, deltas left out; each session may have to hear resync."""
        waiting = sum(frame.size for frame in self.outbox._queue if frame.delta is None)
        resyncs = 2 * len(render(Event(A, "1", 0, Resync())))
        had_overflowed = self.outbox.overflowed
        self.kept.append(text)
        self.largest = max(self.largest, len(text.encode()) + resyncs)
        yield
        assert self.outbox.overflowed <= (had_overflowed or waiting + resyncs >= self.LIMIT)

    @rule(session=st.sampled_from([A, B]))
    def attach(self, session: SessionID) -> None:
        answer = msgspec.json.encode({"attach": str(session), "text": self.said[session]}).decode()
        if (
            len(answer.encode()) + self.outbox.size < self.LIMIT // 2
        ):  # a client this slow does not get to ask
            with self.keeping(answer):
                self.outbox.put(answer)
            self.outbox.resumed(session)

    @rule(count=st.integers(1, 5))
    def take(self, count: int) -> None:
        for _ in range(count):
            frame = self.outbox.take()
            if frame is not None:
                self.client(frame)

    def client(self, frame: str) -> None:
        if frame[0] != "{":
            assert frame == self.kept.pop(0)
            return
        decoded = msgspec.json.decode(frame)
        session = SessionID.parse(decoded.get("session") or decoded["attach"])
        if "attach" in decoded:
            assert frame == self.kept.pop(0)
            self.heard[session], self.stale[session] = decoded["text"], False
        elif decoded["type"] == "Resync":
            self.stale[session] = True
        elif decoded["type"] == "TurnDelta":
            data = decoded["data"]
            if not self.stale[session]:
                assert data["offset"] == len(self.heard[session])
                self.heard[session] += data["text"]
        else:
            assert frame == self.kept.pop(0)

    @precondition(lambda self: not self.outbox.overflowed)
    @rule()
    def take_everything(self) -> None:
        while (frame := self.outbox.take()) is not None:
            self.client(frame)
        assert self.kept == []
        assert self.outbox.size == 0
        for session in (A, B):
            assert self.stale[session] == (session in self.outbox._dropped)
            assert self.stale[session] or self.heard[session] == self.said[session]

    @invariant()
    def it_is_bounded(self) -> None:
        queued = [frame.text or "".join(frame.texts) for frame in self.outbox._queue]
        assert sum(len(text.encode()) for text in queued) <= self.outbox.size < self.LIMIT + self.largest + 1


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
