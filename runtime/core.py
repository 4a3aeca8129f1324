"""The wiring of one runtime: store, writer, sessions, turns; nested in the order they are to end."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio

from ..actors.conversation import Rules
from ..actors.errors import UnavailableError
from ..actors.reads import Reads
from ..actors.registry import Registry
from ..actors.reports import Reporter
from ..actors.router import Router
from ..actors.supervisor import Supervisor
from ..actors.surroundings import Surroundings
from ..actors.topics import Topics
from ..actors.turn import Agent
from ..actors.turn_host import TurnHost
from ..actors.writer import Writer
from ..persistence.store import SessionStore
from .config import Limits
from .tokens import TokenCounter

SETTLE_DEADLINE = 1.0  # seconds for commands already delivered to take effect when the runtime stops
CLOSE_DEADLINE = 5.0  # seconds for the last commits and the checkpoint
PAGE = 100  # sessions with unfinished work read at a time
PAUSE = 0.1  # seconds before trying again to start a session for which there was no room


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
    """

    limits: Limits
    agent: Agent
    reads: Reads
    router: Router
    topics: Topics
    registry: Registry
    writer: Writer
    tokens: TokenCounter
    _around: Surroundings
    _patience: trio.CancelScope
    _stopped: trio.Event
    _stopping: bool = False

    async def stop(self) -> None:
        """End all work: refuse commands, let turns end until the drain deadline, cut off and name the rest.

        What a cut-off turn has said is stored. Idempotent: a second call waits for the first.
        """
        if self._stopping:
            await self._stopped.wait()
            return
        self._stopping = True
        turns = self._around.turns
        self._around.rules = replace(self._around.rules, is_draining=True)
        with trio.move_on_after(SETTLE_DEADLINE):
            await self.router.drain()
        self._patience.deadline = trio.current_time() + self.limits.drain
        with self._patience:
            await turns.wait_until_idle()
        turns.stop_all("interrupted")
        with trio.move_on_after(self.limits.stop_grace):
            await turns.wait_until_idle()
        turns.report_running()
        self._stopped.set()

    def hurry(self) -> None:
        """Give running turns no more time."""
        self._patience.cancel(reason="told to hurry")


@asynccontextmanager
async def open_core(
    store: SessionStore, agent: Agent, limits: Limits, report: Reporter
) -> AsyncGenerator[Core]:
    """Run a runtime on a store, which it closes at the end.

    Raises:
        WriterFailedError: In a group, if writing has become impossible.
    """
    tokens = TokenCounter()
    writer = Writer(store, tokens, report)
    async with trio.open_nursery() as core_nursery:
        await core_nursery.start(writer.run)
        try:
            async with trio.open_nursery() as sessions, trio.open_nursery() as turns:
                core = _wire(store, writer, tokens, agent, limits, report, sessions, turns)
                if agent.run is not None:
                    sessions.start_soon(_resume_unfinished, core)
                try:
                    yield core
                finally:
                    with trio.move_on_after(_longest_stop(limits), shield=True):
                        await core.stop()
                    turns.cancel_scope.cancel(reason="the runtime has stopped")
                    sessions.cancel_scope.cancel(reason="the runtime has stopped")
        finally:
            with trio.move_on_after(CLOSE_DEADLINE, shield=True):
                await writer.close()


def _longest_stop(limits: Limits) -> float:
    return SETTLE_DEADLINE + limits.drain + limits.stop_grace + 1.0


def _wire(  # noqa: PLR0913, PLR0917 - called once, right above
    store: SessionStore,
    writer: Writer,
    tokens: TokenCounter,
    agent: Agent,
    limits: Limits,
    report: Reporter,
    sessions: trio.Nursery,
    turns: trio.Nursery,
) -> Core:
    registry = Registry(limits.live_sessions, limits.mailbox)
    topics, reads = Topics(), Reads(store)
    around = Surroundings(
        writer=writer,
        reads=reads,
        topics=topics,
        rules=Rules(
            answers=agent.run is not None,
            on_interrupt=agent.on_interrupt,
            max_pending=limits.pending,
            max_pending_bytes=limits.content_bytes,
            new_id=_new_id,
        ),
        turns=TurnHost(turns, agent, limits.turn, report),
        report=report,
        context_tokens=limits.max_tokens,
        content_bytes=limits.content_bytes,
    )
    supervisor = Supervisor(sessions, registry, around)
    return Core(
        limits=limits,
        agent=agent,
        reads=reads,
        router=Router(supervisor, registry),
        topics=topics,
        registry=registry,
        writer=writer,
        tokens=tokens,
        _around=around,
        _patience=trio.CancelScope(),
        _stopped=trio.Event(),
    )


def _new_id() -> str:
    return secrets.token_hex(8)


async def _resume_unfinished(core: Core) -> None:
    """Start the sessions that a former process left with work to do; others wait for a first command."""
    key, rows = 0, None
    while rows is None or rows:
        try:
            rows = await core.reads(core.reads.store.unfinished, key, PAGE)
        except UnavailableError as exc:
            await trio.sleep(exc.retry_after or PAUSE)
            continue
        for row in rows:
            key = row.key
            while not core.router.wake(row.id):  # noqa: ASYNC110 - room appears when any session rests
                await trio.sleep(PAUSE)
