"""``greenroom serve``."""

import functools
import json as jsonlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from .config_sources import load_config
from .terminal import abandon_output


def serve(  # noqa: PLR0913  # one parameter per option
    *,
    db: str | None = None,
    host: str | None = None,
    port: str | None = None,
    http_port: str | None = None,
    agent: str | None = None,
    config: Path | None = None,
    json: bool = False,
    insecure_bind: bool = False,
) -> None:
    """Serve conversations until SIGTERM or SIGINT.

    Each option also has a name in the environment (GREENROOM_PORT) and in the file (port).

    Args:
        db: The SQLite file; created if missing. Default ./greenroom.db
        host: Address to listen on. Default 127.0.0.1
        port: WebSocket port; 0 takes a free one. Default 8765
        http_port: HTTP port; 0 takes a free one. Default 8766
        agent: Who answers: echo, none or module:function. Default echo
        config: A TOML file with further settings.
        json: Announce the addresses as one line of JSON.
        insecure_bind: Allow an address others can reach, without TLS and tokens.
    """
    signal.signal(signal.SIGTERM, _leave)  # until the server has its own way to end
    flags = {
        "db": db,
        "host": host,
        "port": port,
        "http_port": http_port,
        "agent": agent,
        "insecure_bind": insecure_bind or None,
    }
    try:
        _serve(config, flags, as_json=json)
    except* KeyboardInterrupt:
        pass  # SIGTERM or SIGINT before the server listened for them: there was nothing to drain


def _serve(file: Path | None, flags: Mapping[str, object], *, as_json: bool) -> None:
    config = load_config(file, os.environ, flags)
    # Imported only now, so that help and refusals come fast.
    import trio  # noqa: PLC0415

    from . import app  # noqa: PLC0415

    announce = functools.partial(_announce, config.db, as_json=as_json)
    trio.run(functools.partial(app.serve, config, announce=announce))


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _announce(db: str, ws_url: str, http_url: str, *, as_json: bool) -> None:
    if as_json:
        text = jsonlib.dumps({"event": "listening", "ws": ws_url, "http": http_url}, separators=(",", ":"))
    else:
        text = f"greenroom listens on {ws_url}\nhealth at {http_url}/healthz, database {db}, Ctrl-C ends"
    try:
        print(text, flush=True)  # noqa: T201  # the announcement is this command's output
    except OSError:
        # Nobody reads it; the server is wanted all the same.
        abandon_output()
        print("greenroom: the addresses could not be written to standard output", file=sys.stderr)  # noqa: T201
