"""The composition root of ``greenroom serve``: binds, opens, nests, announces, and ends in order."""

from collections.abc import AsyncIterator, Callable

import msgspec
import trio

from ..actors.reports import AgentWouldNotStop, Reporter
from ..actors.watchdog import watch_loop
from .agents import find_agent
from .bind import bind, port_of, url
from .collector import short_collections
from .config import Config
from .core import Core
from .gateway import Gateway
from .http.listener import make_app, serve_http
from .last_resort import EXIT_GRACE, SIGNALS, LastResort
from .observability import log_report, tell_at_once
from .opening import clock_settings, open_store
from .stopping import stop_step
from .websocket import CLOSE_DEADLINE
from .wiring import open_core


async def serve(config: Config, *, announce: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal gives running turns no more time.

    After a signal the process ends in time even if an agent will not; see `LastResort`.

    Args:
        config: What to serve, and where.
        announce: Called with the WebSocket and HTTP URLs when both listeners accept.

    Raises:
        AddressInUseError, BindError: A listener cannot be had.
        AgentNotFoundError: The configured agent cannot be found.
        StoreOpenError: The database cannot be used.
        SupervisorFailedError: A core service could not be kept up, as `open_core` says.
    """
    named: list[AgentWouldNotStop] = []
    report = _noting(named)
    with trio.open_signal_receiver(*SIGNALS) as signals, LastResort(config.limits.drain) as last_resort:
        agent = find_agent(config.agent)
        ws_listeners = await bind(config.host, config.port)
        http_listeners = await bind(config.host, config.http_port)
        store = await trio.to_thread.run_sync(open_store, config)
        # Only now: to import an agent may take long, and nobody waits yet.
        with short_collections(), watch_loop(tell_at_once):
            async with open_core(
                store,
                agent,
                config.limits,
                report,
                clocks=clock_settings(config.cleanup),
                commands=config.commands,
            ) as core:
                try:
                    http_port = port_of(http_listeners)
                    gateway = Gateway(config, core, http_port, report)
                    async with trio.open_nursery() as nursery:
                        await nursery.start(gateway.run, ws_listeners)
                        app = make_app(lambda: not core.router.is_draining)
                        await nursery.start(serve_http, app, http_listeners, report)
                        announce(
                            url("ws", config.host, port_of(ws_listeners), "/v1"),
                            url("http", config.host, http_port),
                        )
                        await anext(signals)
                        nursery.start_soon(_hurry_on_signal, signals, core)
                        gateway.stop_accepting()
                        named.clear()
                        await core.stop()
                        last_resort.all_is_stored()
                        if named:  # and then nothing in this loop can end them
                            last_resort.leave_soon()
                        with stop_step("connections", CLOSE_DEADLINE + 1.0, report):
                            await gateway.close_all()
                        nursery.cancel_scope.cancel(reason="drained")
                finally:
                    if core.is_beyond_repair:  # no signal will come; whatever will not end now is left
                        last_resort.leave_soon(EXIT_GRACE)


async def _hurry_on_signal(signals: AsyncIterator[int], core: Core) -> None:
    async for _ in signals:
        core.hurry()


def _noting(named: list[AgentWouldNotStop]) -> Reporter:
    """A reporter that logs, and notes which agents would not stop."""

    def report(news: msgspec.Struct) -> None:
        log_report(news)
        if isinstance(news, AgentWouldNotStop):
            named.append(news)

    return report
