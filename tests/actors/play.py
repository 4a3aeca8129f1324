"""A conversation driven by hand: its rules and its journal, without actor, store or clock."""

from itertools import count
from typing import Any

from greenroom.actors.commands import Ack, EndTurn, Send
from greenroom.actors.conversation import Conversation, Rules, Step
from greenroom.actors.effects import Answer, AnswerWhenDone, Begin, Refuse, RefuseUnlessKnown
from greenroom.actors.reply import ReplySlot
from greenroom.actors.stepping import step
from greenroom.actors.turning import recover
from greenroom.persistence.records import Entry, StopReason, TurnMark

from tests.actors.hand import ANN

AT = 1_800_000_000_000_000
NEW = Conversation(ANN)


def rules(**given: Any) -> Rules:  # noqa: ANN401 - any field
    numbers = count(1)
    defaults = {"answers": True, "on_interrupt": "finish", "max_pending": 3, "max_pending_bytes": 1000}
    return Rules(**{**defaults, "new_id": lambda: f"id{next(numbers)}", **given})


class Play:
    """A conversation with its journal, driven by one command after another."""

    def __init__(self, given: Rules | None = None) -> None:
        self.rules = given or rules()
        self.state = NEW
        self.journal: list[Entry] = []
        self.last = Step(NEW)
        self.said = ""

    def send(self, client_id: str, content: str = "hello", **how: Any) -> Step:  # noqa: ANN401 - any field
        known = next((e for e in self.journal if e.client_id == client_id), None)
        return self.take(Send(client_id, content, ReplySlot[Ack](), **how), known)

    def end(self, reason: StopReason = "end_turn", text: str = "hi", turn_id: str | None = None) -> Step:
        running = self.state.turn.turn_id if self.state.turn else "none"
        return self.take(EndTurn(turn_id or running, text, reason, ReplySlot[None]()))

    def take(self, command: Any, known: Entry | None = None) -> Step:  # noqa: ANN401 - any command
        return self.adopt(step(self.state, command, known, self.said, AT, self.rules))

    def crash(self) -> Step:
        """What a restart from the store finds, and does."""
        facts = self.state.facts
        assert facts is not None
        pending = tuple(self.journal[seq - 1] for seq in facts.pending)
        return self.adopt(recover(Conversation(ANN, facts, pending), AT, self.rules))

    def adopt(self, taken: Step) -> Step:
        self.last, self.state = taken, taken.state
        self.journal += taken.entries
        return taken


def ack_of(taken: Step) -> Ack:
    effect = taken.effects[0]
    assert isinstance(effect, Answer | AnswerWhenDone), effect
    ack = effect.value if isinstance(effect, Answer) else effect.ack
    assert isinstance(ack, Ack)
    return ack


def refusal_of(taken: Step) -> Exception:
    (effect,) = taken.effects
    assert isinstance(effect, Refuse | RefuseUnlessKnown)
    assert taken.entries == ()
    return effect.error


def begun(taken: Step) -> TurnMark | None:
    return next((effect.mark for effect in taken.effects if isinstance(effect, Begin)), None)
