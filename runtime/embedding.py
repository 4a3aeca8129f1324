"""The composition root of a host's own process: a runtime without sockets."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager

import trio

from ..actors.hooks import HookManager, SessionHook
from ..actors.reports import Reporter
from ..actors.turn import Agent
from ..actors.watchdog import watch_loop
from ..persistence.store import SessionStore
from .agents import find_agent
from .config import Config
from .manager import SessionManager
from .observability import log_report
from .opening import clock_settings, open_store
from .wiring import open_core

REGISTRATION = 10.0  # seconds for a host to register its first hook, before ends are told to nobody


@asynccontextmanager
async def open_manager(
    config: Config | None = None,
    *,
    store: SessionStore | None = None,
    agent: Agent | None = None,
    hooks: Sequence[SessionHook] = (),
    report: Reporter = log_report,
) -> AsyncGenerator[SessionManager]:
    """Run a session runtime in this process for the length of an ``async with``.

    Args:
        config: How it runs; its ``db`` is opened unless ``store`` is given.
        store: Where sessions are kept; closed at the end.
        agent: Who answers, instead of the one that the configuration names.
        hooks: Told of every end of a conversation, also of those that a former process had no time to tell.
            If there are none, ends are kept for the first that `SessionManager.register_hook` names, for
            `REGISTRATION` seconds.
        report: Told of crashes and refusals, on the event loop. What holds the loop up is logged instead, by
            `log_report` and from another thread: see `watch_loop`.

    Raises:
        StoreOpenError: The database cannot be used.
        AgentNotFoundError: The configured agent cannot be found.
        SupervisorFailedError: A core service crashed, was started again and soon crashed once more; its cause
            is that crash, a `WriterFailedError` if it was the writer's. The body was cancelled.
    """
    config = config or Config()
    agent = agent or find_agent(config.agent)
    if store is None:
        store = await trio.to_thread.run_sync(open_store, config)
    managed = HookManager(report)
    for hook in hooks:
        managed.register(hook)
    with ExitStack() as stack:
        unless_opened = stack.enter_context(ExitStack())
        unless_opened.callback(store.close)
        stack.enter_context(watch_loop(log_report))
        async with open_core(
            store,
            agent,
            config.limits,
            report,
            clocks=clock_settings(config.cleanup),
            hooks=managed,
            commands=config.commands,
            registration=REGISTRATION,
        ) as core:
            unless_opened.pop_all()  # from here on it is the writer who closes the store
            manager = SessionManager(core, config.isolation)
            stack.callback(manager.detach_all)
            yield manager
