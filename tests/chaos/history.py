"""What a test wrote down about one run: what was sent, what was acked, what was seen, what is stored."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that one client means to be stored once; a resend is the same `Sent`."""

    client: str
    session: str
    client_id: str
    content: str


@dataclass(frozen=True, slots=True)
class Ack:
    """One answer to a `Sent`; a client that resends may hold several for the same message."""

    client: str
    session: str
    client_id: str
    seq: int
    epoch: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One durable entry, as stored or as an event brought it.

    Attributes:
        session: Whose entry it is.
        seq: Its position.
        epoch: The opaque epoch.
        content: A message's text; a finished turn's stop reason.
        client_id: Only a sent message has one.
        answers: The seqs that a finished turn used up.
    """

    session: str
    seq: int
    epoch: str
    content: str
    client_id: str | None = None
    answers: tuple[int, ...] = ()


@dataclass(slots=True)
class Log:
    """What one subscription received, over all its connections.

    Attributes:
        session: What it is attached to.
        rows: Every durable event, in the order received.
        bases: Each ``(position in rows, seq)`` at which a snapshot told it to go on after ``seq``.
    """

    session: str
    rows: list[Row] = field(default_factory=list)
    bases: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """One run.

    Attributes:
        sent: In the order each client first sent them.
        acks: In the order each client received them.
        logs: One per subscription.
        stored: Every session's journal, read back at the end, in the store's order.
    """

    sent: list[Sent] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    stored: dict[str, list[Row]] = field(default_factory=dict)
