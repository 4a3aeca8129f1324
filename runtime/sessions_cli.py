"""``greenroom sessions list`` and ``greenroom sessions show``: read-only looks into the database file."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from ..persistence.ids import SessionID
from ..persistence.records import Message, SessionFilter, SessionState
from ..persistence.sqlite import SQLiteSessionStore
from .config_sources import load_config
from .exits import MissingError, UsageError
from .info import MessageView, SessionInfo, message_view, session_info
from .terminal import one_line, printable

StateName = Literal["active", "idle", "compacting", "suspended", "archived"]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]


def list_sessions(  # noqa: PLR0913  # one parameter per option
    *,
    db: str | None = None,
    agent: str | None = None,
    channel: str | None = None,
    peer: str | None = None,
    state: StateName | None = None,
    limit: Limit = 50,
    json: bool = False,
) -> None:
    """List sessions, the newest activity first.

    On a terminal a table; else lines of id, state, messages, tokens, last activity and title, parted by tabs.

    Args:
        db: The SQLite file. Default ./greenroom.db
        agent: Only sessions with this agent.
        channel: Only sessions of this channel.
        peer: Only sessions of this peer.
        state: Only sessions in this state.
        limit: How many at most.
        json: One JSON object per line.
    """
    where = SessionFilter(
        agent_id=agent,
        channel_id=channel,
        peer_id=peer,
        state=SessionState[state.upper()] if state else None,
        limit=limit,
    )
    with _reading(db) as (store, max_tokens):
        found = [session_info(facts, max_tokens) for facts in store.list(where)]
    if json:
        _print_json(found)
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        for info in found:
            print(*_columns(info), sep="\t")  # noqa: T201


def show_session(session: str, /, *, db: str | None = None, limit: Limit = 50, json: bool = False) -> None:
    """Show one session and its newest messages.

    Exit code 65 if the database holds no such session.

    Args:
        session: Its id, agent:channel:peer or agent:channel:peer:thread.
        db: The SQLite file. Default ./greenroom.db
        limit: How many messages at most.
        json: One JSON object per line: the session, then each message.
    """
    try:
        name = SessionID.parse(session)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    with _reading(db) as (store, max_tokens):
        facts = store.facts(name)
        if facts is None:
            raise MissingError(f"no session {session} in {store.path}")
        entries = store.history(name, facts.epoch, None, limit)
    info = session_info(facts, max_tokens)
    messages = [
        message_view(entry, entry.body, facts.tag) for entry in entries if isinstance(entry.body, Message)
    ]
    if json:
        _print_json([info, *messages])
        return
    for field, value in msgspec.to_builtins(info).items():
        print(f"{field}: {one_line(str(value))}")  # noqa: T201
    for message in messages:
        print(f"\n[{message.seq}] {message.role} {message.at:%Y-%m-%d %H:%M:%S} UTC")  # noqa: T201
        print(printable(message.content))  # noqa: T201


@contextmanager
def _reading(db: str | None) -> Generator[tuple[SQLiteSessionStore, int]]:
    """The store, opened beside whoever writes to it, and the context budget in force."""
    config = load_config(None, os.environ, {"db": db})
    max_tokens = config.limits.max_tokens
    store = SQLiteSessionStore(config.db, max_tokens=max_tokens, readonly=True)
    try:
        yield store, max_tokens
    finally:
        store.close()


def _print_json(rows: Sequence[SessionInfo | MessageView]) -> None:
    for row in rows:
        print(msgspec.json.encode(row).decode())  # noqa: T201


def _columns(info: SessionInfo) -> tuple[str, ...]:
    last = f"{info.last_active_at:%Y-%m-%dT%H:%M:%SZ}"
    return info.id, info.state, str(info.message_count), str(info.token_count), last, one_line(info.title)


def _print_table(found: Sequence[SessionInfo]) -> None:
    # Imported here because only a terminal needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("session", "state", "messages", "tokens", "last active", "title", box=None)
    for info in found:
        # Text, not str: a title is no markup.
        table.add_row(*[Text(cell) for cell in _columns(info)])
    Console().print(table)
