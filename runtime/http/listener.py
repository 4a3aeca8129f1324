"""The door for hypercorn and starlette: the HTTP listener, with what a supervisor of processes asks for.

The accept loop is ours: hypercorn's own runs every connection in one nursery without a guard, where a single
request that its parsers do not foresee ends the server.
"""

from collections.abc import Callable
from typing import Any, Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...actors.reports import Reporter, describe
from ..reports import ConnectionFailed
from ..tap import cut

LIFETIME: Final = 60.0  # seconds of one connection, whatever it does: probes are short


def make_app(is_ready: Callable[[], bool]) -> Starlette:
    """The application: ``/healthz`` answers while the process lives, ``/readyz`` while it takes work."""

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> JSONResponse:
        ready = is_ready()
        return JSONResponse({"status": "ready" if ready else "draining"}, status_code=200 if ready else 503)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz)])


async def serve_http(
    app: Starlette,
    listeners: list[trio.SocketListener],
    report: Reporter,
    *,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the application on bound listeners until cancelled, and close them."""
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    reported = set[str]()
    wrapped = ASGIWrapper(cast("Any", app))  # the two libraries spell the same ASGI types differently
    context = WorkerContext(None)

    async def handle(stream: trio.SocketStream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cut_in_the_end, stream)
                # Its parameter says TLS only, its code takes both.
                await TCPServer(wrapped, config, context, ConnectionState({}), cast("Any", stream)).run()
                nursery.cancel_scope.cancel(reason="the connection has ended")
        except* Exception as group:  # noqa: BLE001 - the guard: one connection's fault is not the others'
            error, where = describe(group)
            if where not in reported:  # once a place: hypercorn fails on many kinds of garbage
                reported.add(where)
                report(ConnectionFailed(error, where))

    await trio.serve_listeners(handle, listeners, task_status=task_status)


async def _cut_in_the_end(stream: trio.SocketStream) -> None:
    """End the connection when its time is over, or when it is cancelled: hypercorn shields its sending."""
    try:
        await trio.sleep(LIFETIME)
    finally:
        cut(stream)
