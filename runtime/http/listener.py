"""The door for hypercorn and starlette: the HTTP listener, with what a supervisor of processes asks for."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import hypercorn.config
import hypercorn.trio
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# Typed by us: its own type of an application has parameters that it leaves open.
_serve = cast("Callable[..., Awaitable[None]]", hypercorn.trio.serve)  # pyright: ignore[reportUnknownMemberType]


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
    listener: trio.SocketListener,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the application on a bound socket until cancelled."""
    config = hypercorn.config.Config()
    # Hypercorn takes over the descriptor that it is given, so it gets one of its own.
    config.bind = [f"fd://{os.dup(listener.socket.fileno())}"]
    config.accesslog = None
    config.errorlog = None
    config.graceful_timeout = 1.0
    config.include_server_header = False

    try:
        async with trio.open_nursery() as nursery:
            # Without a trigger of ours hypercorn would install signal handlers.
            await nursery.start(partial(_serve, app, config, shutdown_trigger=trio.sleep_forever))
            task_status.started()
    finally:
        listener.socket.close()
