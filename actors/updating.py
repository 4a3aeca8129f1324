"""How the facts that people and the host set are set anew. Pure."""

from typing import cast

import msgspec

from ..persistence.records import SessionUpdated
from .commands import Update
from .conversation import Conversation, Rules, Step, appended, created, facts_of, with_facts
from .effects import AnswerFacts
from .errors import TooLargeError

MAX_TAGS = 100
MAX_CUSTOM_DATA = 64 * 1024  # bytes of JSON


def update(state: Conversation, command: Update, at: int, rules: Rules) -> Step:
    """Set what the command names; what is equal already is no change, and no change is not stored."""
    state = created(state, at, rules) if command.create else state
    facts = facts_of(state)
    wanted = msgspec.structs.asdict(command.change(facts))
    changed = {
        name: value for name, value in wanted.items() if value is not None and value != getattr(facts, name)
    }
    answer = AnswerFacts(command.reply, lambda after: after)
    if not changed:
        return Step(state, (), (answer,))
    _check(changed, rules.max_pending_bytes)
    state, entry = appended(state, SessionUpdated(**changed), at)
    state = with_facts(state, msgspec.structs.replace(facts_of(state), **changed))
    return Step(state, (entry,), (answer,))


def _check(changed: dict[str, object], max_bytes: int) -> None:
    for name, value in changed.items():
        most, unit = MAX_CUSTOM_DATA if name == "custom_data" else max_bytes, "bytes"
        size = len(value.encode()) if isinstance(value, str) else len(msgspec.json.encode(value))
        if name == "tags" and isinstance(value, tuple):
            size, most, unit = len(cast("tuple[str, ...]", value)), MAX_TAGS, "tags"
        if size > most:
            raise TooLargeError(f"{name}: expected at most {most} {unit}, met {size}", field=name)
