"""Reads a database file back without the product's code: plain SQL on a connection that cannot write."""

import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3

from tests.chaos.history import Row

_QUERY = """
    SELECT session.id, session.tag, journal.seq, journal.epoch, journal.client_id, journal.body
    FROM journal JOIN session ON session.key = journal.session
    ORDER BY session.id, journal.seq
"""


def read_journals(db: Path) -> dict[str, list[Row]]:
    """Every session's entries, by session id, in the order of their seqs; the file itself must be sound."""
    journals: defaultdict[str, list[Row]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for session, tag, seq, epoch, client_id, body in connection.execute(_QUERY):
            journals[session].append(row_of(session, seq, f"{epoch}-{tag}", json.loads(body), client_id))
    return dict(journals)


def row_of(session: str, seq: int, epoch: str, body: dict[str, Any], client_id: str | None) -> Row:
    """One durable entry from its JSON, whose fields have the same names on disk and on the wire."""
    answers = () if body.get("will_retry") else tuple(body.get("message_seqs", ()))
    return Row(session, seq, epoch, body.get("content") or body["stop_reason"], client_id, answers)
