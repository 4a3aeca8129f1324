"""Decides whether a history keeps the promises P2, P4 and P5; linear in its length.

The journal can be read whole, so the order of every append is observable and nothing has to be searched for.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.chaos.history import Ack, History, Log, Row, Sent

Kind = Literal[
    "lost",
    "duplicated",
    "reordered",
    "gap",
    "seq mismatch",
    "id mismatch",
    "event gap",
    "event duplicated",
    "event mismatch",
    "foreign",
    "unanswered",
    "answered twice",
]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise and where to look."""

    kind: Kind
    where: str
    what: str


def check(history: History, *, answered: bool = False) -> list[Violation]:
    """Every violation in a history; empty for a good one.

    Args:
        history: What happened.
        answered: Whether an agent had to answer, so that one finished turn must name each message.
    """
    sent = {(message.session, message.client_id): message for message in history.sent}
    stored: dict[tuple[str, str], Row] = {}
    found: list[Violation] = []
    for session, rows in history.stored.items():
        found += _check_journal(session, rows, sent, stored)
    found += _check_acks(history.acks, stored)
    found += _check_order(history.sent, stored)
    for log in history.logs:
        found += _check_log(log, history.stored.get(log.session, []))
    if answered:
        for session, rows in history.stored.items():
            found += _check_answers(session, rows)
    return found


def _check_journal(
    session: str, rows: list[Row], sent: dict[tuple[str, str], Sent], stored: dict[tuple[str, str], Row]
) -> Iterator[Violation]:
    """One journal is dense, holds what was sent to it, each once; fills ``stored`` with the first of each."""
    contents: Counter[str] = Counter()
    for expected, row in enumerate(rows, start=1):
        if row.seq != expected:
            yield Violation("gap", session, f"expected seq {expected}, met {row.seq}")
        if row.session != session:
            yield Violation("foreign", session, f"seq {row.seq} belongs to {row.session}")
        if row.client_id is None:
            continue
        message = sent.get((session, row.client_id))
        if message is None:
            yield Violation(
                "foreign", session, f"seq {row.seq} has client id {row.client_id}, never sent here"
            )
            continue
        if message.content != row.content:
            yield Violation("id mismatch", session, f"{row.client_id} is stored with another content")
        contents[row.content] += 1
        if (session, row.client_id) in stored or contents[row.content] > 1:
            yield Violation("duplicated", session, f"{row.client_id} is stored again at seq {row.seq}")
        stored.setdefault((session, row.client_id), row)


def _check_acks(acks: list[Ack], stored: dict[tuple[str, str], Row]) -> Iterator[Violation]:
    """Every ack names the row that is stored."""
    new: set[tuple[str, str]] = set()
    for ack in acks:
        key = (ack.session, ack.client_id)
        row = stored.get(key)
        if row is None:
            yield Violation("lost", ack.session, f"{ack.client_id} was acked as seq {ack.seq}")
        elif (row.seq, row.epoch) != (ack.seq, ack.epoch):
            yield Violation(
                "seq mismatch", ack.session, f"{ack.client_id}: acked {ack.seq}, stored {row.seq}"
            )
        if not ack.duplicate and key in new:
            yield Violation("duplicated", ack.session, f"{ack.client_id} was acked twice as new")
        if not ack.duplicate:
            new.add(key)


def _check_order(sent: list[Sent], stored: dict[tuple[str, str], Row]) -> Iterator[Violation]:
    """What one client sent to one session lies there in the order of sending."""
    newest: dict[tuple[str, str], int] = {}
    for message in sent:
        row = stored.get((message.session, message.client_id))
        if row is None:
            continue
        stream = (message.client, message.session)
        if row.seq <= newest.get(stream, 0):
            yield Violation(
                "reordered", message.session, f"{message.client_id} lies at seq {row.seq}, too early"
            )
        newest[stream] = max(row.seq, newest.get(stream, 0))


def _check_log(log: Log, journal: list[Row]) -> Iterator[Violation]:
    """A subscriber saw the journal: from where it began, each entry once, in order."""
    bases = dict(log.bases)
    last = 0
    for position, row in enumerate(log.rows):
        last = max(last, bases.get(position, 0))
        if row.session != log.session:
            yield Violation("foreign", log.session, f"an event of {row.session} arrived here")
            continue
        if row.seq <= last:
            yield Violation("event duplicated", log.session, f"seq {row.seq} came again after {last}")
            continue
        if row.seq != last + 1:
            yield Violation("event gap", log.session, f"after seq {last} came {row.seq}")
        if row.seq > len(journal):
            yield Violation("lost", log.session, f"seq {row.seq} was seen and is not stored")
        elif journal[row.seq - 1] != row:
            yield Violation("event mismatch", log.session, f"seq {row.seq} was seen otherwise than stored")
        last = row.seq


def _check_answers(session: str, rows: list[Row]) -> Iterator[Violation]:
    """Each message was used up by one turn."""
    answers = Counter(seq for row in rows for seq in row.answers)
    for row in rows:
        if row.client_id is None or answers[row.seq] == 1:
            continue
        kind: Kind = "answered twice" if answers[row.seq] else "unanswered"
        yield Violation(kind, session, f"seq {row.seq} was used up by {answers[row.seq]} turns")
