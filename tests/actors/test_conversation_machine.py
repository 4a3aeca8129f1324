"""Random conversations with crashes and drains: what holds after every step, whatever came before."""

from dataclasses import replace
from itertools import count
from typing import Literal

from greenroom.actors import commands
from greenroom.actors.conversation import Conversation, Rules, Step
from greenroom.actors.effects import (
    Answer,
    AnswerFacts,
    AnswerWhenDone,
    Begin,
    Finished,
    Reaction,
    Refuse,
    RefuseUnlessKnown,
)
from greenroom.actors.errors import BusyError, ConflictError, GreenroomError, IdConflictError
from greenroom.actors.life import TRANSITIONS, Turning
from greenroom.actors.reply import Reply, ReplySlot
from greenroom.actors.stepping import step
from greenroom.actors.turning import recover
from greenroom.persistence.records import (
    CommandRan,
    Ending,
    EndReason,
    Entry,
    Message,
    QueueRemoved,
    SessionEnded,
    SessionState,
    SessionUpdated,
    StopReason,
    TurnFinished,
    TurnMark,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.actors.hand import ANN

CLIENT_IDS = st.sampled_from("abcdefgh")
COMMAND_IDS = st.sampled_from(["/a", "/b", "/c", "/d", "/e", "/f"])
CONTENTS = st.sampled_from(["one", "two"])
STOP_REASONS = st.sampled_from(
    ["end_turn", "cancelled", "max_tokens", "refusal", "error", "timeout", "budget", "interrupted"]
)
MAX_PENDING = 4


class Conversations(RuleBasedStateMachine):
    """Keeps the journal as a store would, and a plain model of what is pending beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Conversation(ANN)
        self.journal: list[Entry] = []
        self.unanswered: list[int] = []  # user messages sent and not used up, by the journal's own account
        self.turn_ids: list[str] = []
        self.at = 0
        self.endings: list[Ending] = []
        self.entered: list[int] = []  # seqs of the messages in the live context

    @initialize(answers=st.booleans(), on_interrupt=st.sampled_from(["retry", "finish"]))
    def choose_rules(self, *, answers: bool, on_interrupt: Literal["retry", "finish"]) -> None:
        ids = count(1)
        self.rules = Rules(answers, on_interrupt, MAX_PENDING, 10_000, lambda: f"id{next(ids)}")

    @rule(
        client_id=CLIENT_IDS,
        content=CONTENTS,
        until_done=st.booleans(),
        mode=st.sampled_from(["followup", "reject"]),
    )
    def send(
        self, client_id: str, content: str, mode: Literal["followup", "reject"], *, until_done: bool
    ) -> None:
        known = next((e for e in self.journal if e.client_id == client_id), None)
        was_running, was_full = self.state.turn is not None, len(self.unanswered) >= MAX_PENDING
        reply = ReplySlot[object]()
        taken = self.take(commands.Send(client_id, content, reply, mode, until_done), known)
        answer = self.answer_to(reply, taken)
        stores = (
            not known and not (mode == "reject" and was_running) and not (self.rules.answers and was_full)
        )
        assert bool(taken.entries) is stores
        if known is not None and isinstance(known.body, Message) and known.body.content != content:
            assert isinstance(answer, Refuse)
            assert isinstance(answer.error, IdConflictError)
        elif known is None and not stores:
            assert isinstance(answer, RefuseUnlessKnown)
            assert isinstance(answer.error, BusyError)
        else:
            ack = answer.ack if isinstance(answer, AnswerWhenDone) else answer.value
            finished = known is not None and ack.status == "done"
            waits = finished or (until_done and (self.rules.answers or known is not None))
            assert isinstance(answer, AnswerWhenDone) is waits
            assert (ack.seq, ack.duplicate) == ((known or self.journal[-1]).seq, known is not None)
            running = self.state.turn.message_seqs if self.state.turn else ()
            if self.rules.answers:
                waiting = "queued" if ack.seq in self.unanswered else "done"
                assert ack.status == ("accepted" if ack.seq in running else waiting)

    @rule(name=st.sampled_from(["new", "reset", "stop", "archive", "help", "compact"]), client_id=COMMAND_IDS)
    def give_command(self, name: str, client_id: str) -> None:
        known = next((e for e in self.journal if e.client_id == client_id), None)
        before, length = self.state, len(self.journal)
        taken = self.take(commands.Send(client_id, f"/{name}", ReplySlot[object]()), known)
        if known is not None:
            assert self.state is before
            refused = known.body != CommandRan(name, "not_supported" if name == "compact" else None)
            assert isinstance(taken.effects[0], Refuse) is refused
            return
        (ran,) = [e for e in self.journal[length:] if isinstance(e.body, CommandRan)]
        assert (ran.body.name, ran.client_id) == (name, client_id)
        if name in ("new", "reset", "stop", "archive") and (
            before.facts is None or not self.is_archived(before)
        ):
            assert (self.state.turn, self.unanswered) == (None, [])

    @precondition(lambda self: self.state.facts is not None)
    @rule(
        verb=st.sampled_from(["new", "reset", "archive", "delete"]),
        epoch=st.sampled_from(["present", "another", None]),
        seq=st.sampled_from(["present", "another", None]),
    )
    def end_it(
        self, verb: Literal["new", "reset", "archive", "delete"], epoch: str | None, seq: str | None
    ) -> None:
        before = self.state
        facts = before.facts
        assert facts is not None
        epochs = {"present": f"{facts.epoch}-{facts.tag}", "another": "9-x", None: None}
        seqs = {"present": facts.head_seq, "another": facts.head_seq + 1, None: None}
        ends = len(self.endings)
        expected = commands.Expected(epochs[epoch], seqs[seq])
        taken = self.take(commands.End(verb, ReplySlot(), expected))
        if "another" in (epoch, seq):
            assert isinstance(taken.effects[0], Refuse)
            assert isinstance(taken.effects[0].error, ConflictError)
            assert self.state is before
            return
        if verb == "archive" and self.is_archived(before):
            assert (self.state, len(self.endings)) == (before, ends)
            return
        assert len(self.endings) == ends + 1
        ending, after = self.endings[-1], self.state.facts
        assert (ending.reason, ending.facts.epoch) == (EndReason(verb), facts.epoch)
        assert (ending.facts.turn, len(ending.facts.pending)) == (None, len(before.queue))
        if verb == "delete":
            assert after is None
            return
        assert after is not None
        kept = ("system_prompt", "tags", "custom_data", "created_at", "tag", "key")
        assert [getattr(after, name) for name in kept] == [getattr(facts, name) for name in kept]
        assert after.epoch == facts.epoch + (verb != "archive")
        assert (after.title == facts.title) or verb == "new"
        assert self.is_archived(self.state) is (verb == "archive")

    @rule(state=st.sampled_from(SessionState))
    def set_state(self, state: SessionState) -> None:
        before = self.state.facts
        taken = self.take(commands.SetState(state, ReplySlot()))
        settable = {(b, a) for b, turning, a in TRANSITIONS if turning is not Turning.NEW_EPOCH}
        if before is None or (before.state, state) not in settable:
            assert isinstance(taken.effects[0], Refuse)
        else:
            assert self.state.facts is not None
            assert self.state.facts.state is state

    @rule(
        state=st.sampled_from(SessionState), to=st.sampled_from([*SessionState, None]), ago=st.integers(0, 9)
    )
    def age(self, state: SessionState, to: SessionState | None, ago: int) -> None:
        lawful = {
            (SessionState.ACTIVE, SessionState.IDLE),
            (SessionState.IDLE, SessionState.SUSPENDED),
            (SessionState.ARCHIVED, None),
            *((s, SessionState.ARCHIVED) for s in SessionState if s is not SessionState.ARCHIVED),
        }
        if (state, to) not in lawful:
            return
        before = self.state
        taken = self.take(commands.Age(state, to, self.at - ago, ReplySlot()))
        went_on = self.state is not before
        assert taken.effects[-1].value is went_on  # type: ignore[union-attr]
        if went_on:
            assert before.facts is not None
            assert (before.facts.state, before.pending) == (state, ())
            assert (self.state.facts.state if self.state.facts else None) is to

    @rule(seq=st.integers(1, 20) | st.none())
    def remove_queued(self, seq: int | None) -> None:
        waiting = [message.seq for message in self.state.queue]
        taken = self.take(commands.RemoveQueued(ReplySlot(), seq))
        if self.state.facts is not None:
            gone = [m.seq for m in taken.effects[-1].value]  # type: ignore[union-attr]
            assert gone == [number for number in waiting if seq in (None, number)]

    @rule(is_the_one=st.booleans())
    def cancel(self, *, is_the_one: bool) -> None:
        mark = self.state.turn
        turn_id = None if is_the_one else "another"
        taken = self.take(commands.Cancel(ReplySlot(), turn_id))
        if self.state.facts is not None:
            cancelled = [mark.turn_id] if mark is not None and is_the_one else []
            assert list(next(e.value for e in taken.effects if isinstance(e, Answer))) == cancelled  # type: ignore[call-overload]

    @rule(title=st.sampled_from(["", "tea", "cake"]), tags=st.sampled_from([(), ("a",), None]))
    def update(self, title: str, tags: tuple[str, ...] | None) -> None:
        before = self.state.facts
        taken = self.take(commands.Update(lambda _: SessionUpdated(title=title, tags=tags), ReplySlot()))
        assert self.state.facts is not None
        assert self.state.facts.title == title
        assert tags is None or self.state.facts.tags == tags
        is_same = before is not None and before.title == title and tags in (None, before.tags)
        assert bool(taken.entries) is not (is_same or (before is None and not title and not tags))

    @staticmethod
    def is_archived(state: Conversation) -> bool:
        return state.facts is not None and state.facts.state is SessionState.ARCHIVED

    @rule(content=CONTENTS)
    def record(self, content: str) -> None:
        reply = ReplySlot[Entry]()
        taken = self.take(commands.Record(Message("user", content), reply))
        assert isinstance(self.answer_to(reply, taken), Answer)

    @rule()
    def open(self) -> None:
        reply = ReplySlot[object]()
        assert isinstance(self.answer_to(reply, self.take(commands.Open(reply))), AnswerFacts)

    @precondition(lambda self: self.state.turn is not None)
    @rule(text=st.sampled_from(["", "said"]), reason=STOP_REASONS)
    def end_turn(self, text: str, reason: StopReason) -> None:
        mark = self.state.turn
        assert mark is not None
        if reason == "interrupted":  # a turn is cut off by a drain only, and then nothing begins
            self.rules = replace(self.rules, is_draining=True)
        taken = self.end(mark.turn_id, text, reason)
        assert any(isinstance(effect, Finished) for effect in taken.effects)
        assert len(taken.entries) == (2 if text else 1)

    @precondition(lambda self: bool(self.turn_ids))
    @rule(data=st.data(), reason=STOP_REASONS)
    def end_former_turn(self, data: st.DataObject, reason: StopReason) -> None:
        running = self.state.turn.turn_id if self.state.turn else None
        former = data.draw(st.sampled_from(self.turn_ids))
        if former != running:
            before = self.state
            assert self.end(former, "late", reason).state is before

    @precondition(lambda self: self.state.facts is not None)
    @rule()
    def crash(self) -> None:
        facts = self.state.facts
        assert facts is not None
        pending = tuple(self.journal[seq - 1] for seq in facts.pending)
        taken = self.adopt(recover(Conversation(ANN, facts, pending), self.at, self.rules))
        assert len(taken.entries) == (facts.turn is not None)

    @rule()
    def restart_after_a_drain(self) -> None:
        if self.rules.is_draining:
            self.rules = replace(self.rules, is_draining=False)
            if self.state.facts is not None:
                self.crash()

    @rule()
    def drain(self) -> None:
        self.rules = replace(self.rules, is_draining=True)

    def end(self, turn_id: str, text: str, reason: StopReason) -> Step:
        reply = ReplySlot[None]()
        taken = self.take(commands.EndTurn(turn_id, text, reason, reply))
        assert isinstance(self.answer_to(reply, taken), Answer)
        return taken

    def take(self, command: commands.Stepped, known: Entry | None = None) -> Step:
        self.at += 1
        said = "so far" if self.state.turn and self.at % 2 else ""
        try:
            taken = step(self.state, command, known, said, self.at, self.rules)
        except GreenroomError as exc:
            taken = Step(self.state, (), (Refuse(command.reply, exc),))
        self.adopt(taken)
        return taken

    def adopt(self, taken: Step) -> Step:
        was_running = self.state.turn
        self.state = taken.state
        if taken.ending is not None:
            self.endings.append(taken.ending)
        if taken.removes:
            self.journal, self.unanswered, self.entered, self.turn_ids = [], [], [], []
        for entry in () if taken.removes else taken.entries:
            self.journal.append(entry)
            body = entry.body
            if entry.client_id is not None and self.rules.answers and isinstance(body, Message):
                self.unanswered.append(entry.seq)
            if isinstance(body, Message):
                self.entered.append(entry.seq)
            if isinstance(body, QueueRemoved):
                self.unanswered = [seq for seq in self.unanswered if seq not in body.seqs]
                self.entered = [seq for seq in self.entered if seq not in body.seqs]
            if isinstance(body, SessionEnded) and body.next_epoch is not None:
                self.entered = []
            if isinstance(entry.body, TurnFinished) and not entry.body.will_retry:
                self.unanswered = [seq for seq in self.unanswered if seq not in entry.body.message_seqs]
        begins = [effect.mark for effect in taken.effects if isinstance(effect, Begin)]
        assert len(begins) <= 1
        for mark in begins:
            self.begin(mark, was_running, taken)
        return taken

    def begin(self, mark: TurnMark, was_running: TurnMark | None, taken: Step) -> None:
        assert self.rules.answers
        assert not self.rules.is_draining
        assert was_running is None or ends_of(taken, was_running)
        assert mark == self.state.turn
        assert mark.turn_id not in self.turn_ids
        assert mark.attempt <= 3
        self.turn_ids.append(mark.turn_id)

    @staticmethod
    def answer_to(reply: Reply[object], taken: Step) -> Reaction:
        (effect,) = [e for e in taken.effects if isinstance(e, Reaction)]
        assert (effect.command.reply if isinstance(effect, RefuseUnlessKnown) else effect.reply) is reply
        return effect

    @invariant()
    def p4_seqs_are_dense_from_one(self) -> None:
        assert [entry.seq for entry in self.journal] == list(range(1, len(self.journal) + 1))
        if self.state.facts is not None:
            assert self.state.facts.head_seq == len(self.journal)

    @invariant()
    def p5_no_client_id_is_stored_twice(self) -> None:
        ids = [entry.client_id for entry in self.journal if entry.client_id is not None]
        assert len(ids) == len(set(ids))

    @invariant()
    def pending_is_what_no_turn_has_used_up(self) -> None:
        assert [entry.seq for entry in self.state.pending] == self.unanswered
        if self.state.facts is not None:
            assert list(self.state.facts.pending) == self.unanswered
        assert all(self.journal[entry.seq - 1] == entry for entry in self.state.pending)

    @invariant()
    def p14_a_running_turn_answers_the_oldest_pending_message(self) -> None:
        if self.state.turn is not None:
            assert list(self.state.turn.message_seqs) == self.unanswered[:1]
            assert [q.seq for q in self.state.queue] == self.unanswered[1:]

    @invariant()
    def something_runs_whenever_something_waits(self) -> None:
        if self.unanswered and not self.rules.is_draining:
            assert self.state.turn is not None or self.rules.answers is False

    @invariant()
    def messages_are_counted(self) -> None:
        if self.state.facts is not None:
            assert self.state.facts.message_count == len(self.entered)

    @invariant()
    def p12_each_attempt_is_finished_at_most_once(self) -> None:
        finished = [entry.turn_id for entry in self.journal if isinstance(entry.body, TurnFinished)]
        assert len(finished) == len(set(finished))
        assert set(finished) <= set(self.turn_ids)
        running = {self.state.turn.turn_id} if self.state.turn else set[str]()
        assert set(self.turn_ids) == set(finished) | running

    @invariant()
    def no_message_is_used_up_twice(self) -> None:
        used = [
            seq
            for entry in self.journal
            if isinstance(entry.body, TurnFinished) and not entry.body.will_retry
            for seq in entry.body.message_seqs
        ]
        assert len(used) == len(set(used))


def ends_of(taken: Step, mark: TurnMark) -> bool:
    return any(
        isinstance(entry.body, TurnFinished) and entry.turn_id == mark.turn_id for entry in taken.entries
    )


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
