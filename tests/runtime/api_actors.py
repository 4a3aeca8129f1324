"""The rows of the API table about actors: a greeter that is supervised, told, asked and ends itself."""

from typing import Final

import msgspec
from greenroom.actors import Actor, ActorRef, Finished, Question, Supervisor, open_supervisor

from .api_place import Row


class Name(msgspec.Struct, Question[str], frozen=True):
    """Who is to be greeted; nobody ends the greeter."""

    name: str


class Greeter(Actor[Name]):
    """Answers a name with a greeting."""

    def receive(self, message: Name) -> str:
        if not message.name:
            raise Finished("bye")
        return f"hello {message.name}"


async def greeted(_: object) -> list[object]:
    async with open_supervisor() as supervisor:
        ref = await supervisor.spawn(Greeter, restart="transient")
        answers: list[object] = [await ref.ask(Name("ann")), await ref.ask(Name(""))]
        await ref.watch()
        answers.append(ref.is_alive)
        return [isinstance(supervisor, Supervisor), isinstance(ref, ActorRef), *answers]


_NAMES = "Actor ActorRef Supervisor Question Finished open_supervisor"

ACTORS: Final = [Row(_NAMES, _NAMES, greeted, [True, True, "hello ann", "bye", False])]
