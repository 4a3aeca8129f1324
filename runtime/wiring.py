"""Puts one runtime together: store, writer, sessions, turns; nested in the order they are to end."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from ..actors.clocks import ClockSettings, run_clocks
from ..actors.commands import Age
from ..actors.conversation import Rules
from ..actors.ends import Ends
from ..actors.hooks import HookManager
from ..actors.reads import Reads
from ..actors.registry import Registry
from ..actors.reports import Reporter
from ..actors.router import Router
from ..actors.supervisor import Supervisor
from ..actors.surroundings import Surroundings, now
from ..actors.topics import Topics
from ..actors.turn import Agent
from ..actors.turn_host import TurnHost
from ..actors.writer import Writer
from ..persistence.ids import SessionID
from ..persistence.records import SessionState
from ..persistence.store import SessionStore
from .config import Limits
from .core import SETTLE_DEADLINE, Core
from .recovery import Recovery
from .tokens import TokenCounter

CLOSE_DEADLINE = 5.0  # seconds for the last commits and the checkpoint


@asynccontextmanager
async def open_core(  # noqa: PLR0913 - what a runtime is made of
    store: SessionStore,
    agent: Agent,
    limits: Limits,
    report: Reporter,
    *,
    clocks: ClockSettings | None = None,
    hooks: HookManager | None = None,
    commands: bool = True,
    registration: float = 0.0,
    recovers: bool = True,
    wall: Callable[[], int] = now,
) -> AsyncGenerator[Core]:
    """Run a runtime on a store, which it closes at the end.

    Args:
        store: Where sessions are kept.
        agent: Who answers.
        limits: What bounds it.
        report: Told of failures.
        clocks: What silence leads to; to nothing if not given.
        hooks: Who is told of the ends of conversations.
        commands: Whether messages such as ``/new`` are commands.
        registration: Seconds that ends wait for the first hook, if none is given; see `Ends`.
        recovers: Whether sessions that a former process left with work to do are started.
        wall: The present time, in microseconds since the Unix epoch.

    Raises:
        WriterFailedError: In a group, if writing has become impossible.
    """
    tokens = TokenCounter()
    writer = Writer(store, tokens, report)
    hooks = hooks or HookManager(report)
    async with trio.open_nursery() as core_nursery:
        await core_nursery.start(writer.run)
        try:
            async with trio.open_nursery() as sessions, trio.open_nursery() as turns:
                around = Surroundings(
                    writer=writer,
                    reads=(reads := Reads(store)),
                    ends=(ends := Ends(reads, writer, hooks, report, registration)),
                    topics=Topics(),
                    rules=_rules(agent, limits, commands=commands),
                    turns=TurnHost(turns, agent, limits.turn, limits.stop_grace, report),
                    report=report,
                    context_tokens=limits.max_tokens,
                    content_bytes=limits.content_bytes,
                    wall=wall,
                )
                core = _wire(around, sessions, agent, limits, tokens, hooks)
                sessions.start_soon(core.run_stop)
                sessions.start_soon(ends.run)
                if recovers:
                    sessions.start_soon(core.recovery.run)
                if clocks is not None:
                    sessions.start_soon(_run_clocks, core, clocks, wall, report)
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


def _rules(agent: Agent, limits: Limits, *, commands: bool) -> Rules:
    return Rules(
        answers=agent.run is not None,
        on_interrupt=agent.on_interrupt,
        max_pending=limits.pending,
        max_pending_bytes=limits.content_bytes,
        new_id=partial(secrets.token_hex, 8),
        commands=commands,
    )


def _wire(  # noqa: PLR0913, PLR0917 - called once, right above
    around: Surroundings,
    sessions: trio.Nursery,
    agent: Agent,
    limits: Limits,
    tokens: TokenCounter,
    hooks: HookManager,
) -> Core:
    registry = Registry(limits.live_sessions, limits.mailbox)
    router = Router(Supervisor(sessions, registry, around), registry)
    return Core(
        limits=limits,
        agent=agent,
        reads=around.reads,
        router=router,
        topics=around.topics,
        registry=registry,
        writer=around.writer,
        tokens=tokens,
        hooks=hooks,
        recovery=Recovery(around.reads, router),
        _around=around,
        clocks=trio.CancelScope(),
        _patience=trio.CancelScope(),
        _stopping=trio.Event(),
        _stopped=trio.Event(),
    )


async def _run_clocks(core: Core, settings: ClockSettings, wall: Callable[[], int], report: Reporter) -> None:
    async def ask_age(session: SessionID, state: SessionState, to: SessionState | None, before: int) -> bool:
        return await core.router.ask(session, lambda reply: Age(state, to, before, reply))

    with core.clocks:
        await run_clocks(settings, core.reads, ask_age, wall, report)
