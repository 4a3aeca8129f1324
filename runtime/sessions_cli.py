"""``greenroom sessions list`` and ``show``, and what all commands on the database file have in common."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from ..persistence.ids import SessionID
from ..persistence.records import Message, SessionFilter, SessionState
from ..persistence.sqlite import SQLiteSessionStore
from .config import Limits
from .config_sources import load_config
from .exits import MissingError, UsageError
from .info import SessionInfo, message_view, session_info
from .json_lines import json_line
from .terminal import one_line, printable
from .transfer_lines import StateName, microseconds

Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]
Offset = Annotated[int, Parameter(validator=Number(gte=0, lt=2**63))]
Source = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-" is one


def list_sessions(  # noqa: PLR0913  # one parameter per option
    *,
    db: str | None = None,
    agent: str | None = None,
    channel: str | None = None,
    peer: str | None = None,
    state: StateName | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
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
        created_after: Only sessions created after this time, such as 2026-01-31T18:00:00Z.
        created_before: Only sessions created before this time.
        limit: How many at most.
        offset: How many to leave out at the beginning.
        json: One JSON object per line.
    """
    where = SessionFilter(
        agent_id=agent,
        channel_id=channel,
        peer_id=peer,
        state=SessionState[state.upper()] if state else None,
        created_after=_time("created-after", created_after),
        created_before=_time("created-before", created_before),
        limit=limit,
        offset=offset,
    )
    with reading(db) as (store, limits):
        found = [session_info(facts, limits.max_tokens) for facts in store.list(where)]
    if json:
        print_json(found)
    else:
        heads = ("session", "state", "messages", "tokens", "last active", "title")
        print_rows(heads, [_columns(info) for info in found])


def show_session(session: str, /, *, db: str | None = None, limit: Limit = 50, json: bool = False) -> None:
    """Show one session and its newest messages.

    Exit code 65 if the database holds no such session.

    Args:
        session: Its id, agent:channel:peer or agent:channel:peer:thread.
        db: The SQLite file. Default ./greenroom.db
        limit: How many messages at most.
        json: One JSON object per line: the session, then each message.
    """
    name = session_id(session)
    with reading(db) as (store, limits):
        facts = store.facts(name)
        if facts is None:
            raise missing(name, store)
        entries = store.history(name, facts.epoch, None, limit)
    info = session_info(facts, limits.max_tokens)
    messages = [
        message_view(entry, entry.body, facts.tag) for entry in entries if isinstance(entry.body, Message)
    ]
    if json:
        print_json([info, *messages])
        return
    for field, value in msgspec.to_builtins(info).items():
        print(f"{field}: {one_line(str(value))}")  # noqa: T201
    for message in messages:
        print(f"\n[{message.seq}] {message.role} {message.at:%Y-%m-%d %H:%M:%S} UTC")  # noqa: T201
        print(printable(message.content))  # noqa: T201


def session_id(text: str) -> SessionID:
    """The id that an argument names.

    Raises:
        UsageError: It names none.
    """
    try:
        return SessionID.parse(text)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def counted(number: int) -> str:
    """How many sessions, in words."""
    return f"{number} session{'' if number == 1 else 's'}"


def missing(session: SessionID, store: SQLiteSessionStore) -> MissingError:
    """The error for a session that the database does not have."""
    return MissingError(f"no session {session} in {store.path}")


@contextmanager
def reading(db: str | None) -> Generator[tuple[SQLiteSessionStore, Limits]]:
    """The store, opened beside whoever writes to it, and the limits in force."""
    config = load_config(None, os.environ, {"db": db})
    store = SQLiteSessionStore(config.db, max_tokens=config.limits.max_tokens, readonly=True)
    try:
        yield store, config.limits
    finally:
        store.close()


def print_json(rows: Sequence[msgspec.Struct]) -> None:
    """Print each row as one line of JSON."""
    for row in rows:
        print(json_line(row).decode())  # noqa: T201


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal, else a line for each row with tabs between its cells.

    What people wrote is shown with every control character escaped.
    """
    if sys.stdout.isatty():
        _print_table(heads, rows)
        return
    for row in rows:
        print(*map(one_line, row), sep="\t")  # noqa: T201


def _time(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return microseconds(msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)]))
    except ValueError as exc:
        met = one_line(text)
        raise UsageError(f"--{option}: expected a time such as 2026-01-31T18:00:00Z, met {met}") from exc


def _columns(info: SessionInfo) -> tuple[str, ...]:
    last = f"{info.last_active_at:%Y-%m-%dT%H:%M:%SZ}"
    return info.id, info.state, str(info.message_count), str(info.token_count), last, info.title


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Imported here because only a terminal needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*heads, box=None)
    for row in rows:
        # Text, not str: a title is no markup.
        table.add_row(*[Text(one_line(cell)) for cell in row])
    Console().print(table)
