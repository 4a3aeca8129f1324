"""What no session can do without: started again after a crash, given up if that does not help."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from .actor import Actor
from .opening import open_supervisor
from .ref import ActorRef
from .reports import Reporter
from .supervision import Supervisor
from .writer import ThreadDied, Writer, Writing

RESTARTS = 1  # a second crash so soon is no accident: what it came from is still there
PERIOD = 60.0  # seconds; a client whose message killed the writer repeats it sooner than that
CLOSE_WITHIN = 5.0  # seconds for the last commits and the checkpoint


class Begin(msgspec.Struct, frozen=True):
    """What a service tells itself as it starts."""


class Service(Actor[Begin]):
    """A loop that runs while its actor lives; after a crash it begins again.

    So a loop has to bear being cut off at any of its checkpoints, and being called again after that.
    """

    def __init__(self, loop: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop

    async def started(self) -> None:
        """Have the loop begin."""
        if not self.ref.depth:  # the mailbox outlives a crash, and in it a beginning that never came to be
            self.ref.tell(Begin())

    async def receive(self, message: Begin) -> None:  # noqa: ARG002 - there is only one
        """Run the loop."""
        await self._loop()


def open_services(report: Reporter) -> AbstractAsyncContextManager[Supervisor]:
    """Keep services: if one crashes it starts again, together with those that were started after it.

    Raises:
        SupervisorFailedError: One crashed more than `RESTARTS` times within `PERIOD`, whose error is the
            cause; the body was cancelled.
    """
    return open_supervisor("rest_for_one", intensity=RESTARTS, period=PERIOD, report=report)


async def keep_writing(services: Supervisor, writer: Writer) -> ActorRef[ThreadDied]:
    """Have a writer write from now on; what needs it is to be started after it."""
    return await services.spawn(Writing, writer, name="writer", stop_within=CLOSE_WITHIN)


async def keep_running(
    services: Supervisor, name: str, loop: Callable[[], Awaitable[None]]
) -> ActorRef[Begin]:
    """Start a service. It is cut off at once when it is stopped."""
    return await services.spawn(Service, loop, name=name, stop_within=0.0)
