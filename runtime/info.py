"""Sessions and counts as hosts and clients see them."""

from datetime import UTC, datetime

import msgspec

from ..persistence.records import Entry, Message, SessionFacts, ToolCall


def utc(microseconds: int) -> datetime:
    """A stored time as an aware datetime; exact to the microsecond (a float would not be)."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a session without its messages; times are UTC, ``token_usage`` is 0 to 1 and above."""

    id: str
    agent_id: str
    channel_id: str
    peer_id: str
    thread_id: str = ""
    state: str
    title: str = ""
    summary: str = ""
    message_count: int
    token_count: int
    max_tokens: int
    token_usage: float
    created_at: datetime
    updated_at: datetime
    last_active_at: datetime
    compacted_at: datetime | None = None


def session_info(facts: SessionFacts, max_tokens: int) -> SessionInfo:
    """Render a stored row; ``max_tokens`` is the context budget in force."""
    return SessionInfo(
        id=str(facts.id),
        agent_id=facts.id.agent_id,
        channel_id=facts.id.channel_id,
        peer_id=facts.id.peer_id,
        thread_id=facts.id.thread_id,
        state=str(facts.state),
        title=facts.title,
        summary=facts.summary,
        message_count=facts.message_count,
        token_count=facts.token_count,
        max_tokens=max_tokens,
        token_usage=facts.token_count / max_tokens,
        created_at=utc(facts.created_at),
        updated_at=utc(facts.updated_at),
        last_active_at=utc(facts.last_active_at),
        compacted_at=None if facts.compacted_at is None else utc(facts.compacted_at),
    )


class SessionMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people and the host set, and what the live context holds.

    Attributes:
        title: A name for people.
        summary: What compaction wrote about messages no longer in the live context.
        tags: Labels, in the order they were added.
        custom_data: The host's own strings; a copy.
        message_count: Messages in the live context.
        token_count: Their tokens.
        compaction_count: How often the context was compacted.
    """

    title: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()
    custom_data: dict[str, str] = {}
    message_count: int
    token_count: int
    compaction_count: int


def session_metadata(facts: SessionFacts) -> SessionMetadata:
    """Render a stored row."""
    return SessionMetadata(
        title=facts.title,
        summary=facts.summary,
        tags=facts.tags,
        custom_data=dict(facts.custom_data),
        message_count=facts.message_count,
        token_count=facts.token_count,
        compaction_count=facts.compaction_count,
    )


class SessionManagerStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all stored sessions, then over this process.

    ``active_sessions`` counts compacting ones and ``idle_sessions`` suspended ones, so that the three states
    sum to the total. ``live_actors`` are sessions in memory, ``mailbox_depth`` commands waiting for them, and
    ``appends`` over ``commits`` how well commits are shared.
    """

    total_sessions: int
    active_sessions: int
    idle_sessions: int
    archived_sessions: int
    total_messages: int
    total_tokens: int
    live_actors: int
    mailbox_depth: int
    commits: int
    appends: int


class MessageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored message, flat, as history and snapshots carry it."""

    seq: int
    epoch: str
    at: datetime
    role: str
    content: str
    client_id: str | None = None
    turn_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    partial: bool = False


def message_view(entry: Entry, message: Message, tag: str) -> MessageView:
    """Render a message entry of the session whose row carries ``tag``."""
    return MessageView(
        seq=entry.seq,
        epoch=f"{entry.epoch}-{tag}",
        at=utc(entry.at),
        role=message.role,
        content=message.content,
        client_id=entry.client_id,
        turn_id=entry.turn_id,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
        partial=message.partial,
    )
