"""Random conversations with crashes and drains: what holds after every step, whatever came before."""

from dataclasses import replace
from itertools import count
from typing import Literal

from greenroom.actors.commands import EndTurn, Open, Record, Send
from greenroom.actors.conversation import Conversation, Rules, Step, recover, step
from greenroom.actors.effects import Answer, AnswerWhenDone, Begin, Finished, Refuse
from greenroom.actors.errors import BusyError, IdConflictError
from greenroom.actors.reply import Reply, ReplySlot
from greenroom.persistence.records import Entry, Message, StopReason, TurnFinished, TurnMark
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.actors.hand import ANN

CLIENT_IDS = st.sampled_from("abcdefgh")
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
        taken = self.take(Send(client_id, content, reply, mode, until_done), known)
        answer = self.answer_to(reply, taken)
        stores = (
            not known and not (mode == "reject" and was_running) and not (self.rules.answers and was_full)
        )
        assert bool(taken.entries) is stores
        if known is not None and isinstance(known.body, Message) and known.body.content != content:
            assert isinstance(answer, Refuse)
            assert isinstance(answer.error, IdConflictError)
        elif known is None and not stores:
            assert isinstance(answer, Refuse)
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

    @rule(content=CONTENTS)
    def record(self, content: str) -> None:
        reply = ReplySlot[Entry]()
        taken = self.take(Record(Message("user", content), reply))
        assert isinstance(self.answer_to(reply, taken), Answer)

    @rule()
    def open(self) -> None:
        reply = ReplySlot[object]()
        assert isinstance(self.answer_to(reply, self.take(Open(reply))), Answer)

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
        taken = self.take(EndTurn(turn_id, text, reason, reply))
        assert isinstance(self.answer_to(reply, taken), Answer)
        return taken

    def take(self, command: Send | Record | Open | EndTurn, known: Entry | None = None) -> Step:
        self.at += 1
        return self.adopt(step(self.state, command, known, self.at, self.rules))

    def adopt(self, taken: Step) -> Step:
        was_running = self.state.turn
        self.state = taken.state
        for entry in taken.entries:
            self.journal.append(entry)
            if entry.client_id is not None and self.rules.answers:
                self.unanswered.append(entry.seq)
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
    def answer_to(reply: Reply[object], taken: Step) -> Answer | Refuse | AnswerWhenDone:
        (effect,) = [e for e in taken.effects if isinstance(e, Answer | Refuse | AnswerWhenDone)]
        assert effect.reply is reply
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
            messages = sum(isinstance(entry.body, Message) for entry in self.journal)
            assert self.state.facts.message_count == messages

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
