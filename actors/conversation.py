"""The state of a conversation, and the pieces that its rules are made of. Pure.

Theory of operation. A user message is *pending* from the commit that stores it until a ``turn.finished`` or
``queue.removed`` entry names it. One turn runs at a time and takes the oldest pending message; the row says
so (``facts.turn``) in the same commit that makes the turn the next one, before its agent runs. So a restart
finds every turn that may have run, finishes it once as ``interrupted``, and runs it again only if its agent
allows that.

Nothing here waits, reads a clock or touches a store. The session actor adopts a new state only when the
entries that led to it are durable.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import Body, Ending, Entry, Message, SessionFacts, TurnMark
from .effects import Begin, Effect
from .errors import SessionNotFoundError
from .events import QueuedMessage
from .life import after_message


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules depend on besides state and command.

    Attributes:
        answers: Whether messages start turns at all.
        on_interrupt: Whether an interrupted turn is run again or used up.
        max_pending: Messages that may wait for a turn.
        max_pending_bytes: What may wait already when another message comes, in bytes of content: the queue is
            told whole to whoever attaches. No fact that is a text may be longer either.
        new_id: Draws an opaque string, at most 32 characters, never the same twice.
        commands: Whether messages such as ``/new`` are commands.
        is_draining: No further turn begins.
        must_wait: Whether a turn that begins now finds its agent at work on too many others.
    """

    answers: bool
    on_interrupt: Literal["retry", "finish"]
    max_pending: int
    max_pending_bytes: int
    new_id: Callable[[], str]
    commands: bool = True
    is_draining: bool = False
    must_wait: Callable[[], bool] = lambda: False


class Conversation(msgspec.Struct, frozen=True, gc=False):
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
    """What one command leads to.

    Attributes:
        state: The state afterwards.
        entries: What joins the journal; of a session that is removed, only the snapshot in ``ending``.
        effects: What is done once that is durable.
        ending: The end of a conversation, its messages still to be filled in.
        removes: The session is removed.
    """

    state: Conversation
    entries: tuple[Entry, ...] = ()
    effects: tuple[Effect, ...] = ()
    ending: Ending | None = None
    removes: bool = False

    def and_then(self, following: "Step") -> "Step":
        """Both steps as one; at most one of them may hold an end."""
        return Step(
            following.state,
            self.entries + following.entries,
            self.effects + following.effects,
            self.ending or following.ending,
            self.removes or following.removes,
        )

    def with_effect(self, effect: Effect) -> "Step":
        """The step with one more effect."""
        return replace(self, effects=(*self.effects, effect))


def epoch_string(facts: SessionFacts) -> str:
    """The opaque epoch that clients compare: the conversation's number and the row's tag."""
    return f"{facts.epoch}-{facts.tag}"


def content(entry: Entry) -> str:
    """The text of a message entry."""
    return entry.body.content if isinstance(entry.body, Message) else ""


def facts_of(state: Conversation) -> SessionFacts:
    """The row.

    Raises:
        SessionNotFoundError: There is none.
    """
    if state.facts is None:
        raise SessionNotFoundError(f"session {state.id}: expected it to exist, met none")
    return state.facts


def with_facts(state: Conversation, facts: SessionFacts) -> Conversation:
    """The state with another row."""
    return msgspec.structs.replace(state, facts=facts)


def created(state: Conversation, at: int, rules: Rules) -> Conversation:
    """The state with a row, a new one if there was none."""
    if state.facts is not None:
        return state
    tag = rules.new_id()[:16]
    return with_facts(
        state, SessionFacts(id=state.id, tag=tag, created_at=at, updated_at=at, last_active_at=at)
    )


def appended(
    state: Conversation, body: Body, at: int, *, client_id: str | None = None, turn_id: str | None = None
) -> tuple[Conversation, Entry]:
    """The state after one more entry; a message makes the session active."""
    facts = facts_of(state)
    seq = facts.head_seq + 1
    entry = Entry(seq, facts.epoch, at, body, client_id=client_id, turn_id=turn_id)
    facts = msgspec.structs.replace(facts, head_seq=seq, updated_at=at)
    if isinstance(body, Message):
        facts = msgspec.structs.replace(
            facts,
            message_count=facts.message_count + 1,
            last_active_at=at,
            state=after_message(facts.state),
            archived_at=None,
        )
    return with_facts(state, facts), entry


def with_pending(state: Conversation, pending: tuple[Entry, ...]) -> Conversation:
    """The state with other messages pending."""
    facts = msgspec.structs.replace(facts_of(state), pending=tuple(e.seq for e in pending))
    return msgspec.structs.replace(state, facts=facts, pending=pending)


def begin_next(so_far: Step, at: int, rules: Rules, *, attempt: int = 1) -> Step:
    """Begin the turn of the oldest pending message, if one may begin."""
    state = so_far.state
    if not rules.answers or rules.is_draining or state.turn is not None or not state.pending:
        return so_far
    first = state.pending[:1]
    mark = TurnMark(rules.new_id(), attempt, tuple(e.seq for e in first), rules.must_wait())
    begun = with_facts(state, msgspec.structs.replace(facts_of(state), turn=mark, updated_at=at))
    return so_far.and_then(Step(begun, (), (Begin(mark, first),)))
