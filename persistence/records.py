"""What is stored: frozen rows, equal by value, free of behaviour.

Times are whole microseconds since the Unix epoch, UTC; tokens are counted by the runtime's encoding.
"""

import enum

import msgspec

from .bodies import (
    Body,
    CommandRan,
    EndReason,
    Message,
    QueueRemoved,
    Role,
    SessionEnded,
    SessionUpdated,
    StopReason,
    ToolCall,
    TurnError,
    TurnFinished,
)
from .ids import SessionID

__all__ = [
    "Append",
    "Body",
    "CommandRan",
    "EndReason",
    "Ending",
    "Entry",
    "Hit",
    "Message",
    "QueueRemoved",
    "Role",
    "SessionEnded",
    "SessionFacts",
    "SessionFilter",
    "SessionImport",
    "SessionRecord",
    "SessionState",
    "SessionUpdated",
    "StopReason",
    "StoreStats",
    "ToolCall",
    "TurnError",
    "TurnFinished",
    "TurnMark",
]


class SessionState(enum.IntEnum):
    """Where a conversation stands; stored as its number, printed in lower case."""

    ACTIVE = 0
    IDLE = 1
    COMPACTING = 2
    SUSPENDED = 3
    ARCHIVED = 4

    def __str__(self) -> str:
        return self.name.lower()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One durable event of a session.

    Attributes:
        seq: Position in the session's journal, dense from 1, rising across epochs.
        epoch: The conversation's number within the session, from 1.
        at: When it was accepted.
        body: What happened.
        tokens: Tokens of a message's content; 0 for other entries.
        client_id: The sender's own id for the message, unique per session.
        turn_id: The turn that produced it.
    """

    seq: int
    epoch: int
    at: int
    body: Body
    tokens: int = 0
    client_id: str | None = None
    turn_id: str | None = None


class TurnMark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A turn that was begun and not yet finished, as a restart will find it.

    Attributes:
        turn_id: Names this attempt.
        attempt: 1 for the first.
        message_seqs: The messages it answers.
        is_waiting: There are too many turns at work; its agent has not been called.
    """

    turn_id: str
    attempt: int
    message_seqs: tuple[int, ...]
    is_waiting: bool = False


class SessionFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The current facts of one session: its row beside the journal.

    Attributes:
        id: Whose facts these are.
        key: The row's number in the store; 0 until it is stored.
        state: Life-cycle state.
        epoch: The conversation's number, from 1.
        tag: Drawn when the row is created; makes (id, epoch, seq) mean one thing for ever.
        head_seq: The newest entry's seq; 0 for an empty journal.
        chain: Hash over the journal up to ``head_seq``.
        title: A name for people.
        summary: What compaction wrote about messages no longer in the live context.
        system_prompt: The instruction placed before the live context.
        tags: Labels, in the order they were added.
        custom_data: The host's own strings.
        message_count: Messages in the live context.
        token_count: Their tokens.
        compaction_count: How often the context was compacted.
        pending: Seqs of messages that no finished turn has used up yet.
        turn: A turn whose agent may not be run twice, from before it starts until it is finished.
        created_at: When the row was created; it never changes.
        updated_at: When any fact last changed.
        last_active_at: When the last message came.
        compacted_at: When the context was last compacted.
        archived_at: When it was archived; None if it is not, or nobody said when.
    """

    id: SessionID
    tag: str
    created_at: int
    updated_at: int
    last_active_at: int
    key: int = 0
    state: SessionState = SessionState.ACTIVE
    epoch: int = 1
    head_seq: int = 0
    chain: bytes = b""
    title: str = ""
    summary: str = ""
    system_prompt: str = ""
    tags: tuple[str, ...] = ()
    custom_data: dict[str, str] = {}
    message_count: int = 0
    token_count: int = 0
    compaction_count: int = 0
    pending: tuple[int, ...] = ()
    turn: TurnMark | None = None
    compacted_at: int | None = None
    archived_at: int | None = None

    @property
    def silent_since(self) -> int | None:
        """Since when nothing has happened: its last message, or its archiving where that is known."""
        return self.archived_at if self.state is SessionState.ARCHIVED else self.last_active_at


class SessionRecord(msgspec.Struct, frozen=True, gc=False):
    """What a session needs to live: its facts, the newest messages of its epoch, and its pending ones.

    ``context`` holds the newest messages that fit the store's token budget, oldest first; ``pending`` the
    entries named by ``facts.pending``, in that order.
    """

    facts: SessionFacts
    context: tuple[Entry, ...] = ()
    pending: tuple[Entry, ...] = ()


class Ending(msgspec.Struct, frozen=True, gc=False):
    """The end of a conversation, kept in the outbox until everybody who wants to know it was told.

    Attributes:
        end_id: Names this end, unique in the store.
        session: Whose conversation ended.
        reason: Why.
        at: When.
        facts: The row as it was before the end; ``pending`` names the messages that nobody answers any more.
        messages: The live context as it was, oldest first, those messages included.
    """

    end_id: str
    session: SessionID
    reason: EndReason
    at: int
    facts: SessionFacts
    messages: tuple[Message, ...] = ()


class Append(msgspec.Struct, frozen=True, gc=False):
    """One session's part of a commit: its row as it shall be, and what joins its journal.

    Attributes:
        facts: The new row. ``key`` 0 creates it; ``chain`` is that of the row as it was.
        base_seq: The ``head_seq`` the stored row must have now.
        entries: Their seqs run from ``base_seq + 1`` to ``facts.head_seq``.
        ending: Joins the outbox in the same transaction.
        removes: The session's row, journal and words are removed instead; there are no ``entries`` then.
    """

    facts: SessionFacts
    base_seq: int
    entries: tuple[Entry, ...] = ()
    ending: Ending | None = None
    removes: bool = False


class SessionImport(msgspec.Struct, frozen=True, gc=False):
    """A whole session to be stored anew: its row and every entry of its journal.

    ``facts.key`` is given anew. ``facts.chain`` is compared with the journal's own hashes; empty, it is not.
    """

    facts: SessionFacts
    entries: tuple[Entry, ...] = ()


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A message that holds every word that was looked for, and the piece of it around the first."""

    session: SessionID
    epoch: int
    seq: int
    snippet: str


class SessionFilter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Which sessions to list: newest ``last_active_at`` first, ties by id.

    ``created_after`` and ``created_before`` are exclusive; ``limit`` 0 means no limit.
    """

    agent_id: str | None = None
    channel_id: str | None = None
    peer_id: str | None = None
    state: SessionState | None = None
    created_after: int | None = None
    created_before: int | None = None
    limit: int = 0
    offset: int = 0


class StoreStats(msgspec.Struct, frozen=True, gc=False):
    """Counts over every stored session; active counts compacting, idle counts suspended."""

    total_sessions: int = 0
    active_sessions: int = 0
    idle_sessions: int = 0
    archived_sessions: int = 0
    total_messages: int = 0
    total_tokens: int = 0
