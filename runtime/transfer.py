"""Sessions out of a store and into another, as the lines that `transfer_lines` describes.

Theory of operation. An export reads a page at a time and holds no read transaction between pages, so that it
may take long beside a running server. What it writes of a session is the state in which it met the session;
entries that came later are left out. A session that is deleted while it is written is withdrawn.

An import is one transaction: all sessions or none. Of what a session was in the other store it changes one
thing, its tag, which is drawn anew. Clients compare (epoch, seq), and the epoch they see holds the tag. A
session that is stored again as it was some time ago goes on with seqs that stood for other entries then;
under the old tag a client would take the new ones for those it has. With a new tag it is sent a snapshot.

Messages that wait for an answer still wait after an import and get it. So does the mark of a turn that was
running: without it nobody would be told that the turn, whose agent may have had effects, was cut off. The
next start reports it as ``interrupted``, once, as after a crash. A mark is a fact, not a turn: nothing of the
other process goes on here.
"""

import secrets
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain

from ..persistence.errors import SessionExistsError, UnstorableError
from ..persistence.ids import SessionID
from ..persistence.records import SessionFacts, SessionFilter
from ..persistence.store import SessionStore
from .json_lines import json_line
from .transfer_lines import (
    DIGEST_BYTES,
    FORMAT,
    LINE_BYTES,
    EndLine,
    EntryLine,
    HeaderLine,
    Line,
    SessionLine,
    WithdrawnLine,
    entry_line,
    session_line,
)
from .transfer_reading import BadImportError, ImportReader

PAGE = 100
"""Entries, or sessions, read at a time: at most some 25 MiB, as a content has at most 256 KiB by default."""

_ALL_TIMES = (-(2**62), 2**62)  # microseconds; further than any clock goes


class TooLongToExportError(Exception):
    """A session cannot be exported so that it could be imported again."""


def export_lines(
    store: SessionStore, sessions: Iterable[SessionID], longest: int = LINE_BYTES
) -> Iterator[bytes]:
    """Write sessions, every epoch of each; those that the store does not have are left out.

    Args:
        store: Read page by page, as the lines are asked for; others may write to it meanwhile.
        sessions: Which ones; `every_session` names all.
        longest: Bytes of a line at most, as the import is going to allow.

    Yields:
        One line at a time, with its line feed.

    Raises:
        TooLongToExportError: A line would be longer.
        StoreFormatError: A session is damaged.
        StoreUnavailableError: The disk could not be read.
    """
    digest = blake2b(digest_size=DIGEST_BYTES)
    written, place = 0, ""
    lines = chain.from_iterable(_lines_of(store, session) for session in sessions)
    for line in chain([HeaderLine(FORMAT)], lines):
        written += isinstance(line, SessionLine) - isinstance(line, WithdrawnLine)
        raw = json_line(line) + b"\n"
        place = line.id if isinstance(line, SessionLine) else place
        if len(raw) > longest:
            what = f"{place}: entry {line.seq}" if isinstance(line, EntryLine) else place
            raise TooLongToExportError(f"{what}: expected a line of at most {longest} bytes, met {len(raw)}")
        digest.update(raw)
        yield raw
    yield json_line(EndLine(written, digest.hexdigest())) + b"\n"


def every_session(store: SessionStore) -> Iterator[SessionID]:
    """Name every session, by rising time of creation, while others may come, move and go.

    A list that is read in pages would repeat and miss sessions, because each message moves its session to the
    front. The time of creation never changes; so the sessions are read by spans of it that hold few.
    """
    spans = [_ALL_TIMES]
    while spans:
        first, last = spans.pop()
        # A span of one microsecond cannot be cut; it is taken whole.
        limit = PAGE + 1 if first < last else 0
        where = SessionFilter(created_after=first - 1, created_before=last + 1, limit=limit)
        found = store.list(where)
        if first < last and len(found) > PAGE:
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]
            continue
        for facts in sorted(found, key=lambda facts: (facts.created_at, facts.id)):
            yield facts.id


def import_lines(
    store: SessionStore, lines: Iterable[bytes], longest: int = LINE_BYTES
) -> list[SessionFacts]:
    """Store the sessions of an export durably, all or none.

    Args:
        store: None of them may be in it.
        lines: Each with its line feed; they are read as they are stored. See `lines_of_file`.
        longest: Bytes of a line at most.

    Returns:
        The stored rows.

    Raises:
        BadImportError: A line is wrong, or the store has its session; the text names the line.
        StoreUnavailableError: The disk could not be written.
    """
    reader = ImportReader(lines, longest, _new_tag)
    try:
        return list(store.import_sessions(reader.sessions()))
    except (SessionExistsError, UnstorableError) as error:
        raise BadImportError(reader.session_line, str(error)) from error


def _lines_of(store: SessionStore, session: SessionID) -> Iterator[Line]:
    facts = store.facts(session)
    if facts is None:
        return
    yield session_line(facts)
    after = 0
    while after < facts.head_seq:
        page = store.entries(session, after, min(PAGE, facts.head_seq - after))
        now = store.facts(session)
        # Keys are never used again: the same key after the read means that the page was this session's.
        if now is None or now.key != facts.key:
            yield WithdrawnLine()
            return
        for entry in page:
            yield entry_line(entry)
        after += len(page)


def _new_tag() -> str:
    return secrets.token_hex(8)
