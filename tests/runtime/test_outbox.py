"""An outbox stays within its bound, keeps what must arrive, and says so when text is missing."""

import msgspec
from greenroom.actors.events import Event, QueueChanged, Resync, TurnDelta, TurnStarted
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Entry, Message
from greenroom.runtime.outbox import JOIN_BYTES, Outbox
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

A = SessionID("agent", "web", "a")
B = SessionID("agent", "web", "b")


def render(event: Event) -> str:
    data = event.data
    name = type(data).__name__
    return msgspec.json.encode({"session": str(event.session), "type": name, "data": data}).decode()


def delta(offset: int, text: str, *, session: SessionID = A, turn: str = "t1", epoch: str = "1") -> Event:
    return Event(session, epoch, 0, TurnDelta(turn, offset, text))


def message(seq: int, content: str = "hello", *, session: SessionID = A) -> Event:
    return Event(session, "1", 0, Entry(seq, 1, 0, Message("user", content)))


def behind_a_queue(limit: int = 10_000) -> Outbox:
    """An outbox of a peer that lags, so that deltas are joined; the first frame is not of interest."""
    outbox = Outbox(limit, render)
    outbox.put("x" * (limit // 4))
    return outbox


def drain(outbox: Outbox) -> list[str]:
    return list(iter(outbox.take, None))


def deltas(frames: list[str]) -> list[tuple[int, str]]:
    datas = [msgspec.json.decode(frame)["data"] for frame in frames if frame[0] == "{"]
    return [(data["offset"], data["text"]) for data in datas if "offset" in data]


def test_frames_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10_000, render)
    outbox.put("one")
    outbox.offer(message(1))
    outbox.offer(delta(0, "hi"))
    outbox.put("two")
    assert drain(outbox) == ["one", render(message(1)), render(delta(0, "hi")), "two"]
    assert outbox.size == 0
    assert outbox.take() is None


def test_deltas_that_follow_one_another_become_one_frame() -> None:
    outbox = behind_a_queue()
    for offset, text in ((0, "über"), (4, " 👩‍👩 "), (9, '"\n\x00')):
        outbox.offer(delta(offset, text))
    whole = render(delta(0, 'über 👩‍👩 "\n\x00'))
    assert outbox.size == 2500 + len(whole.encode())
    assert drain(outbox)[1:] == [whole]


def test_a_client_that_keeps_up_is_shown_each_delta_as_it_was_said() -> None:
    outbox = Outbox(10_000, render)
    for offset, text in ((0, "hello "), (6, "big "), (10, "world")):
        outbox.offer(delta(offset, text))
    assert deltas(drain(outbox)) == [(0, "hello "), (6, "big "), (10, "world")]


def test_deltas_of_two_sessions_join_each_with_their_own() -> None:
    outbox = behind_a_queue()
    for offset in range(3):
        outbox.offer(delta(offset, "a"))
        outbox.offer(delta(offset, "b", session=B))
    assert deltas(drain(outbox)) == [(0, "aaa"), (0, "bbb")]


def test_text_never_moves_across_another_frame_of_its_session_or_a_reply() -> None:
    outbox = behind_a_queue()
    outbox.offer(delta(0, "a"))
    outbox.offer(Event(A, "1", 0, QueueChanged(())))
    outbox.offer(delta(1, "b"))
    outbox.put("reply")
    outbox.offer(delta(2, "c"))
    frames = drain(outbox)
    assert deltas(frames) == [(0, "a"), (1, "b"), (2, "c")]
    assert frames[4] == "reply"


def test_deltas_of_another_turn_epoch_or_offset_are_not_joined() -> None:
    outbox = behind_a_queue()
    outbox.offer(delta(0, "a"))
    outbox.offer(delta(2, "b"))
    outbox.offer(delta(3, "c", turn="t2"))
    outbox.offer(delta(4, "d", turn="t2", epoch="2"))
    assert deltas(drain(outbox)) == [(0, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_a_joined_delta_does_not_outgrow_its_bound() -> None:
    outbox = Outbox(10 * JOIN_BYTES, render)
    for i in range(3):
        outbox.offer(delta(i * 40_000, "x" * 40_000))
    frames = drain(outbox)
    assert "".join(text for _, text in deltas(frames)) == "x" * 120_000
    assert len(frames) == 3


def test_a_frame_taken_is_not_added_to() -> None:
    outbox = Outbox(10_000, render)
    outbox.offer(delta(0, "a"))
    assert deltas([outbox.take() or ""]) == [(0, "a")]
    outbox.offer(delta(1, "b"))
    assert deltas(drain(outbox)) == [(1, "b")]


def test_no_room_for_a_delta_costs_that_sessions_deltas_and_says_resync_once() -> None:
    outbox = Outbox(700, render)
    outbox.offer(delta(0, "b", session=B))
    outbox.offer(message(1))
    offset = 0
    while A not in outbox.dropped:
        outbox.offer(delta(offset, "a" * 50))
        offset += 50
    outbox.offer(delta(offset, "a"))
    assert list(outbox.dropped) == [A]
    assert drain(outbox) == [
        render(delta(0, "b", session=B)),
        render(message(1)),
        render(Event(A, "1", 0, Resync())),
    ]
    outbox.offer(delta(offset, "a"))
    assert drain(outbox) == []
    outbox.resumed(A)
    outbox.offer(delta(offset, "a"))
    assert deltas(drain(outbox)) == [(offset, "a")]


def test_what_must_arrive_takes_the_room_of_deltas_first() -> None:
    outbox = Outbox(1000, render)
    outbox.offer(delta(0, "a" * 300))
    outbox.offer(delta(0, "b" * 300, session=B))
    outbox.put("x" * 500)
    frames = drain(outbox)
    assert deltas(frames) == []
    assert frames[-1] == "x" * 500
    assert set(outbox.dropped) == {A, B}
    assert not outbox.overflowed


def test_what_must_arrive_and_cannot_overflows_for_good() -> None:
    for fill in (
        lambda box: box.put("x"),
        lambda box: box.offer(message(1)),
        lambda box: box.offer(started()),
    ):
        outbox = Outbox(100, render)
        outbox.put("x" * 100)
        assert not outbox.overflowed
        fill(outbox)
        assert outbox.overflowed
        outbox.put("y")
        outbox.offer(delta(0, "a"))
        assert (outbox.take(), outbox.size) == (None, 0)


def test_sizes_are_bytes_of_utf_8() -> None:
    outbox = Outbox(100, render)
    outbox.put("ü" * 50)
    assert outbox.size == 100
    assert not outbox.overflowed


def started() -> Event:
    return Event(A, "1", 0, TurnStarted("t1", (1,)))


class OutboxMachine(RuleBasedStateMachine):
    """Sessions stream turns and durable entries to a client that takes when it likes, and attaches anew."""

    LIMIT = 1500

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(self.LIMIT, render)
        self.kept: list[str] = []  # what must come out, in order
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
        self.kept.append(render(event))
        self.outbox.offer(event)

    @rule(size=st.integers(0, 200))
    def reply(self, size: int) -> None:
        self.replies += 1
        self.kept.append(f"{self.replies}:" + "r" * size)
        self.outbox.put(self.kept[-1])

    @rule(session=st.sampled_from([A, B]))
    def attach(self, session: SessionID) -> None:
        answer = msgspec.json.encode({"attach": str(session), "text": self.said[session]}).decode()
        if (
            len(answer.encode()) + self.outbox.size < self.LIMIT // 2
        ):  # a client this slow does not get to ask
            self.kept.append(answer)
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
            assert self.stale[session] == (session in self.outbox.dropped)
            assert self.stale[session] or self.heard[session] == self.said[session]

    @invariant()
    def it_is_bounded(self) -> None:
        queued = [frame.text or "".join(frame.texts) for frame in self.outbox._queue]
        assert sum(len(text.encode()) for text in queued) <= self.outbox.size <= self.LIMIT


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
