"""The tables, and how a database comes to have them: every table is made here and nowhere else.

``session`` holds one row of current facts per session, ``journal`` the append-only history. A journal is a
rowid table with a unique index, because sessions interleave: a table clustered by session writes three times
as many pages per commit. ``ending`` is the outbox of ends, ``search`` the words of messages.
"""

import sqlite_utils
from sqlite_utils import Migrations

APPLICATION_ID = 0x47524E52
"""``GNRR``: what ``file(1)`` and other programs read in the database header at offset 68."""

SCHEMA_VERSION = 2
"""The number of the newest schema, kept as ``user_version``."""

MIGRATIONS = Migrations("greenroom")
"""Every step from an empty database to the newest schema, in order."""

# AUTOINCREMENT: a deleted session's key must never name another session, or a late append would land there.
_SESSION = """
CREATE TABLE session (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    agent_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    token_count INTEGER NOT NULL,
    compaction_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    compacted_at INTEGER,
    tag TEXT NOT NULL,
    chain BLOB NOT NULL,
    pending TEXT NOT NULL,
    turn TEXT,
    title TEXT NOT NULL,
    tags TEXT NOT NULL,
    custom_data TEXT NOT NULL,
    system_prompt TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT
"""

_JOURNAL = """
CREATE TABLE journal (
    session INTEGER NOT NULL REFERENCES session(key),
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    client_id TEXT,
    turn_id TEXT,
    body TEXT NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (session, seq)
) STRICT
"""

_INDEXES = (
    "CREATE INDEX session_by_activity ON session (last_active_at DESC, id)",
    "CREATE INDEX session_by_peer ON session (peer_id)",
    "CREATE INDEX session_unfinished ON session (key) WHERE (pending <> '[]' OR turn IS NOT NULL)",
    "CREATE UNIQUE INDEX journal_client_id ON journal (session, client_id) WHERE client_id IS NOT NULL",
    "CREATE INDEX journal_turns ON journal (session, seq) WHERE kind = 1",
)


@MIGRATIONS()
def create_session_and_journal(db: sqlite_utils.Database) -> None:
    """Make the first schema; its marks in the header are set in the same transaction."""
    for statement in (_SESSION, _JOURNAL, *_INDEXES):
        db.conn.execute(statement)
    db.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.conn.execute("PRAGMA user_version = 1")


# AUTOINCREMENT: whoever remembers up to which end he has read must never meet that number again.
_ENDING = """
CREATE TABLE ending (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    end_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT
"""

# The words are cut by `search.words`: with this tokenizer FTS5 takes each as it is. Names begin with '_'.
_SEARCH = """
CREATE VIRTUAL TABLE search
USING fts5(words, tokenize = "ascii tokenchars '_'", detail = none, columnsize = 0)
"""

_BY_ACTIVITY = """
CREATE INDEX session_by_activity ON session
(last_active_at DESC, id, agent_id, channel_id, peer_id, created_at, state)
"""

_ENDS_AND_SEARCH = (
    "ALTER TABLE session ADD COLUMN archived_at INTEGER",
    "UPDATE session SET archived_at = updated_at WHERE state = 4",
    _ENDING,
    _SEARCH,
    "DROP INDEX session_by_activity",
    _BY_ACTIVITY,
    "CREATE INDEX session_by_state ON session (state, last_active_at DESC, id, message_count, token_count)",
    "CREATE INDEX session_by_archiving ON session (archived_at DESC, id) WHERE state = 4",
    "CREATE INDEX session_by_agent ON session (agent_id)",
    "CREATE INDEX session_by_channel ON session (channel_id)",
    "CREATE INDEX session_by_creation ON session (created_at)",
)


@MIGRATIONS()
def add_ends_and_search(db: sqlite_utils.Database) -> None:
    """Make room for ends and words, and for asking by every field without reading every row."""
    for statement in _ENDS_AND_SEARCH:
        db.conn.execute(statement)
    db.conn.execute("PRAGMA user_version = 2")


STEPS = ("create_session_and_journal", "add_ends_and_search")
"""The migrations' names; the one at index n makes schema n + 1."""
