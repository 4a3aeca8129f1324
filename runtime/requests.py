"""The requests of the wire protocol: one record per method, checked by type as it is decoded."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

LARGEST_INT = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, section 6)
MAX_LIMIT = 200  # rows of one answer

Seq = Annotated[int, Meta(ge=0, le=LARGEST_INT)]
Position = Annotated[int, Meta(ge=1, le=LARGEST_INT)]
Epoch = Annotated[str, Meta(min_length=1, max_length=32)]
ClientID = Annotated[str, Meta(min_length=1, max_length=128)]


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


class History(msgspec.Struct, frozen=True):
    """Read a page of messages."""

    session: str
    before_seq: Position | UnsetType = UNSET
    limit: int = 50
    epoch: Epoch | UnsetType = UNSET


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


Request = Initialize | Attach | Detach | SendMessage | History | Info | List | Stats | Ping

METHODS: dict[str, type[Request]] = {
    "initialize": Initialize,
    "session.attach": Attach,
    "session.detach": Detach,
    "message.send": SendMessage,
    "session.history": History,
    "session.info": Info,
    "session.list": List,
    "stats": Stats,
    "ping": Ping,
}


def clamp(limit: int) -> int:
    """A page size within 1 and `MAX_LIMIT`: out of range is not an error on the wire."""
    return max(1, min(limit, MAX_LIMIT))
