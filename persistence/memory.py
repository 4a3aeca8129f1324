"""The store for tests and for hosts that keep nothing: what `SQLiteSessionStore` answers, without a disk."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from threading import Lock

import msgspec

from .errors import StoreClosedError, StoreError, UnstorableError
from .ids import SessionID
from .journal import live_context, uses_up
from .keeping import (
    KeptSession,
    appends_of,
    messages_of,
    oldest_due,
    require_head,
    require_new_client_ids,
    spoken_in,
)
from .listing import within
from .outbox import ending_row
from .queries import count
from .records import (
    Append,
    Ending,
    Entry,
    Hit,
    SessionFacts,
    SessionFilter,
    SessionImport,
    SessionRecord,
    SessionState,
    StoreStats,
)
from .rows import (
    journal_rows,
    require_pending,
    require_storable,
)
from .search import query_words
from .sqlite import DEFAULT_MAX_TOKENS


class InMemorySessionStore:
    """A `SessionStore` that forgets everything when it is closed."""

    blocking = False

    def __init__(self, *, max_tokens: int = DEFAULT_MAX_TOKENS) -> None:
        """Start empty; ``max_tokens`` is the budget of the context that `load` returns."""
        self._max_tokens = max_tokens
        self._sessions: dict[SessionID, KeptSession] = {}
        self._endings: dict[int, Ending] = {}
        self._last_key = 0
        self._last_ending = 0
        self._last_place = 0
        self._closed = False
        self._lock = Lock()

    def commit(self, batch: Sequence[Append]) -> list[SessionFacts | StoreError]:
        """See `SessionStore.commit`."""
        with self._lock:
            self._require_open()
            return [self._append(append) for append in batch]

    def import_sessions(self, sessions: Iterable[SessionImport]) -> list[SessionFacts]:
        """See `SessionStore.import_sessions`."""
        with self._lock:
            self._require_open()
            known = set(self._sessions)
        appends = appends_of(sessions, known)
        with self._lock:
            return [self._put(append) for append in appends]

    def save(self, record: SessionRecord) -> None:
        """See `SessionStore.save`."""
        with self._lock:
            self._require_open()
            facts = record.facts
            stored = self._sessions.get(facts.id)
            if stored is None:
                facts = msgspec.structs.replace(facts, key=self._last_key + 1, head_seq=0, chain=b"")
                require_pending(facts, 0)
                require_storable(facts, b"")
                self._sessions[facts.id] = KeptSession(facts)
                self._last_key += 1
            else:
                old = stored.facts
                facts = msgspec.structs.replace(
                    facts, key=old.key, created_at=old.created_at, head_seq=old.head_seq, chain=old.chain
                )
                require_pending(facts, facts.head_seq)
                require_storable(facts, facts.chain)
                stored.facts = facts

    def load(self, session: SessionID) -> SessionRecord | None:
        """See `SessionStore.load`."""
        with self._lock:
            stored = self._get(session)
            if stored is None:
                return None
            spoken = (entry for entry in reversed(stored.journal) if entry.epoch == stored.facts.epoch)
            context = live_context(spoken, self._max_tokens)
            pending = tuple(stored.journal[seq - 1] for seq in stored.facts.pending)
            return SessionRecord(stored.facts, tuple(context), pending)

    def delete(self, session: SessionID) -> bool:
        """See `SessionStore.delete`."""
        with self._lock:
            self._require_open()
            return self._sessions.pop(session, None) is not None

    def archive(self, session: SessionID) -> bool:
        """See `SessionStore.archive`."""
        with self._lock:
            stored = self._get(session)
            if stored is not None:
                stored.facts = msgspec.structs.replace(stored.facts, state=SessionState.ARCHIVED)
            return stored is not None

    def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
        """See `SessionStore.endings`."""
        with self._lock:
            self._require_open()
            return [one for one in self._endings.items() if one[0] > after][: max(limit, 0)]

    def erase_ending(self, end_id: str) -> None:
        """See `SessionStore.erase_ending`."""
        with self._lock:
            self._require_open()
            self._endings = {
                number: ending for number, ending in self._endings.items() if ending.end_id != end_id
            }

    def list(self, where: SessionFilter) -> list[SessionFacts]:
        """See `SessionStore.list`."""
        with self._lock:
            self._require_open()
            found = [stored.facts for stored in self._sessions.values() if within(stored.facts, where)]
        found.sort(key=lambda facts: (-facts.last_active_at, str(facts.id)))
        start = max(where.offset, 0)
        return found[start : start + where.limit] if where.limit > 0 else found[start:]

    def facts(self, session: SessionID) -> SessionFacts | None:
        """See `SessionStore.facts`."""
        with self._lock:
            stored = self._get(session)
            return None if stored is None else stored.facts

    def entries(self, session: SessionID, after_seq: int, limit: int) -> Sequence[Entry]:
        """See `SessionStore.entries`."""
        with self._lock:
            stored = self._get(session)
            start = max(after_seq, 0)
            return () if stored is None else stored.journal[start : start + max(limit, 0)]

    def history(self, session: SessionID, epoch: int, before_seq: int | None, limit: int) -> Sequence[Entry]:
        """See `SessionStore.history`."""
        with self._lock:
            stored = self._get(session)
            messages = [] if stored is None else messages_of(stored, epoch)
        before = [entry for entry in messages if before_seq is None or entry.seq < before_seq]
        return before[max(len(before) - limit, 0) :] if limit > 0 else []

    def outcome(self, session: SessionID, seq: int) -> tuple[Entry, Sequence[Entry]] | None:
        """See `SessionStore.outcome`."""
        with self._lock:
            stored = self._get(session)
            if stored is None or seq in stored.facts.pending or not 1 <= seq <= stored.facts.head_seq:
                return None
            used = next((entry for entry in stored.journal[seq:] if uses_up(entry, seq)), None)
            if used is None:
                return None
            return used, spoken_in(stored, used)

    def sent(self, session: SessionID, client_ids: Sequence[str]) -> Sequence[Entry]:
        """See `SessionStore.sent`."""
        with self._lock:
            stored = self._get(session)
            known = {} if stored is None else stored.by_client_id
            return [known[client_id] for client_id in client_ids if client_id in known]

    def epochs(self, session: SessionID, limit: int) -> Sequence[int]:
        """See `SessionStore.epochs`."""
        with self._lock:
            stored = self._get(session)
            found = set[int]() if stored is None else {entry.epoch for entry in stored.journal}
            return sorted(found, reverse=True)[: max(limit, 0)]

    def unfinished(self, after_key: int, limit: int) -> Sequence[SessionFacts]:
        """See `SessionStore.unfinished`."""
        with self._lock:
            self._require_open()
            rows = (stored.facts for stored in self._sessions.values())
            found = [facts for facts in rows if facts.key > after_key and (facts.pending or facts.turn)]
        return sorted(found, key=lambda facts: facts.key)[: max(limit, 0)]

    def due(self, state: SessionState, before: int, limit: int) -> Sequence[SessionFacts]:
        """See `SessionStore.due`."""
        with self._lock:
            self._require_open()
            rows = [stored.facts for stored in self._sessions.values() if stored.facts.state is state]
        return oldest_due(rows, before, limit)

    def index_messages(self, limit: int) -> int:  # noqa: ARG002 - the contract's
        """See `SessionStore.index_messages`."""
        with self._lock:
            self._require_open()
        return 0  # the messages are the index

    def search(
        self, query: str, where: SessionFilter, session: SessionID | None, limit: int
    ) -> Sequence[Hit]:
        """See `SessionStore.search`."""
        wanted = query_words(query)
        with self._lock:
            self._require_open()
            searched = [
                stored
                for stored in self._sessions.values()
                if session in (None, stored.facts.id) and within(stored.facts, where)
            ]
            found = [hit for stored in searched for hit in stored.found(wanted)] if wanted else []
        found.sort(key=itemgetter(0), reverse=True)
        return [hit for _, hit in found[: max(limit, 0)]]

    def stats(self) -> StoreStats:
        """See `SessionStore.stats`."""
        with self._lock:
            self._require_open()
            rows = [stored.facts for stored in self._sessions.values()]
        return count([(facts.state, 1, facts.message_count, facts.token_count) for facts in rows])

    def close(self) -> None:
        """See `SessionStore.close`."""
        with self._lock:
            self._closed = True
            self._sessions.clear()
            self._endings.clear()

    def _require_open(self) -> None:
        if self._closed:
            raise StoreClosedError("memory: expected an open store, met a closed one")

    def _get(self, session: SessionID) -> KeptSession | None:
        self._require_open()
        return self._sessions.get(session)

    def _append(self, append: Append) -> SessionFacts | StoreError:
        facts = append.facts
        stored = self._sessions.get(facts.id)
        try:
            rows = journal_rows(append)
            if append.ending is not None:
                ending_row(append.ending)
            require_head(append, stored)
            if not append.removes:
                require_storable(facts, rows[-1][-1] if rows else facts.chain, rows)
            require_new_client_ids(append, stored)
            self._require_new_end(append)
        except StoreError as error:
            return error
        return self._put(append)

    def _require_new_end(self, append: Append) -> None:
        ending = append.ending
        if ending is not None and any(kept.end_id == ending.end_id for kept in self._endings.values()):
            raise UnstorableError(f"{append.facts.id}: expected a new end_id, met {ending.end_id} again")

    def _put(self, append: Append) -> SessionFacts:
        facts = append.facts
        rows = journal_rows(append)
        if append.ending is not None:
            self._last_ending += 1
            self._endings[self._last_ending] = append.ending
        if append.removes:
            del self._sessions[facts.id]
            return facts
        if facts.id not in self._sessions:
            self._last_key += 1
            self._sessions[facts.id] = KeptSession(facts)
        stored = self._sessions[facts.id]
        chain = rows[-1][-1] if rows else facts.chain
        stored.facts = msgspec.structs.replace(facts, key=facts.key or self._last_key, chain=chain)
        stored.add(append.entries, self._last_place + 1)
        self._last_place += len(append.entries)
        return stored.facts
