"""What the methods of the wire protocol answer, made of what sessions and the store say."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..actors.commands import Ack, Attached, CommandOutcome, Snapshot, Stopped
from ..actors.events import QueuedMessage
from ..persistence.records import Hit, Message, SessionFacts
from .config import Limits
from .encoding import entry_params
from .info import message_view, session_info
from .version import VERSION

PROTOCOL: Final = 1
ALL_SCOPES: Final = {
    "agents": ["*"],
    "channels": ["*"],
    "peers": ["*"],
    "verbs": ["read", "write", "stop", "admin"],
}


def initialize_result(limits: Limits) -> dict[str, Any]:
    """What ``initialize`` answers; a heartbeat is in milliseconds."""
    return {
        "protocol": PROTOCOL,
        "server": {"name": "greenroom", "version": VERSION},
        "heartbeat_ms": round(limits.ping * 1000),
        "limits": {
            "frame_bytes": limits.frame_bytes,
            "content_bytes": limits.content_bytes,
            "mailbox": limits.mailbox,
            "pending": limits.pending,
            "outbound_bytes": limits.outbound_bytes,
        },
        "scopes": ALL_SCOPES,
    }


def facts_result(facts: SessionFacts, max_tokens: int) -> dict[str, Any]:
    """How a session stands, as most methods answer it."""
    return {
        "info": session_info(facts, max_tokens),
        "epoch": f"{facts.epoch}-{facts.tag}",
        "head_seq": facts.head_seq,
    }


def deleted_result(_: SessionFacts) -> dict[str, Any]:
    """What ``session.delete`` answers."""
    return {"deleted": True}


def cancelled_result(turn_ids: Sequence[str]) -> dict[str, Any]:
    """What ``turn.cancel`` answers."""
    return {"cancelled": turn_ids}


def removed_result(removed: Sequence[QueuedMessage]) -> dict[str, Any]:
    """What ``queue.remove`` and ``queue.clear`` answer."""
    return {"removed": removed}


def ack_result(ack: Ack, max_tokens: int) -> dict[str, Any]:
    """What ``message.send`` answers."""
    result = {key: value for key, value in msgspec.structs.asdict(ack).items() if value is not None}
    if ack.outcome is not None:
        del result["outcome"]
        result |= _outcome(ack.outcome, max_tokens)
    return result


def _outcome(outcome: CommandOutcome, max_tokens: int) -> dict[str, Any]:
    named: dict[str, Any] = {"command": outcome.command}
    match outcome.result:
        case SessionFacts():
            named["result"] = facts_result(outcome.result, max_tokens)
        case Stopped():
            named["result"] = outcome.result
        case str():
            named["result"] = {"text": outcome.result}
        case None:
            pass
    return named if outcome.error is None else named | {"error": outcome.error}


def attached_result(attached: Attached, max_tokens: int) -> dict[str, Any]:
    """What ``session.attach`` answers."""
    facts = attached.facts
    result = facts_result(facts, max_tokens) | {
        "recovered": not isinstance(attached.backlog, Snapshot),
        "queue": attached.queue,
    }
    if attached.turn is not None:
        result["turn"] = attached.turn
    if isinstance(attached.backlog, Snapshot):
        result["snapshot"] = snapshot_result(attached.backlog, facts.tag)
    else:
        session = str(facts.id)
        result["events"] = [
            entry_params(session, f"{entry.epoch}-{facts.tag}", entry) for entry in attached.backlog
        ]
    return result


def snapshot_result(snapshot: Snapshot, tag: str) -> dict[str, Any]:
    """Messages as ``session.history`` answers them, of the session whose row carries ``tag``."""
    messages = [message_view(e, e.body, tag) for e in snapshot.messages if isinstance(e.body, Message)]
    return {"messages": messages, "more": snapshot.more}


def hit_result(hit: Hit, tag: str) -> dict[str, Any]:
    """A message that was found, of the session whose row carries ``tag``."""
    return {
        "session": str(hit.session),
        "epoch": f"{hit.epoch}-{tag}",
        "seq": hit.seq,
        "snippet": hit.snippet,
    }
