"""The rows of the API table about sessions, their ids and what is known of them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from greenroom.runtime import Message, Session, SessionID, SessionMetadata, SessionState, ToolCall

from .api_place import ADA, NOBODY, Place, Row, after, refusal

SAID: Final = (Message("user", "hello world"), Message("assistant", "hello world"))
CALL: Final = ToolCall("c1", "search", '{"q": "tea"}')


async def listened(p: Place) -> list[str]:
    async with p.session.attach() as attachment:
        await p.session.add_message(Message("user", "psst"))
        return [type(attachment.attached).__name__, (await anext(attachment)).data.body.content]


def is_recent(time: datetime) -> bool:
    return time.tzinfo == UTC and abs(datetime.now(UTC) - time) < timedelta(minutes=1)


IDS: Final = [
    Row("SessionID", "SessionID", lambda _: SessionID("a", "b", "c").thread_id, ""),
    Row(
        "SessionID.AgentID SessionID.ChannelID SessionID.PeerID SessionID.ThreadID",
        "SessionID.agent_id SessionID.channel_id SessionID.peer_id SessionID.thread_id",
        lambda p: (
            p.session.id.agent_id,
            p.session.id.channel_id,
            p.session.id.peer_id,
            p.session.id.thread_id,
        ),
        ("echo", "app", "ada", "tea"),
    ),
    Row("SessionID.String", "SessionID.__str__", lambda _: str(SessionID("a:b", "%", "c")), "a%3Ab:%25:c"),
    Row(
        "ParseSessionID",
        "SessionID.parse",
        lambda _: SessionID.parse("a%3Ab:%25:c:d"),
        SessionID("a:b", "%", "c", "d"),
    ),
    Row("SessionState", "SessionState", lambda _: [int(state) for state in SessionState], [0, 1, 2, 3, 4]),
    Row(
        "SessionStateActive SessionStateIdle SessionStateCompacting SessionStateSuspended "
        "SessionStateArchived",
        "SessionState.ACTIVE SessionState.IDLE SessionState.COMPACTING SessionState.SUSPENDED "
        "SessionState.ARCHIVED",
        lambda _: [state.value for state in SessionState],
        [0, 1, 2, 3, 4],
    ),
    Row(
        "SessionState.String",
        "SessionState.__str__",
        lambda _: " ".join(map(str, SessionState)),
        "active idle compacting suspended archived",
    ),
]

MESSAGES: Final = [
    Row(
        "Message Message.role Message.content Message.tool_calls Message.tool_call_id",
        "Message Message.role Message.content Message.tool_calls Message.tool_call_id",
        lambda p: after(
            p.session.add_message(Message("assistant", "", (CALL,))),
            after(p.session.add_message(Message("tool", "found", tool_call_id="c1")), p.session.messages()),
        ),
        (*SAID, Message("assistant", "", (CALL,)), Message("tool", "found", tool_call_id="c1")),
    ),
    Row(
        "ToolCall ToolCall.id ToolCall.name ToolCall.arguments",
        "ToolCall ToolCall.id ToolCall.name ToolCall.arguments",
        lambda _: (CALL.id, CALL.name, CALL.arguments),
        ("c1", "search", '{"q": "tea"}'),
    ),
]

SESSION: Final = [
    Row("Session Session.ID", "Session Session.id", lambda p: p.session.id, ADA),
    Row(
        "NewSession",
        "SessionManager.get_or_create",
        lambda p: p.manager.get_or_create(NOBODY),
        lambda made: isinstance(made, Session) and made.id == NOBODY,
    ),
    Row(
        "Session.AddMessage", "Session.add_message", lambda p: p.session.add_message(Message("user", "?")), 5
    ),
    Row(
        "Session.GetMessages Session.Context",
        "Session.messages Session.messages",
        lambda p: p.session.messages(),
        SAID,
    ),
    Row("Session.Clear", "Session.clear", lambda p: after(p.session.clear(), p.session.messages()), ()),
    Row(
        "Session.SetSystemPrompt",
        "Session.set_system_prompt",
        lambda p: after(p.session.set_system_prompt("Sing."), p.session.system_prompt()),
        "Sing.",
    ),
    Row(
        "Session.system_prompt",
        "Session.system_prompt",
        lambda p: after(p.session.clear(), p.session.system_prompt()),
        "Be brief.",
    ),
    Row(
        "Session.GetState Session.State",
        "Session.state Session.state",
        lambda p: p.session.state(),
        SessionState.ACTIVE,
    ),
    Row(
        "Session.SetState",
        "Session.set_state",
        lambda p: after(p.session.set_state(SessionState.IDLE), p.session.state()),
        SessionState.IDLE,
    ),
    Row("Session.IsActive", "Session.is_active", lambda p: p.session.is_active(), expected=True),
    Row("Session.TokenCount", "Session.token_count", lambda p: p.session.token_count(), 4),
    Row("Session.MaxTokens", "Session.max_tokens", lambda p: p.session.max_tokens(), 128_000),
    Row(
        "Session.TokenUsageRatio",
        "Session.token_usage_ratio",
        lambda p: p.session.token_usage_ratio(),
        4 / 128_000,
    ),
    Row("Session.GetTitle", "Session.title", lambda p: p.session.title(), "Tea"),
    Row(
        "Session.SetTitle",
        "Session.set_title",
        lambda p: after(p.session.set_title("Milk"), p.session.title()),
        "Milk",
    ),
    Row("Session.GetSummary", "Session.summary", lambda p: p.session.summary(), "They met."),
    Row(
        "Session.SetSummary",
        "Session.set_summary",
        lambda p: after(p.session.set_summary(""), p.session.summary()),
        "",
    ),
    Row("Session.GetTags", "Session.tags", lambda p: p.session.tags(), ("green",)),
    Row(
        "Session.AddTag",
        "Session.add_tag",
        lambda p: after(p.session.add_tag("hot"), p.session.tags()),
        ("green", "hot"),
    ),
    Row(
        "Session.RemoveTag",
        "Session.remove_tag",
        lambda p: after(p.session.remove_tag("green"), p.session.tags()),
        (),
    ),
    Row("Session.GetCustomData", "Session.custom_data", lambda p: p.session.custom_data("cup"), "blue"),
    Row(
        "Session.SetCustomData",
        "Session.set_custom_data",
        lambda p: after(p.session.set_custom_data("cup", "red"), p.session.custom_data("cup")),
        "red",
    ),
    Row("Session.Info", "Session.info", lambda p: p.session.info(), lambda info: info.title == "Tea"),
    Row(
        "Session.CreatedAt",
        "SessionInfo.created_at",
        lambda p: p.session.info(),
        lambda info: is_recent(info.created_at),
    ),
    Row(
        "Session.UpdatedAt",
        "SessionInfo.updated_at",
        lambda p: p.session.info(),
        lambda info: is_recent(info.updated_at),
    ),
    Row(
        "Session.LastActiveAt",
        "SessionInfo.last_active_at",
        lambda p: p.session.info(),
        lambda i: is_recent(i.last_active_at),
    ),
    Row(
        "Session.CompactedAt",
        "SessionInfo.compacted_at",
        lambda p: p.session.info(),
        lambda info: info.compacted_at is None,
    ),
    Row(
        "Session.send",
        "Session.send",
        lambda p: p.session.send("?", client_id="m2"),
        lambda ack: (ack.seq, ack.duplicate) == (5, False),
    ),
    Row("Session.cancel", "Session.cancel", lambda p: p.session.cancel(), ()),
    Row("Session.attach", "Session.attach", listened, ["Attached", "psst"]),
    Row(
        "new_session", "Session.new_session", lambda p: after(p.session.new_session(), p.session.title()), ""
    ),
    Row("Session.reset", "Session.reset", lambda p: after(p.session.reset(), p.session.title()), "Tea"),
    Row(
        "Session.archive",
        "Session.archive",
        lambda p: after(p.session.archive(), p.session.state()),
        SessionState.ARCHIVED,
    ),
    Row(
        "Session.delete",
        "Session.delete",
        lambda p: after(p.session.delete(), refusal(p.session.title())),
        "SessionNotFoundError",
    ),
]

_METADATA = "title summary tags custom_data message_count token_count compaction_count"
_INFO = (
    "id agent_id channel_id peer_id thread_id state title summary message_count token_count max_tokens "
    "token_usage created_at updated_at last_active_at compacted_at"
)


def _fields(record: str, names: str) -> str:
    return " ".join(f"{record}.{name}" for name in names.split())


RECORDS: Final = [
    Row(
        f"SessionMetadata Session.Metadata {_fields('SessionMetadata', _METADATA)}",
        f"SessionMetadata Session.metadata {_fields('SessionMetadata', _METADATA)}",
        lambda p: p.session.metadata(),
        SessionMetadata(
            title="Tea",
            summary="They met.",
            tags=("green",),
            custom_data={"cup": "blue"},
            message_count=2,
            token_count=4,
            compaction_count=0,
        ),
    ),
    Row(
        f"SessionInfo {_fields('SessionInfo', _INFO)}",
        f"SessionInfo {_fields('SessionInfo', _INFO)}",
        lambda p: p.session.info(),
        lambda info: (
            [getattr(info, name) for name in _INFO.split()]
            == [
                *[
                    "echo:app:ada:tea",
                    "echo",
                    "app",
                    "ada",
                    "tea",
                    "active",
                    "Tea",
                    "They met.",
                    2,
                    4,
                    128_000,
                ],
                *[4 / 128_000, info.created_at, info.updated_at, info.last_active_at, None],
            ]
        ),
    ),
]

ROWS: Final = [*IDS, *MESSAGES, *SESSION, *RECORDS]
