"""``greenroom sessions archive`` and ``delete``: ends of sessions on a database that no server uses.

Both run the sessions that are named and no others. The hooks that want to hear of ends are the host's, and
not here; so the end of an archived session stays in the outbox, with all others there, for the hooks of the
next host. Of a deleted one nothing may stay that was said in it: its end is erased at once, with the earlier
ones that no hook has heard of yet.
"""

import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..persistence.ids import SessionID
from .config import Config
from .config_sources import load_config
from .exits import UsageError
from .sessions_cli import counted, missing, reading, session_id

if TYPE_CHECKING:
    from ..actors.end_outbox import EndOutbox

PAGE = 32  # ends of the outbox read at a time: each holds the live context of a session

Verb = Literal["archive", "delete"]


def archive_sessions(*session: str, db: str | None = None) -> None:
    """Archive sessions: their messages stay readable, and a further message opens them again.

    Hooks hear of it from the next host that opens the database. Exit code 65 if there is no such session,
    75 if a server runs on the database.

    Args:
        session: Their ids.
        db: The SQLite file. Default ./greenroom.db
    """
    names = _stored(session, db)
    _end("archive", names, db)


def delete_sessions(*session: str, db: str | None = None, yes: bool = False) -> None:
    """Delete sessions and all their messages.

    No hook hears of it, nor of earlier ends of these sessions that none has heard of yet. On a terminal it
    asks first. Exit code 65 if there is no such session, 75 if a server runs on the database.

    Args:
        session: Their ids.
        db: The SQLite file. Default ./greenroom.db
        yes: Do not ask.
    """
    has_terminal = sys.stdin is not None and sys.stdin.isatty()  # pyright: ignore[reportUnnecessaryComparison]  # None when started without one
    if not yes and not has_terminal:
        raise UsageError("delete: expected --yes or a terminal to ask on, met neither")
    names = _stored(session, db)
    if yes or _confirmed(names):
        _end("delete", names, db)
    else:
        print("nothing was deleted")  # noqa: T201


def _stored(session: Sequence[str], db: str | None) -> list[SessionID]:
    """The ids, once each, if all of them are stored: a mistake in one shall not end the others."""
    if not session:
        raise UsageError("expected ids of sessions, met none")
    names = list(dict.fromkeys(map(session_id, session)))
    with reading(db) as (store, _):
        for name in names:
            if store.facts(name) is None:
                raise missing(name, store)
    return names


def _confirmed(names: Sequence[SessionID]) -> bool:
    what = str(names[0]) if len(names) == 1 else counted(len(names))
    print(f"Delete {what} and all messages for good? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _end(verb: Verb, names: Sequence[SessionID], db: str | None) -> None:
    config = load_config(None, os.environ, {"db": db})
    # Imported only now, so that refusals come fast.
    import trio  # noqa: PLC0415

    trio.run(_end_each, verb, names, config)


async def _end_each(verb: Verb, names: Sequence[SessionID], config: Config) -> None:
    # The whole runtime.
    from ..actors.end_outbox import EndOutbox  # noqa: PLC0415
    from .agents import find_agent  # noqa: PLC0415
    from .manager import SessionManager  # noqa: PLC0415
    from .observability import log_report  # noqa: PLC0415
    from .opening import open_store  # noqa: PLC0415
    from .wiring import open_core  # noqa: PLC0415

    agent, store = find_agent("none"), open_store(config)
    running = open_core(store, agent, config.limits, log_report, registration=math.inf, recovers=False)
    async with running as core:
        manager = SessionManager(core)
        for name in names:
            if verb == "archive":
                await manager.archive(name)
            else:
                await manager.delete(name)
                await _forget(EndOutbox(core.reads, core.writer, log_report), name)
            print(f"{verb}d {name}")  # noqa: T201


async def _forget(outbox: "EndOutbox", session: SessionID) -> None:
    """Erase the earlier ends of a deleted session: each holds a copy of what was said."""
    while page := await outbox.read(PAGE):
        for ending in page:
            if ending.session == session:
                await outbox.erase(ending.end_id)
