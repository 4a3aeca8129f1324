"""What the store without a disk keeps of a session, and the rules that are SQLite's in the other."""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from .errors import DuplicateClientIdError, SessionExistsError, StaleHeadError, UnstorableError
from .ids import SessionID
from .importing import import_append, require_chain
from .records import Append, Entry, Hit, Message, SessionFacts, SessionImport, TurnFinished
from .rows import journal_rows, require_storable
from .search import snippet, words


class KeptSession:
    """One session as kept.

    Attributes:
        facts: Its row.
        journal: Its entries, ``seq`` at index ``seq - 1``.
        places: Where each entry stands among those of all sessions.
        by_client_id: The entries that carry one.
    """

    def __init__(self, facts: SessionFacts) -> None:
        self.facts = facts
        self.journal: list[Entry] = []
        self.places: list[int] = []
        self.by_client_id: dict[str, Entry] = {}

    def add(self, entries: Sequence[Entry], place: int) -> None:
        """Let entries join the journal; the first stands at ``place``."""
        self.journal.extend(entries)
        self.places.extend(range(place, place + len(entries)))
        self.by_client_id.update({entry.client_id: entry for entry in entries if entry.client_id is not None})

    def found(self, wanted: Sequence[str]) -> Iterator[tuple[int, Hit]]:
        """Its messages that hold every wanted word, each with its place."""
        for place, entry in zip(self.places, self.journal, strict=True):
            body = entry.body
            if isinstance(body, Message) and set(wanted) <= set(words(body.content)):
                yield place, Hit(self.facts.id, entry.epoch, entry.seq, snippet(body.content, wanted))


def require_head(append: Append, stored: KeptSession | None) -> None:
    """Refuse an append that was built on another row.

    Raises:
        StaleHeadError: Key, head, chain or creation differ.
    """
    facts = append.facts
    if stored is None:
        met, at = (0, 0, b""), facts.created_at
    else:
        met, at = (stored.facts.key, stored.facts.head_seq, stored.facts.chain), stored.facts.created_at
    is_absent = stored is None and append.removes
    if (facts.key, append.base_seq, facts.chain) != met or facts.created_at != at or is_absent:
        raise StaleHeadError(
            f"{facts.id}: expected key {facts.key}, head {append.base_seq}, met key {met[0]}, head {met[1]}"
        )


def require_new_client_ids(append: Append, stored: KeptSession | None) -> None:
    """Refuse a client id that the session knows.

    Raises:
        DuplicateClientIdError: An earlier message carries it.
        UnstorableError: Another message of this append carries it.
    """
    fresh: set[str] = set()
    for entry in append.entries:
        if entry.client_id is None:
            continue
        if stored is not None and entry.client_id in stored.by_client_id:
            raise DuplicateClientIdError(stored.by_client_id[entry.client_id])
        if entry.client_id in fresh:
            raise UnstorableError(f"{append.facts.id}: entry {entry.seq}: expected a new client id")
        fresh.add(entry.client_id)


def messages_of(stored: KeptSession, epoch: int) -> list[Entry]:
    """The messages of one epoch, oldest first."""
    return [entry for entry in stored.journal if entry.epoch == epoch and isinstance(entry.body, Message)]


def spoken_in(stored: KeptSession, finished: Entry) -> list[Entry]:
    """The messages of the turn that ended with ``finished``; none if that is no end of a turn."""
    body = finished.body
    if finished.turn_id is None or not isinstance(body, TurnFinished):
        return []
    # A turn speaks only after the messages it answers have come.
    span = stored.journal[max(0, min(body.message_seqs) - 1) : finished.seq]
    return [entry for entry in span if entry.turn_id == finished.turn_id and isinstance(entry.body, Message)]


def oldest_due(rows: Sequence[SessionFacts], before: int, limit: int) -> list[SessionFacts]:
    """The rows of one state that have been silent, or archived, since before a moment; oldest first."""
    due: list[tuple[int, str, SessionFacts]] = []
    for facts in rows:
        since = facts.silent_since
        if since is not None and since < before:
            due.append((since, str(facts.id), facts))
    due.sort(key=itemgetter(1), reverse=True)
    due.sort(key=itemgetter(0))
    return [facts for _, _, facts in due[: max(limit, 0)]]


def appends_of(sessions: Iterable[SessionImport], known: set[SessionID]) -> list[Append]:
    """The appends that store whole sessions beside those that are ``known``.

    Raises:
        SessionExistsError: One is known, or comes twice.
        UnstorableError: One breaks the store's rules, or its chain is not that of its entries.
    """
    appends: list[Append] = []
    seen = set(known)
    for session in sessions:
        append = import_append(session)
        if session.facts.id in seen:
            raise SessionExistsError(f"{session.facts.id}: expected a new session, met a stored one")
        rows = journal_rows(append)
        chain = rows[-1][-1] if rows else b""
        require_storable(append.facts, chain, rows)
        require_new_client_ids(append, None)
        require_chain(session, chain)
        seen.add(session.facts.id)
        appends.append(append)
    return appends
