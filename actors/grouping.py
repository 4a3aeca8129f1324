"""Which commands of a session share a commit."""

from collections.abc import Iterator, Sequence

from .commands import Attach, Command, Lone, Look, Send, Stepped
from .conversation import Rules
from .slash import command_in

# Characters of messages that share a commit: their events reach every subscriber in one step, which a client
# that reads must survive.
CHARACTERS = 256 * 1024


def grouped(commands: Sequence[Command], rules: Rules) -> Iterator[Attach | list[Stepped]]:
    """The commands in order: those that only add messages share a commit, others have one of their own."""
    group: list[Stepped] = []
    size = 0
    for command in commands:
        if isinstance(command, Look):
            continue
        if isinstance(command, Attach) or _is_alone(command, rules):
            if group:
                yield group
                group, size = [], 0
            yield command if isinstance(command, Attach) else [command]
            continue
        group.append(command)
        size += len(command.content) if isinstance(command, Send) else 0
        if size >= CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _is_alone(command: Stepped, rules: Rules) -> bool:
    if isinstance(command, Send):
        return command_in(command.content, rules) is not None
    return isinstance(command, Lone)
