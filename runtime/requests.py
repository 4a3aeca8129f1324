"""The requests of the wire protocol: one record per method, checked by type as it is decoded."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..actors.commands import EndVerb
from .updates import MAX_TAG, MAX_TAGS, MAX_TITLE

T = TypeVar("T")

LARGEST_INT = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, section 6)
MAX_LIMIT = 200  # rows of one answer
MAX_QUERY = 1000  # characters

Seq = Annotated[int, Meta(ge=0, le=LARGEST_INT)]
Position = Annotated[int, Meta(ge=1, le=LARGEST_INT)]
Epoch = Annotated[str, Meta(min_length=1, max_length=32)]
ClientID = Annotated[str, Meta(min_length=1, max_length=128)]
TurnID = Annotated[str, Meta(min_length=1, max_length=64)]
Query = Annotated[str, Meta(max_length=MAX_QUERY)]
Title = Annotated[str, Meta(max_length=MAX_TITLE)]
Tag = Annotated[str, Meta(min_length=1, max_length=MAX_TAG)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=MAX_TAGS)]


class Client(msgspec.Struct, frozen=True):
    """What the peer says it is."""

    name: str
    version: str


class Initialize(msgspec.Struct, frozen=True):
    """Open the conversation with the gateway."""

    protocol: int
    client: Client
    token: str | UnsetType = UNSET


class Attach(msgspec.Struct, frozen=True):
    """Subscribe to a session."""

    session: str
    after_seq: Seq | UnsetType = UNSET
    epoch: Epoch | UnsetType = UNSET
    create: bool = True


class Detach(msgspec.Struct, frozen=True):
    """Subscribe no longer."""

    session: str


class SendMessage(msgspec.Struct, frozen=True):
    """Store a user message and have it answered."""

    session: str
    client_id: ClientID
    content: str
    mode: Literal["followup", "collect", "steer", "interrupt", "reject"] = "followup"
    wait: Literal["durable", "done"] = "durable"


class Cancel(msgspec.Struct, frozen=True):
    """Cut a turn off."""

    session: str
    turn_id: TurnID | UnsetType = UNSET


class RemoveQueued(msgspec.Struct, frozen=True):
    """Take one message out of the queue."""

    session: str
    seq: Position


class ClearQueue(msgspec.Struct, frozen=True):
    """Take all messages out of the queue."""

    session: str


class Update(msgspec.Struct, frozen=True):
    """Set facts of a session anew; those not given stay."""

    session: str
    title: Title | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    custom_data: dict[str, str] | UnsetType = UNSET
    system_prompt: str | UnsetType = UNSET


class End(msgspec.Struct, frozen=True):
    """End a conversation, if it stands where the sender thinks; one kind for each ``verb``."""

    verb: ClassVar[EndVerb]

    session: str
    if_epoch: Epoch | UnsetType = UNSET
    if_seq: Seq | UnsetType = UNSET


class New(End, frozen=True):
    """Begin another conversation in the session."""

    verb = "new"


class Reset(End, frozen=True):
    """Begin the conversation anew under its title."""

    verb = "reset"


class Archive(End, frozen=True):
    """Put the session away until somebody says something in it."""

    verb = "archive"


class Delete(End, frozen=True):
    """Remove the session and all that was said in it."""

    verb = "delete"


class Compact(msgspec.Struct, frozen=True):
    """Put a summary in the place of what was said first."""

    session: str
    prompt: str | UnsetType = UNSET
    strategy: Literal["summarize", "truncate", "hybrid"] | UnsetType = UNSET


class Uncompact(msgspec.Struct, frozen=True):
    """Take the summary away again."""

    session: str


class History(msgspec.Struct, frozen=True):
    """Read a page of messages."""

    session: str
    before_seq: Position | UnsetType = UNSET
    limit: int = 50
    epoch: Epoch | UnsetType = UNSET


class Search(msgspec.Struct, frozen=True):
    """Find messages by their words."""

    query: Query
    session: str | UnsetType = UNSET
    limit: int = 50


class Info(msgspec.Struct, frozen=True):
    """Read a session's facts."""

    session: str


class List(msgspec.Struct, frozen=True):
    """Find sessions."""

    agent_id: str | UnsetType = UNSET
    channel_id: str | UnsetType = UNSET
    peer_id: str | UnsetType = UNSET
    state: Literal["active", "idle", "compacting", "suspended", "archived"] | UnsetType = UNSET
    created_after: datetime | UnsetType = UNSET
    created_before: datetime | UnsetType = UNSET
    limit: int = 50
    offset: Seq = 0


class Stats(msgspec.Struct, frozen=True):
    """Read the runtime's counts."""


class Ping(msgspec.Struct, frozen=True):
    """Ask for a sign of life."""


Request = (
    Initialize
    | Attach
    | Detach
    | SendMessage
    | Cancel
    | RemoveQueued
    | ClearQueue
    | Update
    | New
    | Reset
    | Archive
    | Delete
    | Compact
    | Uncompact
    | History
    | Search
    | Info
    | List
    | Stats
    | Ping
)

METHODS: dict[str, type[Request]] = {
    "initialize": Initialize,
    "session.attach": Attach,
    "session.detach": Detach,
    "message.send": SendMessage,
    "turn.cancel": Cancel,
    "queue.remove": RemoveQueued,
    "queue.clear": ClearQueue,
    "session.update": Update,
    "session.new": New,
    "session.reset": Reset,
    "session.archive": Archive,
    "session.delete": Delete,
    "session.compact": Compact,
    "session.uncompact": Uncompact,
    "session.history": History,
    "session.search": Search,
    "session.info": Info,
    "session.list": List,
    "stats": Stats,
    "ping": Ping,
}


def given(value: T | UnsetType) -> T | None:
    """What a request says, None if it does not: no field of a request may be null."""
    return None if isinstance(value, UnsetType) else value


def clamp(limit: int) -> int:
    """A page size within 1 and `MAX_LIMIT`: out of range is not an error on the wire."""
    return max(1, min(limit, MAX_LIMIT))
