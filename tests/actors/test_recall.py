"""What a session keeps at hand: what was sent not long ago, and how many bytes all of it takes."""

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from greenroom.actors.context import weight
from greenroom.actors.recall import REMEMBERED, Recall
from greenroom.persistence.records import (
    CommandRan,
    EndReason,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

PLENTY = 10**9  # tokens
BUDGET = 20  # tokens


def sent(seq: int, content: str = "hello", tokens: int = 1) -> Entry:
    return Entry(seq, 1, 0, Message("user", content), tokens=tokens, client_id=f"client-{seq}")


def test_the_last_that_were_sent_are_known_by_their_client_ids() -> None:
    for recall, known in ((Recall(PLENTY), REMEMBERED), (Recall(1), REMEMBERED + 1)):
        entries = [sent(seq) for seq in range(1, REMEMBERED + 4)]
        for entry in entries:
            recall.add(entry)
        forgotten = len(entries) - known
        assert [recall.sent(f"client-{entry.seq}") for entry in entries[:forgotten]] == [None] * forgotten
        assert [recall.sent(f"client-{entry.seq}") for entry in entries[forgotten:]] == entries[forgotten:]


def test_what_was_looked_up_is_known_from_then_on_and_weighed() -> None:
    recall = Recall(PLENTY)
    assert recall.sent("client-1") is None
    recall.know(sent(1, "x" * 5000))
    assert recall.sent("client-1") == sent(1, "x" * 5000)
    assert recall.bytes > 5000


def test_what_left_the_context_is_weighed_for_as_long_as_it_is_known() -> None:
    recall = Recall(1)
    for seq in range(1, REMEMBERED + 1):
        recall.add(sent(seq, "x" * 5000))
    assert recall.bytes > REMEMBERED * 5000
    recall.add(Entry(REMEMBERED + 1, 1, 0, SessionEnded(EndReason.NEW, "end", next_epoch=2)))
    assert recall.context.bytes == 0
    assert recall.bytes > REMEMBERED * 5000
    for seq in range(REMEMBERED + 2, 2 * REMEMBERED + 2):
        recall.add(sent(seq, "x"))
    assert recall.bytes < REMEMBERED * 1000


def test_a_session_that_was_removed_leaves_nothing_behind() -> None:
    recall = Recall(PLENTY)
    recall.add(sent(1))
    recall.clear()
    assert (recall.bytes, recall.sent("client-1"), recall.context.before(9, ())) == (0, None, ())


@pytest.mark.parametrize(
    "content",
    [
        lambda seq: f"{seq}: short",
        lambda seq: f"{seq}: Is the blue room free on Friday? " * 30,
        lambda seq: f"{seq}: Ist das blaue Zimmer am Freitag für uns verfügbar? " * 10,
        lambda seq: f"{seq}: Свободна ли синяя комната в пятницу? " * 10,
        lambda seq: f"{seq}: 星期五蓝色的房间有空吗。" * 10,
        lambda seq: "ok" if seq % 3 else f"{seq}: " + "🙂 a very long answer " * 200,
    ],
    ids=["short", "english", "german", "russian", "chinese", "mixed"],
)
@pytest.mark.parametrize("count", [4, 300], ids=["few", "many"])
@pytest.mark.parametrize("budget", [PLENTY, 150], ids=["whole", "trimmed"])
@pytest.mark.parametrize("talk", ["told", "sent"])
def test_its_bytes_are_within_half_again_of_what_it_takes(
    content: Callable[[int], str], count: int, budget: int, talk: str
) -> None:
    """As in a session: each text is new, was encoded for the store, and every other message is an answer.

    What measures coverage allocates, too, at each first pass over a line: there is one before, whose memory
    is kept, so that the measured pass finds none to use again.
    """

    def fill() -> Recall:
        recall = Recall(budget)
        for seq in range(1, count + 1):
            recall.add(_stored(seq, content(seq), talk))
        return recall

    former = fill()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        recall = fill()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / 1.5 < recall.bytes < taken * 1.5
    assert former.bytes == recall.bytes


def _stored(seq: int, content: str, talk: str) -> Entry:
    asks = seq % 2 > 0
    client_id = f"{seq:032}" if talk == "sent" and asks else None
    turn_id = f"{seq:016}" if talk == "sent" and not asks else None
    at = 1_800_000_000_000_000 + seq
    body = Message("user" if asks else "assistant", content)
    msgspec.json.encode(body)
    return Entry(seq, 1, at, body, tokens=1, client_id=client_id, turn_id=turn_id)


class Recalls(RuleBasedStateMachine):
    """Whatever happens, it knows and weighs what a plain list and a plain dict say it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.recall = Recall(BUDGET)
        self.context: list[Entry] = []
        self.sent: list[Entry] = []
        self.apart: list[Entry] = []
        self.seq = 0

    def add(self, entry: Entry) -> None:
        self.recall.add(entry)
        if entry in self.context:
            self.sent = [*self.sent, entry][-REMEMBERED:] if entry.client_id else self.sent
        elif entry.client_id:
            self.apart.append(entry)
        self.apart += [one for one in self.sent if one not in self.context]
        self.sent = [one for one in self.sent if one in self.context]
        self.apart = self.apart[-REMEMBERED:]

    def next(self) -> int:
        self.seq += 1
        return self.seq

    @rule(
        content=st.sampled_from(["a", "b" * 100, "ж" * 10]),
        tokens=st.integers(0, 25),
        has_id=st.booleans(),
        times=st.sampled_from([1, 1, 1, 30]),
    )
    def say(self, content: str, tokens: int, has_id: bool, times: int) -> None:  # noqa: FBT001 - by keyword
        for _ in range(times):
            seq = self.next()
            client_id = f"c{seq}" if has_id else None
            entry = Entry(seq, 1, 0, Message("user", content), tokens=tokens, client_id=client_id)
            self.context.append(entry)
            while len(self.context) > 1 and sum(one.tokens for one in self.context) > BUDGET:
                del self.context[0]
            self.add(entry)

    @rule()
    def run_command(self) -> None:
        seq = self.next()
        self.add(Entry(seq, 1, 0, CommandRan("title"), client_id=f"c{seq}"))

    @rule(back=st.integers(0, 80))
    def look_up(self, back: int) -> None:
        seq = self.seq - back
        if seq > 0 and not any(one.seq == seq for one in (*self.sent, *self.apart)):
            entry = Entry(seq, 1, 0, Message("user", "looked up"), client_id=f"c{seq}")
            self.recall.know(entry)
            self.apart = [*self.apart, entry][-REMEMBERED:]

    @rule(data=st.data())
    def remove_queued(self, data: st.DataObject) -> None:
        seqs = data.draw(st.lists(st.integers(0, self.seq), max_size=3))
        self.context = [entry for entry in self.context if entry.seq not in seqs]
        self.add(Entry(self.next(), 1, 0, QueueRemoved(tuple(seqs))))

    @rule()
    def begin_anew(self) -> None:
        self.context = []
        self.add(Entry(self.next(), 1, 0, SessionEnded(EndReason.NEW, "end", next_epoch=2)))

    @invariant()
    def knows_what_the_model_knows(self) -> None:
        assert self.recall.bytes == sum(map(weight, (*self.context, *self.apart)))
        assert self.recall.context.before(self.seq, ()) == tuple(entry.body for entry in self.context)
        known = {entry.client_id: entry for entry in (*self.apart, *self.sent)}
        for seq in range(1, self.seq + 1):
            assert self.recall.sent(f"c{seq}") is known.get(f"c{seq}")


TestRecalls = Recalls.TestCase
TestRecalls.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
