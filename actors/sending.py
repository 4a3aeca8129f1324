"""What becomes of a message that is sent: stored and answered, refused, or known already. Pure."""

import msgspec

from ..persistence.records import CommandRan, Entry, Message
from .commands import Ack, Record, Send, SendStatus
from .conversation import (
    Conversation,
    Rules,
    Step,
    appended,
    begin_next,
    content,
    created,
    facts_of,
    with_pending,
)
from .effects import Answer, AnswerWhenDone, Refuse, RefuseUnlessKnown
from .errors import BusyError, GreenroomError, IdConflictError, NotSupportedError
from .slash import command_in, repeat_command, run_command, text_of

BUSY_RETRY_AFTER = 1.0  # seconds; a full queue moves at the pace of turns


def send(  # noqa: PLR0913, PLR0917 - all that a message's fate depends on
    state: Conversation, command: Send, known: Entry | None, said: str, at: int, rules: Rules
) -> Step:
    """Store a message, and begin its turn if none runs."""
    if known is not None:
        return _send_again(state, command, known, rules)
    name = command_in(command.content, rules)
    if name is not None:
        return run_command(state, command, name, said, at, rules)
    if (refusal := _refusal(state, command, rules)) is not None:
        return Step(state, (), (RefuseUnlessKnown(command, refusal),))
    body = Message("user", text_of(command.content, rules))
    state, entry = appended(created(state, at, rules), body, at, client_id=command.client_id)
    if rules.answers:
        state = with_pending(state, (*state.pending, entry))
    begun = begin_next(Step(state, (entry,)), at, rules)
    ack = _ack(begun.state, entry, duplicate=False)
    if not rules.answers:  # nobody will answer: it is stored, and that was all
        ack = unanswered(ack, until_done=command.until_done)
    waits = command.until_done and rules.answers
    reply = AnswerWhenDone(command.reply, ack, until_done=True) if waits else Answer(command.reply, ack)
    return Step(begun.state, begun.entries, (reply, *begun.effects))


def record(state: Conversation, command: Record, at: int, rules: Rules) -> Step:
    """Store a message of any role, which starts no turn."""
    state, entry = appended(created(state, at, rules), command.message, at)
    return Step(state, (entry,), (Answer(command.reply, entry),))


def unanswered(ack: Ack, *, until_done: bool) -> Ack:
    """The ack of a message that nobody answers: stored, and done at once for a sender that waits."""
    if until_done:
        return msgspec.structs.replace(ack, status="done", stop_reason="end_turn", text="")
    return msgspec.structs.replace(ack, status="accepted")


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


def _send_again(state: Conversation, command: Send, known: Entry, rules: Rules) -> Step:
    if not _is_same(command, known, rules):
        conflict = IdConflictError(f"client_id: expected the content stored as seq {known.seq}, met another")
        return Step(state, (), (Refuse(command.reply, conflict),))
    if isinstance(known.body, CommandRan):
        return repeat_command(state, command, known, known.body)
    ack = _ack(state, known, duplicate=True)
    if not rules.answers:  # what waits, waits for another runtime
        ack = msgspec.structs.replace(ack, status="done", turn_id=None)
    if command.until_done or ack.status == "done":
        return Step(state, (), (AnswerWhenDone(command.reply, ack, until_done=command.until_done),))
    return Step(state, (), (Answer(command.reply, ack),))


def _is_same(command: Send, known: Entry, rules: Rules) -> bool:
    name = command_in(command.content, rules)
    if isinstance(known.body, CommandRan):
        return name == known.body.name
    return name is None and content(known) == text_of(command.content, rules)


def _ack(state: Conversation, entry: Entry, *, duplicate: bool) -> Ack:
    facts = facts_of(state)
    status: SendStatus = "done"
    turn_id = None
    if facts.turn and entry.seq in facts.turn.message_seqs:
        status, turn_id = "accepted", facts.turn.turn_id
    elif entry.seq in facts.pending:
        status = "queued"
    epoch = f"{entry.epoch}-{facts.tag}"
    return Ack(seq=entry.seq, epoch=epoch, status=status, duplicate=duplicate, turn_id=turn_id)
