"""The store for tests and for hosts that keep nothing: what `SQLiteSessionStore` answers, without a disk."""

from collections.abc import Sequence
from threading import Lock

import msgspec

from .errors import DuplicateClientIdError, StaleHeadError, StoreClosedError, StoreError, UnstorableError
from .ids import SessionID
from .journal import answers
from .queries import count
from .records import (
    Append,
    Entry,
    Message,
    SessionFacts,
    SessionFilter,
    SessionRecord,
    SessionState,
    StoreStats,
)
from .rows import journal_rows, require_pending, require_storable
from .sqlite import DEFAULT_MAX_TOKENS


class _Session:
    """One session as kept: its facts, its journal (entry ``seq`` at index ``seq - 1``), its client ids."""

    def __init__(self, facts: SessionFacts) -> None:
        self.facts = facts
        self.journal: list[Entry] = []
        self.by_client_id: dict[str, Entry] = {}


class InMemorySessionStore:
    """A `SessionStore` that forgets everything when it is closed."""

    blocking = False

    def __init__(self, *, max_tokens: int = DEFAULT_MAX_TOKENS) -> None:
        """Start empty; ``max_tokens`` is the budget of the context that `load` returns."""
        self._max_tokens = max_tokens
        self._sessions: dict[SessionID, _Session] = {}
        self._last_key = 0
        self._closed = False
        self._lock = Lock()

    def commit(self, batch: Sequence[Append]) -> list[SessionFacts | StoreError]:
        """See `SessionStore.commit`."""
        with self._lock:
            self._require_open()
            return [self._append(append) for append in batch]

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
                self._sessions[facts.id] = _Session(facts)
                self._last_key += 1
            else:
                old = stored.facts
                facts = msgspec.structs.replace(facts, key=old.key, head_seq=old.head_seq, chain=old.chain)
                require_pending(facts, facts.head_seq)
                require_storable(facts, facts.chain)
                stored.facts = facts

    def load(self, session: SessionID) -> SessionRecord | None:
        """See `SessionStore.load`."""
        with self._lock:
            stored = self._get(session)
            if stored is None:
                return None
            context: list[Entry] = []
            tokens = 0
            for entry in reversed(_messages(stored, stored.facts.epoch)):
                tokens += entry.tokens
                if context and tokens > self._max_tokens:
                    break
                context.append(entry)
            context.reverse()
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

    def list(self, where: SessionFilter) -> list[SessionFacts]:
        """See `SessionStore.list`."""
        with self._lock:
            self._require_open()
            found = [stored.facts for stored in self._sessions.values() if _matches(stored.facts, where)]
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
            messages = [] if stored is None else _messages(stored, epoch)
        before = [entry for entry in messages if before_seq is None or entry.seq < before_seq]
        return before[max(len(before) - limit, 0) :] if limit > 0 else []

    def outcome(self, session: SessionID, seq: int) -> tuple[Entry, Sequence[Entry]] | None:
        """See `SessionStore.outcome`."""
        with self._lock:
            stored = self._get(session)
            if stored is None or seq in stored.facts.pending or not 1 <= seq <= stored.facts.head_seq:
                return None
            finished = next((entry for entry in stored.journal[seq:] if answers(entry, seq)), None)
            if finished is None:
                return None
            turn = [entry for entry in stored.journal if _spoken_in(entry, finished)]
            return finished, turn

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

    def _require_open(self) -> None:
        if self._closed:
            raise StoreClosedError("memory: expected an open store, met a closed one")

    def _get(self, session: SessionID) -> _Session | None:
        self._require_open()
        return self._sessions.get(session)

    def _append(self, append: Append) -> SessionFacts | StoreError:
        facts = append.facts
        stored = self._sessions.get(facts.id)
        try:
            rows = journal_rows(append)
            chain = rows[-1][-1] if rows else facts.chain
            _require_head(append, stored)
            require_storable(facts, chain, rows)
            _require_new_client_ids(append, stored)
        except StoreError as error:
            return error
        if stored is None:
            self._last_key += 1
            stored = self._sessions[facts.id] = _Session(facts)
        key = facts.key or self._last_key
        stored.facts = msgspec.structs.replace(facts, key=key, chain=chain)
        stored.journal.extend(append.entries)
        stored.by_client_id.update(
            {entry.client_id: entry for entry in append.entries if entry.client_id is not None}
        )
        return stored.facts


def _require_head(append: Append, stored: _Session | None) -> None:
    facts = append.facts
    met = (0, 0, b"") if stored is None else (stored.facts.key, stored.facts.head_seq, stored.facts.chain)
    if (facts.key, append.base_seq, facts.chain) != met:
        raise StaleHeadError(
            f"{facts.id}: expected key {facts.key}, head {append.base_seq}, met key {met[0]}, head {met[1]}"
        )


def _require_new_client_ids(append: Append, stored: _Session | None) -> None:
    fresh: set[str] = set()
    for entry in append.entries:
        if entry.client_id is None:
            continue
        if stored is not None and entry.client_id in stored.by_client_id:
            raise DuplicateClientIdError(stored.by_client_id[entry.client_id])
        if entry.client_id in fresh:
            raise UnstorableError(f"{append.facts.id}: entry {entry.seq}: expected a new client id")
        fresh.add(entry.client_id)


def _messages(stored: _Session, epoch: int) -> list[Entry]:
    return [entry for entry in stored.journal if entry.epoch == epoch and isinstance(entry.body, Message)]


def _spoken_in(entry: Entry, finished: Entry) -> bool:
    return (
        finished.turn_id is not None
        and entry.turn_id == finished.turn_id
        and entry.seq <= finished.seq
        and isinstance(entry.body, Message)
    )


def _matches(facts: SessionFacts, where: SessionFilter) -> bool:
    return (
        where.agent_id in (None, facts.id.agent_id)
        and where.channel_id in (None, facts.id.channel_id)
        and where.peer_id in (None, facts.id.peer_id)
        and where.state in (None, facts.state)
        and (where.created_after is None or facts.created_at > where.created_after)
        and (where.created_before is None or facts.created_at < where.created_before)
    )
