"""Messages that are commands: which, what they do, and how a repeated one is answered. Pure."""

from typing import Final

from ..persistence.records import CommandRan, Entry, SessionFacts, SessionState
from .commands import Ack, CommandOutcome, EndVerb, Send, Stopped
from .conversation import Conversation, Rules, Step, appended, begin_next, created, facts_of
from .effects import Answer, AnswerFacts
from .ending import conclude
from .life import END_REASONS
from .turning import stopped

_HELP: Final = {
    "new": "begin a new conversation; the former one can still be read",
    "reset": "begin again under the same title",
    "compact": "put a summary in the place of older messages",
    "stop": "cut the answer off and forget the messages that wait",
    "archive": "close the conversation until the next message",
    "help": "show this list",
}
HELP_TEXT: Final = "\n".join(f"/{name}: {what}" for name, what in _HELP.items())

_ENDS: Final[dict[str, EndVerb]] = {"new": "new", "reset": "reset", "archive": "archive"}
_UNSUPPORTED: Final = {"compact": "not_supported"}


def command_in(content: str, rules: Rules) -> str | None:
    """The name of the command that a content is, if it is one."""
    name = content[1:]
    return name if rules.commands and content[:1] == "/" and name in _HELP else None


def text_of(content: str, rules: Rules) -> str:
    """The message that a content stands for: a second slash before a command makes it one."""
    return content[1:] if rules.commands and content.startswith("//") else content


def run_command(  # noqa: PLR0913, PLR0917 - all that its fate depends on
    state: Conversation, command: Send, name: str, said: str, at: int, rules: Rules
) -> Step:
    """Do what a command says, and store that it was given: in one commit, so that a repeat does nothing."""
    so_far = Step(created(state, at, rules))
    did, before = Stopped((), ()), facts_of(so_far.state)
    is_archived = name == "archive" and before.state is SessionState.ARCHIVED
    if name == "stop" or (name in _ENDS and not is_archived):
        so_far, did, before = stopped(so_far.state, said, at)
    body = CommandRan(name, _UNSUPPORTED.get(name))
    state, entry = appended(so_far.state, body, at, client_id=command.client_id)
    so_far = so_far.and_then(Step(state, (entry,)))
    epoch = f"{entry.epoch}-{facts_of(state).tag}"
    if name in _ENDS and not is_archived:
        so_far = conclude(so_far, before, END_REASONS[_ENDS[name]], at, rules)

    def ack(facts: SessionFacts) -> Ack:
        outcome = _outcome(name, body.error, facts, did)
        return Ack(seq=entry.seq, epoch=epoch, status="command", duplicate=False, outcome=outcome)

    return begin_next(so_far.with_effect(AnswerFacts(command.reply, ack)), at, rules)


def repeat_command(state: Conversation, command: Send, known: Entry, ran: CommandRan) -> Step:
    """Answer a command that was carried out before: with its place, and what holds now."""
    facts = facts_of(state)
    outcome = _outcome(ran.name, ran.error, facts, Stopped((), ()))
    epoch = f"{known.epoch}-{facts.tag}"
    ack = Ack(seq=known.seq, epoch=epoch, status="command", duplicate=True, outcome=outcome)
    return Step(state, (), (Answer(command.reply, ack),))


def _outcome(name: str, error: str | None, facts: SessionFacts, did: Stopped) -> CommandOutcome:
    if error is not None:
        return CommandOutcome(name, error=error)
    if name == "help":
        return CommandOutcome(name, HELP_TEXT)
    return CommandOutcome(name, did if name == "stop" else facts)
