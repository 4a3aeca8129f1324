"""Answers, errors and events as frames: the encoding half of the wire protocol. Sans-I/O."""

from typing import Any, Final

import msgspec

from ..actors.errors import GreenroomError
from ..actors.events import Event, Live, QueueChanged, Resync, StateChanged, TurnDelta, TurnStarted
from ..persistence.records import Body, Entry, SessionEnded
from .info import utc
from .protocol import RequestId

# JSON-RPC 2.0, section 5.1; then ours, from -32000 downwards.
_RPC_CODES: Final = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "method_not_found": -32601,
    "invalid_params": -32602,
    "internal_error": -32603,
}
_OUR_NAMES: Final = (
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "id_conflict",
    "busy",
    "rate_limited",
    "too_large",
    "budget_exhausted",
    "session_quarantined",
    "store_unavailable",
    "shutting_down",
    "provider_error",
    "not_supported",
)
CODES: Final = _RPC_CODES | {name: -32000 - index for index, name in enumerate(_OUR_NAMES)}

_encoder = msgspec.json.Encoder()


def frame(message: dict[str, Any]) -> str:
    """One JSON-RPC message as text."""
    return _encoder.encode({"jsonrpc": "2.0", **message}).decode()


def result_frame(request_id: RequestId, result: Any) -> str:  # noqa: ANN401 - any JSON value
    """The answer to a request that was carried out."""
    return frame({"id": request_id, "result": result})


def error_frame(request_id: RequestId, error: Exception) -> str:
    """The answer to a request that was not; errors that are not ours become ``internal_error``."""
    name, text, retry_after, field = (
        "internal_error",
        "request: expected a result, met a fault of ours",
        None,
        None,
    )
    if isinstance(error, GreenroomError) and error.name in CODES:
        name, text, retry_after, field = error.name, str(error), error.retry_after, error.field
    data: dict[str, Any] = {"name": name, "retryable": isinstance(error, GreenroomError) and error.retryable}
    if retry_after is not None:
        data["retry_after_ms"] = round(retry_after * 1000)
    if field is not None:
        data["field"] = field
    return frame({"id": request_id, "error": {"code": CODES[name], "message": text, "data": data}})


def event_frame(event: Event) -> str:
    """An event as a notification."""
    session = str(event.session)
    if isinstance(event.data, Entry):
        params = entry_params(session, event.epoch, event.data)
    else:
        kind, data = _live(event.data, event.epoch)
        params = {"session": session, "epoch": event.epoch, "type": kind, "at": utc(event.at), "data": data}
    return frame({"method": "event", "params": params})


def draining_frame(at: int, deadline: float, retry_after: float) -> str:
    """The news that the server ends: ``deadline`` and ``retry_after`` in seconds."""
    data = {"deadline_ms": round(deadline * 1000), "retry_after_ms": round(retry_after * 1000)}
    return frame({"method": "event", "params": {"type": "server.draining", "at": utc(at), "data": data}})


def entry_params(session: str, epoch: str, entry: Entry) -> dict[str, Any]:
    """A durable event as the parameters of its notification."""
    data = _body(entry.body, epoch)
    kind = data.pop("kind")
    if entry.client_id is not None:
        data["client_id"] = entry.client_id
    if entry.turn_id is not None:
        data["turn_id"] = entry.turn_id
    return {
        "session": session,
        "epoch": epoch,
        "type": kind,
        "seq": entry.seq,
        "at": utc(entry.at),
        "data": data,
    }


def _body(body: Body, epoch: str) -> dict[str, Any]:
    """What an entry says, with its kind; ``epoch`` is that of the event, whose tag any other shares."""
    data = msgspec.to_builtins(body)
    if isinstance(body, SessionEnded) and body.next_epoch is not None:
        data["next_epoch"] = f"{body.next_epoch}-{epoch.partition('-')[2]}"
    return data


def _live(data: Live, epoch: str) -> tuple[str, Any]:
    match data:
        case TurnStarted():
            return "turn.started", data
        case TurnDelta():
            return "turn.delta", data
        case QueueChanged():
            return "queue.changed", data
        case StateChanged(state, reason):
            return "session.state", {"state": state} | ({"reason": reason} if reason else {})
        case Resync():
            return "resync", {}
        case SessionEnded():
            told = _body(data, epoch)
            return told.pop("kind"), told
