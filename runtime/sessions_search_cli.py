"""``greenroom sessions search``: messages by their words, read beside whoever writes them."""

from collections.abc import Sequence

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import Hit, SessionFilter
from ..persistence.search import query_words
from ..persistence.sqlite import SQLiteSessionStore
from .exits import UsageError
from .sessions_cli import Limit, missing, print_json, print_rows, reading, session_id


class HitView(msgspec.Struct, frozen=True):
    """A message that was found, as the wire names it; ``epoch`` is opaque."""

    session: str
    epoch: str
    seq: int
    snippet: str


def search_sessions(  # noqa: PLR0913  # one parameter per option
    query: str,
    /,
    *,
    db: str | None = None,
    session: str | None = None,
    agent: str | None = None,
    channel: str | None = None,
    peer: str | None = None,
    limit: Limit = 50,
    json: bool = False,
) -> None:
    """Find messages that hold every word of a text, the newest first.

    On a terminal a table; else lines of session, epoch, seq and snippet, parted by tabs. The earlier
    conversations of a session are searched too.

    Args:
        query: The words; capitals and accents make no difference.
        db: The SQLite file. Default ./greenroom.db
        session: Only this session; exit code 65 if there is no such.
        agent: Only sessions with this agent.
        channel: Only sessions of this channel.
        peer: Only sessions of this peer.
        limit: How many at most.
        json: One JSON object per line.
    """
    only = None if session is None else session_id(session)
    if not query_words(query):
        raise UsageError("query: expected a word to look for, met none")
    where = SessionFilter(agent_id=agent, channel_id=channel, peer_id=peer)
    with reading(db) as (store, _):
        if only is not None and store.facts(only) is None:
            raise missing(only, store)
        found = _views(store, store.search(query, where, only, limit))
    if json:
        print_json(found)
    else:
        rows = [(hit.session, hit.epoch, str(hit.seq), hit.snippet) for hit in found]
        print_rows(("session", "epoch", "seq", "found"), rows)


def _views(store: SQLiteSessionStore, hits: Sequence[Hit]) -> list[HitView]:
    tags: dict[SessionID, str] = {}
    found: list[HitView] = []
    for hit in hits:
        if hit.session not in tags:
            facts = store.facts(hit.session)
            if facts is None:
                continue  # deleted since it was found
            tags[hit.session] = facts.tag
        found.append(HitView(str(hit.session), f"{hit.epoch}-{tags[hit.session]}", hit.seq, hit.snippet))
    return found
