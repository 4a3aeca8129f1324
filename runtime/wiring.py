"""Puts one runtime together: store, writer, sessions, turns; nested in the order they are to end."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from ..actors.activation import Activation, open_activation
from ..actors.clocks import Clocks, ClockSettings
from ..actors.commands import Age
from ..actors.conversation import Rules
from ..actors.ends import Ends
from ..actors.hooks import HookManager
from ..actors.reads import Reads
from ..actors.registry import Registry
from ..actors.reports import Reporter, guarded
from ..actors.router import Router
from ..actors.services import CLOSE_WITHIN, keep_running, keep_writing, open_services
from ..actors.supervision import Supervisor
from ..actors.surroundings import Surroundings, now
from ..actors.topics import Topics
from ..actors.turn import Agent
from ..actors.turn_host import TurnHost
from ..actors.writer import Writer
from ..persistence.ids import SessionID
from ..persistence.records import SessionState
from ..persistence.store import SessionStore
from .config import Limits
from .core import Core
from .recovery import Recovery
from .stopping import stop_step
from .tokens import TokenCounter


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
        SupervisorFailedError: A core service (the writer, most likely) crashed and, started again, crashed
            soon once more; the cause is its error. The body was cancelled.
        WriterFailedError: The store could not be closed in order.
    """
    report = guarded(report)
    tokens = TokenCounter()
    writer = Writer(store, tokens, report)
    hooks = hooks or HookManager(report)
    async with open_services(report) as services:
        try:
            await keep_writing(services, writer)
            async with trio.open_nursery() as beside, trio.open_nursery() as turns:
                host = TurnHost(turns, agent, limits.turn, limits.stop_grace, report, limits.turns)
                around = Surroundings(
                    writer=writer,
                    reads=(reads := Reads(store)),
                    ends=Ends(reads, writer, hooks, report, registration),
                    topics=Topics(),
                    rules=_rules(agent, limits, host, commands=commands),
                    turns=host,
                    report=report,
                    context_tokens=limits.max_tokens,
                    content_bytes=limits.content_bytes,
                    wall=wall,
                )
                registry = Registry(limits.live_sessions, limits.live_bytes)
                async with open_activation(registry, around, limits.mailbox) as activation:
                    core = _wire(around, registry, activation, agent, limits, tokens, hooks)
                    beside.start_soon(core.run_stop)
                    beside.start_soon(_give_up, services, core)
                    try:
                        await keep_running(services, "ends", around.ends.run)
                        if recovers:
                            await keep_running(services, "recovery", core.recovery.run)
                        if clocks is not None:
                            core.clocks = await keep_running(
                                services, "clocks", _clocks(core, clocks, around).run
                            )
                        yield core
                    finally:
                        with trio.CancelScope(shield=True):
                            await core.stop()  # each of its steps is bounded
                        turns.cancel_scope.cancel(reason="the runtime has stopped")
                        beside.cancel_scope.cancel(reason="the runtime has stopped")
        finally:
            with stop_step("writer", CLOSE_WITHIN, report):
                await writer.close()  # noqa: ASYNC102 - shielded and bounded by its step


async def _give_up(services: Supervisor, core: Core) -> None:
    """Have the runtime stop when its services fail, even while the host's own code will not be cancelled."""
    try:
        await trio.sleep_forever()
    finally:
        if services.failure is not None:
            core.give_up()


def _rules(agent: Agent, limits: Limits, turns: TurnHost, *, commands: bool) -> Rules:
    return Rules(
        answers=agent.run is not None,
        on_interrupt=agent.on_interrupt,
        max_pending=limits.pending,
        max_pending_bytes=limits.content_bytes,
        new_id=partial(secrets.token_hex, 8),
        commands=commands,
        must_wait=lambda: turns.is_full,
    )


def _wire(  # noqa: PLR0913, PLR0917 - called once, right above
    around: Surroundings,
    registry: Registry,
    activation: Activation,
    agent: Agent,
    limits: Limits,
    tokens: TokenCounter,
    hooks: HookManager,
) -> Core:
    router = Router(activation, registry)
    recovery = Recovery(around.reads, router)
    around.refused = recovery.again
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
        recovery=recovery,
        _around=around,
    )


def _clocks(core: Core, settings: ClockSettings, around: Surroundings) -> Clocks:
    async def ask_age(session: SessionID, state: SessionState, to: SessionState | None, before: int) -> bool:
        return await core.router.ask(session, lambda reply: Age(state, to, before, reply))

    return Clocks(settings, around.reads, ask_age, around.wall, around.report)
