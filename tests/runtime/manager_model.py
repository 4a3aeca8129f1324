"""What a `SessionManager` is to do, in plain Python: sessions in a dictionary, one journal each, no tasks."""

from collections.abc import Callable
from typing import Any, NamedTuple

from greenroom.actors.life import TRANSITIONS, Turning
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import EndReason, Message, SessionFilter, SessionState
from greenroom.persistence.search import words

from tests.runtime.kept_session import Kept, Line

IDLE_AFTER, SUSPEND_AFTER, ARCHIVE_AFTER, DELETE_AFTER = 2, 4, 8, 4  # seconds
SECOND = 1_000_000  # microseconds
COMMANDS = ("new", "reset", "compact", "stop", "archive", "help")
ACTIVE, IDLE, COMPACTING, SUSPENDED, ARCHIVED = SessionState


class Refused(NamedTuple):
    """The stable name of an error."""

    name: str


NOT_FOUND = Refused("not_found")
CONFLICT = Refused("conflict")


class End(NamedTuple):
    """The end of a conversation, as a hook is told of it."""

    session: SessionID
    reason: EndReason
    at: int
    epoch: int
    messages: tuple[Message, ...]


class Model:
    """Every stored session, and every end so far."""

    def __init__(self, count_tokens: Callable[[str], int]) -> None:
        self.at = 0
        self.kept: dict[SessionID, Kept] = {}
        self.ends: list[End] = []
        self._count = count_tokens

    def opened(self, session: SessionID) -> Kept:
        """The session, created if it is missing."""
        return self.kept.setdefault(session, Kept(session, self.at, self.at, self.at))

    def known(self, session: SessionID, client_id: str) -> Line | None:
        """What is stored under a client id."""
        lines = self.kept[session].journal if session in self.kept else []
        return next((line for line in lines if line.client_id == client_id), None)

    def send(
        self, session: SessionID, content: str, client_id: str, mode: str
    ) -> Refused | tuple[int, str, bool]:
        """Seq, status and whether it is a repeat."""
        name = content[1:] if content[:1] == "/" and content[1:] in COMMANDS else None
        text = content[1:] if content.startswith("//") else content
        if (known := self.known(session, client_id)) is not None:
            return self._again(self.kept[session], known, name, text)
        if name is not None:
            return self._command(self.opened(session), name, client_id), "command", False
        one = self.kept.get(session)
        if one is not None and one.running is not None and mode != "followup":
            return Refused("busy" if mode == "reject" else "not_supported")
        one = self.opened(session)
        seq = one.say(self.at, Message("user", text), client_id)
        is_next = one.running is None
        one.waiting.append(seq)
        one.begin_next(self.at)
        return seq, "accepted" if is_next else "queued", False

    def _again(self, one: Kept, known: Line, name: str | None, text: str) -> Refused | tuple[int, str, bool]:
        if known.kind == "command":
            is_same = name is not None and known.what == (name, _error_of(name))
            return (known.seq, "command", True) if is_same else Refused("id_conflict")
        if name is not None or one.message(known.seq).content != text:
            return Refused("id_conflict")
        return known.seq, self._status(one, known.seq), True

    def _status(self, one: Kept, seq: int) -> str:
        if seq == one.running:
            return "accepted"
        if seq in one.waiting:
            return "queued"
        removed = [line.what for line in one.journal if line.kind == "queue.removed"]
        return "removed" if any(isinstance(seqs, tuple) and seq in seqs for seqs in removed) else "done"

    def _command(self, one: Kept, name: str, client_id: str) -> int:
        ends = name in ("new", "reset") or (name == "archive" and one.state is not ARCHIVED)
        live = one.stop(self.at) if ends or name == "stop" else ()
        seq = one.append(self.at, "command", (name, _error_of(name)), client_id)
        if ends:
            self._conclude(one, EndReason(name), live)
        return seq

    def end(self, session: SessionID, verb: str, *, is_expected: bool) -> Refused | None:
        """new, reset, archive or delete."""
        one = self.kept.get(session)
        if one is None:
            return NOT_FOUND
        if not is_expected:
            return CONFLICT
        if verb == "archive" and one.state is ARCHIVED:
            return None
        self._conclude(one, EndReason(verb), one.stop(self.at))
        return None

    def _conclude(self, one: Kept, reason: EndReason, live: tuple[Message, ...]) -> None:
        self.ends.append(End(one.id, reason, self.at, one.epoch, live))
        if reason is EndReason.DELETE:
            del self.kept[one.id]
            return
        is_followed = reason in (EndReason.NEW, EndReason.RESET)
        one.append(self.at, "session.ended", (reason, one.epoch + 1 if is_followed else None))
        if not is_followed:
            one.state, one.archived_at = ARCHIVED, self.at
            return
        one.state, one.archived_at, one.last_active_at = ACTIVE, None, self.at
        one.epoch, one.live, one.summary = one.epoch + 1, [], ""
        one.title = "" if reason is EndReason.NEW else one.title

    def update(self, session: SessionID, **given: Any) -> Refused | None:  # noqa: ANN401 - any fact
        """Set facts anew; what is equal is no change."""
        one = self.kept.get(session)
        if one is None:
            return NOT_FOUND
        changed = {name: value for name, value in given.items() if getattr(one, name) != value}
        for name, value in changed.items():
            setattr(one, name, value)
        if changed:
            one.append(self.at, "session.updated", changed)
        return None

    def set_state(self, session: SessionID, to: SessionState) -> Refused | None:
        """Go on to a state, by a row of the table."""
        one = self.kept.get(session)
        if one is None:
            return NOT_FOUND
        rows = {(a, b) for a, turning, b in TRANSITIONS if turning is not Turning.NEW_EPOCH}
        if (one.state, to) not in rows:
            return CONFLICT
        if to is ARCHIVED:
            return self.end(session, "archive", is_expected=True)
        one.state, one.updated_at, one.archived_at = to, self.at, None
        return None

    def pass_second(self) -> None:
        """Let a second pass and silence take effect, as the steps of a round follow on one another."""
        self.at += SECOND
        for one in list(self.kept.values()):
            if one.pending:
                continue
            if one.state is not ARCHIVED and self._is_due(one.last_active_at, ARCHIVE_AFTER):
                self._conclude(one, EndReason.TIMEOUT, one.messages())
            if one.state is ACTIVE and self._is_due(one.last_active_at, IDLE_AFTER):
                one.state, one.updated_at = IDLE, self.at
            if one.state is IDLE and self._is_due(one.last_active_at, SUSPEND_AFTER):
                one.state, one.updated_at = SUSPENDED, self.at
            if one.state is ARCHIVED and self._is_due(one.archived_at or self.at, DELETE_AFTER):
                self._conclude(one, EndReason.DELETE, one.messages())

    def _is_due(self, since: int, after: int) -> bool:
        return since < self.at - after * SECOND

    def listed(self, where: SessionFilter) -> list[SessionID]:
        """Whom a list names, in its order."""
        found = [one for one in self.kept.values() if self._matches(one, where)]
        found.sort(key=lambda one: (-one.last_active_at, str(one.id)))
        last = where.offset + where.limit if where.limit else None
        return [one.id for one in found[where.offset : last]]

    def _matches(self, one: Kept, where: SessionFilter) -> bool:
        return (
            where.agent_id in (None, one.id.agent_id)
            and where.channel_id in (None, one.id.channel_id)
            and where.peer_id in (None, one.id.peer_id)
            and where.state in (None, one.state)
            and (where.created_after is None or one.created_at > where.created_after)
            and (where.created_before is None or one.created_at < where.created_before)
        )

    def found(self, query: str, session: SessionID | None) -> set[tuple[SessionID, int]]:
        """The messages that hold every word."""
        wanted = set(words(query))
        return {
            (one.id, line.seq)
            for one in self.kept.values()
            for line in one.journal
            if session in (None, one.id)
            and wanted
            and isinstance(line.what, Message)
            and wanted <= set(words(line.what.content))
        }

    def tokens(self, one: Kept) -> int:
        """Tokens of the live context."""
        return sum(self._count(message.content) for message in one.messages())

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Total, active, idle and archived sessions, live messages, their tokens."""
        states = [one.state for one in self.kept.values()]
        active = sum(state in (ACTIVE, COMPACTING) for state in states)
        archived = states.count(ARCHIVED)
        messages = sum(len(one.live) for one in self.kept.values())
        tokens = sum(map(self.tokens, self.kept.values()))
        return len(states), active, len(states) - active - archived, archived, messages, tokens


def _error_of(name: str) -> str | None:
    return "not_supported" if name == "compact" else None
