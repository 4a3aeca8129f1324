"""The rules of a conversation, as a pure function: state + command → state + entries + effects.

Theory of operation. A user message is *pending* from the commit that stores it until a ``turn.finished``
entry names it. One turn runs at a time and takes the oldest pending message; the row says so
(``facts.turn``) in the same commit that makes the turn the next one, before its agent runs. So a restart
finds every turn that may have run, finishes it once as ``interrupted``, and runs it again only if its agent
allows that.

Nothing here waits, reads a clock or touches a store. The session actor adopts a new state only when the
entries that led to it are durable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import (
    Body,
    Entry,
    Message,
    SessionFacts,
    SessionState,
    TurnError,
    TurnFinished,
    TurnMark,
)
from .commands import Ack, Barrier, EndTurn, Open, Record, Send, SendStatus, Stepped
from .effects import Answer, AnswerWhenDone, Begin, Effect, Finished, Refuse
from .errors import (
    BusyError,
    GreenroomError,
    IdConflictError,
    NotSupportedError,
    SessionNotFoundError,
)
from .events import QueuedMessage

MAX_ATTEMPTS = 3  # the third crash on one message sets it aside
CUT_SHORT = frozenset({"cancelled", "interrupted", "timeout", "error", "budget"})
BUSY_RETRY_AFTER = 1.0  # seconds; a full queue moves at the pace of turns


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules depend on besides state and command.

    Attributes:
        answers: Whether messages start turns at all.
        on_interrupt: Whether an interrupted turn is run again or used up.
        max_pending: Messages that may wait for a turn.
        max_pending_bytes: What may wait already when another message comes, in bytes of content: the queue is
            told whole to whoever attaches.
        new_id: Draws an opaque string, at most 32 characters, never the same twice.
        is_draining: No further turn begins.
    """

    answers: bool
    on_interrupt: Literal["retry", "finish"]
    max_pending: int
    max_pending_bytes: int
    new_id: Callable[[], str]
    is_draining: bool = False


class Conversation(msgspec.Struct, frozen=True):
    """The state of one session.

    Attributes:
        id: Whose state it is.
        facts: Its row; None until it is created.
        pending: Entries no finished turn has used up, oldest first; those of the running turn included.
    """

    id: SessionID
    facts: SessionFacts | None = None
    pending: tuple[Entry, ...] = ()

    @property
    def turn(self) -> TurnMark | None:
        """The turn in progress."""
        return self.facts.turn if self.facts else None

    @property
    def queue(self) -> tuple[QueuedMessage, ...]:
        """Messages whose turn has not begun."""
        running = self.turn.message_seqs if self.turn else ()
        return tuple(QueuedMessage(e.seq, content(e)) for e in self.pending if e.seq not in running)


@dataclass(frozen=True, slots=True)
class Step:
    """What one command leads to."""

    state: Conversation
    entries: tuple[Entry, ...] = ()
    effects: tuple[Effect, ...] = ()


def epoch_string(facts: SessionFacts) -> str:
    """The opaque epoch that clients compare: the conversation's number and the row's tag."""
    return f"{facts.epoch}-{facts.tag}"


def content(entry: Entry) -> str:
    """The text of a message entry."""
    return entry.body.content if isinstance(entry.body, Message) else ""


def step(state: Conversation, command: Stepped, known: Entry | None, at: int, rules: Rules) -> Step:
    """Decide what a command leads to.

    Args:
        state: The conversation as it is.
        command: What is asked.
        known: The message already stored under a `Send`'s client id, as far as the caller knows.
        at: The present time, microseconds since the Unix epoch.
        rules: What else the decision depends on.
    """
    match command:
        case Send():
            return _send(state, command, known, at, rules)
        case Record(message, reply):
            state, entry = _append(_created(state, at, rules), message, at)
            return Step(state, (entry,), (Answer(reply, entry),))
        case Open(reply):
            state = _created(state, at, rules)
            return Step(state, (), (Answer(reply, state.facts),))
        case EndTurn():
            return _end_turn(state, command, at, rules)
        case Barrier(reply):
            return Step(state, (), (Answer(reply, None),))
        case _:
            assert_never(command)


def recover(state: Conversation, at: int, rules: Rules) -> Step:
    """Finish the turn that a crash cut off, once, and begin what waits."""
    mark = state.turn
    if mark is None:
        return _begin_next(Step(state), at, rules)
    retry = rules.answers and rules.on_interrupt == "retry" and mark.attempt < MAX_ATTEMPTS
    error = None
    if rules.on_interrupt == "retry" and mark.attempt >= MAX_ATTEMPTS:
        error = TurnError("set_aside", f"expected the turn to end, met {mark.attempt} crashes")
    body = TurnFinished(mark.message_seqs, "interrupted", will_retry=retry, error=error)
    state, entry = _append(_without_turn(state, body), body, at, turn_id=mark.turn_id)
    attempt = mark.attempt + 1 if retry else 1
    return _begin_next(Step(state, (entry,), (Finished(entry, ""),)), at, rules, attempt=attempt)


def _send(state: Conversation, command: Send, known: Entry | None, at: int, rules: Rules) -> Step:
    if known is not None:
        return _send_again(state, command, known)
    if (refusal := _refusal(state, command, rules)) is not None:
        return Step(state, (), (Refuse(command.reply, refusal),))
    body = Message("user", command.content)
    state, entry = _append(_created(state, at, rules), body, at, client_id=command.client_id)
    if rules.answers:
        state = _with_pending(state, (*state.pending, entry))
    begun = _begin_next(Step(state, (entry,)), at, rules)
    ack = _ack(begun.state, entry, duplicate=False)
    if not rules.answers:  # nobody will answer: it is stored, and that was all
        ack = unanswered(ack, until_done=command.until_done)
    waits = command.until_done and rules.answers
    reply = AnswerWhenDone(command.reply, ack, until_done=True) if waits else Answer(command.reply, ack)
    return Step(begun.state, begun.entries, (reply, *begun.effects))


def _refusal(state: Conversation, command: Send, rules: Rules) -> GreenroomError | None:
    if state.turn is not None and command.mode == "reject":
        return BusyError("session: expected no turn, met one running", retry_after=BUSY_RETRY_AFTER)
    if state.turn is not None and command.mode != "followup":
        text = f"mode: expected followup or reject while a turn runs, met {command.mode}"
        return NotSupportedError(text, field="mode")
    if rules.answers and len(state.pending) >= rules.max_pending:
        text = f"queue: expected at most {rules.max_pending} pending messages, met one more"
        return BusyError(text, retry_after=BUSY_RETRY_AFTER)
    waiting = sum(len(content(entry).encode()) for entry in state.pending) if rules.answers else 0
    if waiting > rules.max_pending_bytes:
        text = f"queue: expected at most {rules.max_pending_bytes} bytes of pending messages, met {waiting}"
        return BusyError(text, retry_after=BUSY_RETRY_AFTER)
    return None


def unanswered(ack: Ack, *, until_done: bool) -> Ack:
    """The ack of a message that nobody answers: stored, and done at once for a sender that waits."""
    if until_done:
        return msgspec.structs.replace(ack, status="done", stop_reason="end_turn", text="")
    return msgspec.structs.replace(ack, status="accepted")


def _send_again(state: Conversation, command: Send, known: Entry) -> Step:
    if content(known) != command.content:
        conflict = IdConflictError(f"client_id: expected the content stored as seq {known.seq}, met another")
        return Step(state, (), (Refuse(command.reply, conflict),))
    ack = _ack(state, known, duplicate=True)
    if command.until_done or ack.status == "done":
        return Step(state, (), (AnswerWhenDone(command.reply, ack, until_done=command.until_done),))
    return Step(state, (), (Answer(command.reply, ack),))


def _ack(state: Conversation, entry: Entry, *, duplicate: bool) -> Ack:
    facts = _facts(state)
    status: SendStatus = "done"
    turn_id = None
    if facts.turn and entry.seq in facts.turn.message_seqs:
        status, turn_id = "accepted", facts.turn.turn_id
    elif entry.seq in facts.pending:
        status = "queued"
    epoch = f"{entry.epoch}-{facts.tag}"
    return Ack(seq=entry.seq, epoch=epoch, status=status, duplicate=duplicate, turn_id=turn_id)


def _end_turn(state: Conversation, command: EndTurn, at: int, rules: Rules) -> Step:
    mark = state.turn
    answer = Answer(command.reply, None)
    if mark is None or mark.turn_id != command.turn_id:
        return Step(state, (), (answer,))  # a turn given up before: whatever it says now is not ours to store
    retry = command.stop_reason == "interrupted" and rules.on_interrupt == "retry"
    entries: tuple[Entry, ...] = ()
    if command.text:
        message = Message("assistant", command.text, partial=command.stop_reason in CUT_SHORT)
        state, entry = _append(state, message, at, turn_id=mark.turn_id)
        entries = (entry,)
    body = TurnFinished(mark.message_seqs, command.stop_reason, will_retry=retry, error=command.error)
    state, entry = _append(_without_turn(state, body), body, at, turn_id=mark.turn_id)
    effects = (answer, Finished(entry, command.text))
    return _begin_next(Step(state, (*entries, entry), effects), at, rules)


def _begin_next(so_far: Step, at: int, rules: Rules, *, attempt: int = 1) -> Step:
    state = so_far.state
    if not rules.answers or rules.is_draining or state.turn is not None or not state.pending:
        return so_far
    first = state.pending[:1]
    mark = TurnMark(rules.new_id(), attempt, tuple(e.seq for e in first))
    facts = msgspec.structs.replace(_facts(state), turn=mark, updated_at=at)
    begun = msgspec.structs.replace(state, facts=facts)
    return Step(begun, so_far.entries, (*so_far.effects, Begin(mark, first)))


def _created(state: Conversation, at: int, rules: Rules) -> Conversation:
    if state.facts is not None:
        return state
    tag = rules.new_id()[:16]
    facts = SessionFacts(id=state.id, tag=tag, created_at=at, updated_at=at, last_active_at=at)
    return msgspec.structs.replace(state, facts=facts)


def _append(
    state: Conversation, body: Body, at: int, *, client_id: str | None = None, turn_id: str | None = None
) -> tuple[Conversation, Entry]:
    facts = _facts(state)
    seq = facts.head_seq + 1
    entry = Entry(seq, facts.epoch, at, body, client_id=client_id, turn_id=turn_id)
    facts = msgspec.structs.replace(facts, head_seq=seq, updated_at=at)
    if isinstance(body, Message):
        facts = msgspec.structs.replace(
            facts, message_count=facts.message_count + 1, last_active_at=at, state=SessionState.ACTIVE
        )
    return msgspec.structs.replace(state, facts=facts), entry


def _with_pending(state: Conversation, pending: tuple[Entry, ...]) -> Conversation:
    facts = msgspec.structs.replace(_facts(state), pending=tuple(e.seq for e in pending))
    return msgspec.structs.replace(state, facts=facts, pending=pending)


def _without_turn(state: Conversation, body: TurnFinished) -> Conversation:
    state = msgspec.structs.replace(state, facts=msgspec.structs.replace(_facts(state), turn=None))
    if body.will_retry:
        return state
    return _with_pending(state, tuple(e for e in state.pending if e.seq not in body.message_seqs))


def _facts(state: Conversation) -> SessionFacts:
    if state.facts is None:
        raise SessionNotFoundError(f"session {state.id}: expected it to exist, met none")
    return state.facts
