"""How conversations end and grow old: new, reset, archive, delete, and what silence does. Pure."""

import msgspec

from ..persistence.records import Ending, EndReason, SessionEnded, SessionFacts, SessionState
from .commands import Age, End, Expected, SetState
from .conversation import Conversation, Rules, Step, appended, epoch_string, facts_of, with_facts
from .effects import Answer, AnswerFacts, AnswerWhenTold
from .errors import ConflictError
from .life import END_REASONS, require_transition
from .turning import stopped


def end(state: Conversation, command: End, said: str, at: int, rules: Rules) -> Step:
    """End the conversation: its turn is cut off and its queue emptied first."""
    facts = facts_of(state)
    _require(facts, command.expected)
    if command.verb == "archive" and facts.state is SessionState.ARCHIVED:
        return Step(state, (), (Answer(command.reply, facts),))
    so_far, _, before = stopped(state, said, at)
    ended = conclude(so_far, before, END_REASONS[command.verb], at, rules)
    if command.verb == "delete":
        return ended.with_effect(AnswerWhenTold(command.reply, facts))
    return ended.with_effect(AnswerFacts(command.reply, lambda after: after))


def age(state: Conversation, command: Age, at: int, rules: Rules) -> Step:
    """Let silence take effect, unless something has happened since the clock looked."""
    facts = state.facts
    is_at_work = rules.answers and (state.pending or state.turn)
    if facts is None or is_at_work or not _is_silent(facts, command):
        return Step(state, (), (Answer(command.reply, value=False),))
    answer = Answer(command.reply, value=True)
    if command.to is None or command.to is SessionState.ARCHIVED:
        reason = EndReason.DELETE if command.to is None else EndReason.TIMEOUT
        return conclude(Step(state), facts, reason, at, rules).with_effect(answer)
    require_transition(facts.state, command.to)
    return Step(_in_state(state, command.to, at), (), (answer,))


def set_state(state: Conversation, command: SetState, said: str, at: int, rules: Rules) -> Step:
    """Go on to a state as a row of the table allows."""
    facts = facts_of(state)
    require_transition(facts.state, command.to)
    if command.to is SessionState.ARCHIVED:
        return end(state, End("archive", command.reply), said, at, rules)
    answer = AnswerFacts(command.reply, lambda after: after)
    return Step(_in_state(state, command.to, at), (), (answer,))


def conclude(so_far: Step, told: SessionFacts, reason: EndReason, at: int, rules: Rules) -> Step:
    """The end of a conversation whose turn was cut off and whose queue was emptied, from the row ``told``."""
    end_id = rules.new_id()
    last = msgspec.structs.replace(
        facts_of(so_far.state),
        pending=told.pending,
        message_count=told.message_count,
        token_count=told.token_count,
    )
    ending = Ending(end_id, told.id, reason, at, last)
    if reason is EndReason.DELETE:
        gone = Conversation(told.id)
        return Step(gone, so_far.entries, so_far.effects, ending, removes=True)
    is_followed = reason in (EndReason.NEW, EndReason.RESET)
    body = SessionEnded(reason, end_id, told.epoch + 1 if is_followed else None)
    state, entry = appended(so_far.state, body, at)
    facts = facts_of(state)
    if is_followed:
        facts = _next_epoch(facts, at, title=facts.title if reason is EndReason.RESET else "")
    else:
        facts = msgspec.structs.replace(facts, state=SessionState.ARCHIVED, archived_at=at)
    return Step(with_facts(state, facts), (*so_far.entries, entry), so_far.effects, ending)


def _next_epoch(facts: SessionFacts, at: int, *, title: str) -> SessionFacts:
    # It begins now: counted from its last message, a long silence before would end it at once.
    return msgspec.structs.replace(
        facts,
        state=SessionState.ACTIVE,
        epoch=facts.epoch + 1,
        title=title,
        summary="",
        message_count=0,
        token_count=0,
        compaction_count=0,
        last_active_at=at,
        compacted_at=None,
        archived_at=None,
    )


def _in_state(state: Conversation, to: SessionState, at: int) -> Conversation:
    facts = facts_of(state)
    return with_facts(state, msgspec.structs.replace(facts, state=to, updated_at=at, archived_at=None))


def _is_silent(facts: SessionFacts, command: Age) -> bool:
    since = facts.silent_since
    return facts.state is command.state and since is not None and since < command.before


def _require(facts: SessionFacts, expected: Expected) -> None:
    if expected.epoch not in (None, epoch_string(facts)):
        raise ConflictError("epoch: expected the present one, met another", field="if_epoch")
    if expected.seq not in (None, facts.head_seq):
        text = f"seq: expected the present head, {facts.head_seq}, met {expected.seq}"
        raise ConflictError(text, field="if_seq")
