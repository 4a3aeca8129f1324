"""``greenroom sessions archive`` and ``delete``: ends of sessions on a database that no server uses."""

import os
import sys
from collections.abc import Sequence
from typing import Literal

import msgspec

from ..persistence.ids import SessionID
from .config import Cleanup, Config, Isolation
from .config_sources import load_config
from .exits import UsageError
from .sessions_cli import counted, missing, reading, session_id

Verb = Literal["archive", "delete"]


def archive_sessions(*session: str, db: str | None = None) -> None:
    """Archive sessions: their messages stay readable, and a further message opens them again.

    Exit code 65 if there is no such session, 75 if a server runs on the database.

    Args:
        session: Their ids.
        db: The SQLite file. Default ./greenroom.db
    """
    names = _stored(session, db)
    _end("archive", names, db)


def delete_sessions(*session: str, db: str | None = None, yes: bool = False) -> None:
    """Delete sessions and all their messages.

    On a terminal it asks first. Exit code 65 if there is no such session, 75 if a server runs on the
    database.

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
    # An id means the row of that name here, and nothing but these sessions is touched.
    config = msgspec.structs.replace(
        load_config(None, os.environ, {"db": db}),
        agent="none",
        cleanup=Cleanup(enabled=False),
        isolation=Isolation(),
    )
    # Imported only now, so that refusals come fast.
    import trio  # noqa: PLC0415

    trio.run(_end_each, verb, names, config)


async def _end_each(verb: Verb, names: Sequence[SessionID], config: Config) -> None:
    from .embedding import open_manager  # noqa: PLC0415  # it brings the whole runtime

    async with open_manager(config) as manager:
        for name in names:
            if verb == "archive":
                await manager.archive(name)
            else:
                await manager.delete(name)
            print(f"{verb}d {name}")  # noqa: T201
