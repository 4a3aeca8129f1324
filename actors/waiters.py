"""Senders that wait for the end of the turn which answers their message."""

from collections.abc import Sequence
from itertools import chain

import msgspec

from ..persistence.ids import SessionID
from ..persistence.records import Entry, QueueRemoved, TurnFinished
from .commands import Ack
from .conversation import content
from .effects import AnswerWhenDone, RefuseUnlessKnown
from .errors import DamagedError, UnavailableError
from .reads import Reads
from .reply import Reply
from .sending import unanswered


class Waiters:
    """Replies by the seq of the message whose fate they wait for."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        # None while nobody waits, as in every idle session.
        self._waiting: dict[int, list[tuple[Reply[Ack], Ack]]] | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, effect: AnswerWhenDone) -> None:
        """Answer this one when its message's turn has ended."""
        if self._waiting is None:
            self._waiting = {}
        self._waiting.setdefault(effect.ack.seq, []).append((effect.reply, effect.ack))

    def settle(self, entry: Entry, text: str = "") -> None:
        """Answer everyone whose message an entry used up: a turn's end, or a removal from the queue."""
        if not self._waiting or (isinstance(entry.body, TurnFinished) and entry.body.will_retry):
            return
        for seq in used_up(entry):
            for reply, ack in self._waiting.pop(seq, ()):
                reply.resolve(settled(ack, entry, text))
        self._waiting = self._waiting or None

    def reject(self, error: Exception) -> None:
        """Answer everyone with an error."""
        waiting, self._waiting = self._waiting, None
        for reply, _ in chain.from_iterable(waiting.values() if waiting else ()):
            reply.reject(error)


def used_up(entry: Entry) -> tuple[int, ...]:
    """The messages that an entry names as no longer pending."""
    if isinstance(entry.body, TurnFinished):
        return entry.body.message_seqs
    return entry.body.seqs if isinstance(entry.body, QueueRemoved) else ()


def settled(ack: Ack, entry: Entry, text: str) -> Ack:
    """The ack of a message that an entry used up; ``text`` is what its turn said."""
    if not isinstance(entry.body, TurnFinished):
        return msgspec.structs.replace(ack, status="removed")
    reason = entry.body.stop_reason
    return msgspec.structs.replace(ack, status="done", turn_id=entry.turn_id, stop_reason=reason, text=text)


async def answer_from_store(reads: Reads, session: SessionID, effect: AnswerWhenDone) -> None:
    """Answer a sender whose message was used up before; the journal says how."""
    try:
        found = await reads(reads.store.outcome, session, effect.ack.seq)
    except (DamagedError, UnavailableError) as exc:
        if effect.until_done:
            effect.reply.reject(exc)
        else:  # that it is stored is certain, and all that was asked
            effect.reply.resolve(effect.ack)
        return
    if found is None:  # stored while nobody answered here
        effect.reply.resolve(unanswered(effect.ack, until_done=effect.until_done))
        return
    entry, messages = found
    effect.reply.resolve(settled(effect.ack, entry, "".join(map(content, messages))))


async def find_known(
    reads: Reads, session: SessionID, refused: Sequence[RefuseUnlessKnown]
) -> Sequence[Entry]:
    """The stored entries of messages that would be refused; those that have none are refused."""
    ids = list(dict.fromkeys(effect.command.client_id for effect in refused))
    try:
        found = await reads(reads.store.sent, session, ids)
    except (DamagedError, UnavailableError):
        found = ()  # nobody can say: the refusal, which invites a repeat, is true in any case
    known = {entry.client_id for entry in found}
    for effect in refused:
        if effect.command.client_id not in known:
            effect.command.reply.reject(effect.error)
    return found
