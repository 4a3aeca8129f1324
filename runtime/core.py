"""One running runtime: its parts, and how it ends."""

from dataclasses import dataclass, field, replace

import trio

from ..actors.hooks import HookManager
from ..actors.reads import Reads
from ..actors.ref import ActorRef
from ..actors.registry import Registry
from ..actors.router import Router
from ..actors.services import Begin
from ..actors.surroundings import Surroundings
from ..actors.topics import Topics
from ..actors.turn import Agent
from ..actors.writer import Writer
from .config import Limits
from .recovery import Recovery
from .stopping import stop_step
from .tokens import TokenCounter

SETTLE_DEADLINE = 1.0  # seconds for commands already delivered to take effect when the runtime stops
HOOK_GRACE = 0.2  # seconds for hooks that are quick, even when turns have used the whole drain


@dataclass(slots=True)
class Core:
    """What the faces of the runtime (manager, gateway) work with.

    Attributes:
        limits: What bounds it.
        agent: Who answers.
        reads: Reads the store off the loop.
        router: Brings commands to sessions.
        topics: Who listens to which session.
        registry: The live sessions.
        writer: The persistence actor.
        tokens: Counts the tokens of what is written.
        hooks: Who is told of the ends of conversations.
        recovery: Starts what a former process left unfinished.
        clocks: The service that lets silence take effect, while there is one.
        is_beyond_repair: A core service crashed again as soon as it was restarted: the runtime ends.
    """

    limits: Limits
    agent: Agent
    reads: Reads
    router: Router
    topics: Topics
    registry: Registry
    writer: Writer
    tokens: TokenCounter
    hooks: HookManager
    recovery: Recovery
    _around: Surroundings
    clocks: ActorRef[Begin] | None = None
    is_beyond_repair: bool = False
    _patience: trio.CancelScope = field(default_factory=trio.CancelScope)
    _stopping: trio.Event = field(default_factory=trio.Event)
    _stopped: trio.Event = field(default_factory=trio.Event)

    async def stop(self) -> None:
        """End all work: refuse commands, let turns end until the drain deadline, cut off and name the rest.

        What a cut-off turn has said is stored, and hooks that run may end. Idempotent: every call waits for
        the same end, and goes on towards it if its caller is cancelled.
        """
        self._stopping.set()
        await self._stopped.wait()

    async def run_stop(self) -> None:
        """Wait for `stop`, and do it: a task of its own, so that no cancellation leaves it half done."""
        with trio.CancelScope(shield=True):
            await self._stopping.wait()
            try:
                await self._stop()
            finally:
                self._stopped.set()  # a fault in here is raised, and keeps nobody waiting

    async def _stop(self) -> None:
        turns = self._around.turns
        self._around.rules = replace(self._around.rules, is_draining=True)
        with stop_step("commands", SETTLE_DEADLINE, self._around.report):
            await self.router.drain()
        if self.clocks is not None:
            await self.clocks.stop()
        turns.stop_waiting("interrupted")
        self._patience.deadline = trio.current_time() + self.limits.drain
        with self._patience:
            await turns.wait_until_idle()
        turns.stop_all("interrupted")
        with trio.move_on_after(self.limits.stop_grace):
            await turns.wait_until_idle()
        turns.report_running()
        await self._settle_ends()

    def hurry(self) -> None:
        """Give running turns no more time."""
        self._patience.cancel(reason="told to hurry")

    def give_up(self) -> None:
        """Begin to stop, and in a hurry: restarting a core service did not help."""
        self.is_beyond_repair = True
        self.hurry()
        self._stopping.set()

    async def _settle_ends(self) -> None:
        """Let hooks end in what is left of the drain; ends not told by then are told by the next start."""
        left = self._patience.deadline - trio.current_time()
        patience = HOOK_GRACE if self._patience.cancel_called else max(left, HOOK_GRACE)
        with stop_step("hooks", patience, self._around.report):
            await self._around.ends.settle()
        self._around.ends.close()
