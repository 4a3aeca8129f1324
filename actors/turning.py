"""How turns end: by themselves, by Stop, by a crash; and how messages leave the queue without one. Pure."""

import msgspec

from ..persistence.records import (
    Entry,
    Message,
    QueueRemoved,
    SessionFacts,
    StopReason,
    TurnError,
    TurnFinished,
    TurnMark,
)
from .commands import CallTurn, Cancel, EndTurn, RemoveQueued, Stopped
from .conversation import Conversation, Rules, Step, appended, begin_next, facts_of, with_facts, with_pending
from .effects import Answer, Dropped, Finished
from .events import QueuedMessage

MAX_ATTEMPTS = 3  # the third crash on one message sets it aside
CUT_SHORT = frozenset({"cancelled", "interrupted", "timeout", "error", "budget"})


def call_turn(state: Conversation, command: CallTurn) -> Step:
    """Note that a turn's agent is called now, if the turn is still the one that is meant."""
    mark = state.turn
    is_meant = mark is not None and mark.turn_id == command.turn_id
    answer = Answer(command.reply, is_meant)
    if mark is None or not is_meant:
        return Step(state, (), (answer,))
    called = msgspec.structs.replace(facts_of(state), turn=msgspec.structs.replace(mark, is_waiting=False))
    return Step(with_facts(state, called), (), (answer,))


def end_turn(state: Conversation, command: EndTurn, at: int, rules: Rules) -> Step:
    """Store what a turn has said and how it ended, and begin the next."""
    mark = state.turn
    answer = Answer(command.reply, None)
    if mark is None or mark.turn_id != command.turn_id:
        return Step(state, (), (answer,))  # a turn given up before: whatever it says now is not ours to store
    may_retry = rules.on_interrupt == "retry" or not command.was_called
    retry = command.stop_reason == "interrupted" and may_retry
    ended = _finished(state, mark, command.text, command.stop_reason, at, retry=retry, error=command.error)
    return begin_next(Step(state, (), (answer,)).and_then(ended), at, rules)


def recover(state: Conversation, at: int, rules: Rules) -> Step:
    """Finish the turn that a crash cut off, once, and begin what waits."""
    mark = state.turn
    if mark is None or not rules.answers:  # who does not answer has no say in whether it is run again
        return begin_next(Step(state), at, rules)
    if mark.is_waiting:  # no crash was its agent's, which nobody has called
        ended = _finished(state, mark, "", "interrupted", at, retry=True)
        return begin_next(ended, at, rules, attempt=mark.attempt)
    retry = rules.on_interrupt == "retry" and mark.attempt < MAX_ATTEMPTS
    error = None
    if rules.on_interrupt == "retry" and mark.attempt >= MAX_ATTEMPTS:
        error = TurnError("set_aside", f"expected the turn to end, met {mark.attempt} crashes")
    ended = _finished(state, mark, "", "interrupted", at, retry=retry, error=error)
    return begin_next(ended, at, rules, attempt=mark.attempt + 1 if retry else 1)


def cancel(state: Conversation, command: Cancel, said: str, at: int, rules: Rules) -> Step:
    """Cut the running turn off, if it is the one that is meant, and begin the next."""
    facts_of(state)
    mark = state.turn
    if mark is None or command.turn_id not in (None, mark.turn_id):
        return Step(state, (), (Answer(command.reply, ()),))
    cut = _finished(state, mark, said, "cancelled", at)
    return begin_next(cut.with_effect(Answer(command.reply, (mark.turn_id,))), at, rules)


def remove_queued(state: Conversation, command: RemoveQueued, at: int) -> Step:
    """Take messages out of the queue."""
    facts_of(state)
    removed, messages = _taken_out(state, at, command.seq)
    return removed.with_effect(Answer(command.reply, messages))


def stopped(state: Conversation, said: str, at: int) -> tuple[Step, Stopped, SessionFacts]:
    """Cut the running turn off and empty the queue.

    Returns:
        The step, what it did, and the row in between, before anything is taken out of the conversation.
    """
    mark = state.turn
    cut = Step(state) if mark is None else _finished(state, mark, said, "cancelled", at)
    emptied, messages = _taken_out(cut.state, at)
    did = Stopped(() if mark is None else (mark.turn_id,), messages)
    return cut.and_then(emptied), did, facts_of(cut.state)


def _finished(  # noqa: PLR0913 - what is to be known of an end
    state: Conversation,
    mark: TurnMark,
    said: str,
    reason: StopReason,
    at: int,
    *,
    retry: bool = False,
    error: TurnError | None = None,
) -> Step:
    entries: tuple[Entry, ...] = ()
    if said:
        message = Message("assistant", said, partial=reason in CUT_SHORT)
        state, entry = appended(state, message, at, turn_id=mark.turn_id)
        entries = (entry,)
    body = TurnFinished(mark.message_seqs, reason, will_retry=retry, error=error)
    state, entry = appended(_without_turn(state, body), body, at, turn_id=mark.turn_id)
    return Step(state, (*entries, entry), (Finished(entry, said),))


def _without_turn(state: Conversation, body: TurnFinished) -> Conversation:
    state = with_facts(state, msgspec.structs.replace(facts_of(state), turn=None))
    if body.will_retry:
        return state
    return with_pending(state, tuple(e for e in state.pending if e.seq not in body.message_seqs))


def _taken_out(
    state: Conversation, at: int, seq: int | None = None
) -> tuple[Step, tuple[QueuedMessage, ...]]:
    """Take one waiting message out of the queue, or all: the live context never hears of them."""
    messages = tuple(message for message in state.queue if seq in (None, message.seq))
    if not messages:
        return Step(state), ()
    seqs = tuple(message.seq for message in messages)
    gone = [entry for entry in state.pending if entry.seq in seqs]
    state, entry = appended(state, QueueRemoved(seqs), at)
    state = with_pending(state, tuple(e for e in state.pending if e.seq not in seqs))
    facts = facts_of(state)
    facts = msgspec.structs.replace(
        facts,
        message_count=facts.message_count - len(gone),
        token_count=facts.token_count - sum(entry.tokens for entry in gone),
    )
    return Step(with_facts(state, facts), (entry,), (Dropped(entry),)), messages
