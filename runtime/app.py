"""The composition root of ``greenroom serve``: binds, opens, nests, announces, and ends in order."""

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Final

import trio

from .agents import find_agent
from .bind import bind, port_of, url
from .config import Config
from .core import Core, open_core
from .gateway import Gateway
from .http.listener import make_app, serve_http
from .manager import open_store
from .observability import log_report

EXIT_GRACE: Final = 4.5  # seconds beyond the drain in which the process must be gone, whoever will not stop


async def serve(config: Config, *, announce: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal gives running turns no more time.

    Args:
        config: What to serve, and where.
        announce: Called with the WebSocket and HTTP URLs when both listeners accept.

    Raises:
        AddressInUseError, BindError: A listener cannot be had.
        AgentNotFoundError: The configured agent cannot be found.
        StoreOpenError: The database cannot be used.
        WriterFailedError: In a group, if writing has become impossible while running.
    """
    with ExitStack() as on_exit, trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        agent = find_agent(config.agent)
        ws_listeners = await bind(config.host, config.port)
        http_listeners = await bind(config.host, config.http_port)
        store = await trio.to_thread.run_sync(open_store, config)
        async with open_core(store, agent, config.limits, log_report) as core:
            http_port = port_of(http_listeners)
            gateway = Gateway(config, core, http_port, log_report)
            async with trio.open_nursery() as nursery:
                await nursery.start(gateway.run, ws_listeners)
                app = make_app(lambda: not core.router.is_draining)
                await nursery.start(serve_http, app, http_listeners, log_report)
                announce(
                    url("ws", config.host, port_of(ws_listeners), "/v1"), url("http", config.host, http_port)
                )
                await anext(signals)
                on_exit.callback(_last_resort(config.limits.drain + EXIT_GRACE).cancel)
                nursery.start_soon(_hurry_on_signal, signals, core)
                gateway.stop_accepting()
                await core.stop()
                await gateway.close_all()
                nursery.cancel_scope.cancel(reason="drained")


async def _hurry_on_signal(signals: AsyncIterator[int], core: Core) -> None:
    async for _ in signals:
        core.hurry()


def _last_resort(seconds: float) -> threading.Timer:
    """Leave the process from a thread if its event loop cannot: an agent that shields itself holds it."""
    timer = threading.Timer(seconds, os._exit, [70])
    timer.daemon = True
    timer.start()
    return timer
