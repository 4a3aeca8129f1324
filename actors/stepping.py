"""The rules of a conversation as one pure function: state + command → state + entries + effects."""

from collections.abc import Callable, Sequence
from typing import assert_never

from ..persistence.records import Entry
from .commands import (
    Age,
    Barrier,
    CallTurn,
    Cancel,
    End,
    EndTurn,
    Open,
    Record,
    RemoveQueued,
    Send,
    SetState,
    Stepped,
    Update,
)
from .conversation import Conversation, Rules, Step, created
from .effects import Answer, AnswerFacts, Refuse
from .ending import age, end, set_state
from .errors import GreenroomError
from .sending import record, send
from .turning import call_turn, cancel, end_turn, remove_queued
from .updating import update


def step_all(  # noqa: PLR0913, PLR0917 - what `step` depends on
    state: Conversation,
    commands: Sequence[Stepped],
    sent: Callable[[str], Entry | None],
    said: str,
    at: int,
    rules: Rules,
) -> Step:
    """Decide what several commands lead to, one after the other; what is refused changes nothing.

    Args:
        state: The conversation as it is.
        commands: What is asked.
        sent: Finds the entry stored under a client id, as far as the caller knows.
        said: All that the running turn has said so far.
        at: The present time, microseconds since the Unix epoch.
        rules: What else the decision depends on.
    """
    taken = Step(state)
    fresh: dict[str, Entry] = {}
    for command in commands:
        known = None
        if isinstance(command, Send):
            known = fresh.get(command.client_id) or sent(command.client_id)
        try:
            one = step(taken.state, command, known, said, at, rules)
        except GreenroomError as exc:
            # Without its way here: that holds this frame, which will hold the refusal, and all that is above.
            one = Step(taken.state, (), (Refuse(command.reply, exc.with_traceback(None)),))
        fresh.update({entry.client_id: entry for entry in one.entries if entry.client_id is not None})
        taken = taken.and_then(one)
    return taken


def step(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0917 - one line for each kind of command
    state: Conversation, command: Stepped, known: Entry | None, said: str, at: int, rules: Rules
) -> Step:
    """Decide what a command leads to.

    Args:
        state: The conversation as it is.
        command: What is asked.
        known: The entry already stored under a `Send`'s client id, as far as the caller knows.
        said: All that the running turn has said so far.
        at: The present time, microseconds since the Unix epoch.
        rules: What else the decision depends on.

    Raises:
        GreenroomError: The command is refused, and nothing changes.
    """
    match command:
        case Send():
            return send(state, command, known, said, at, rules)
        case Record():
            return record(state, command, at, rules)
        case Open(reply):
            return Step(created(state, at, rules), (), (AnswerFacts(reply, lambda facts: facts),))
        case CallTurn():
            return call_turn(state, command)
        case EndTurn():
            return end_turn(state, command, at, rules)
        case Cancel():
            return cancel(state, command, said, at, rules)
        case RemoveQueued():
            return remove_queued(state, command, at)
        case Update():
            return update(state, command, at, rules)
        case End():
            return end(state, command, said, at, rules)
        case Age():
            return age(state, command, at, rules)
        case SetState():
            return set_state(state, command, said, at, rules)
        case Barrier(reply):
            return Step(state, (), (Answer(reply, None),))
        case _:
            assert_never(command)
