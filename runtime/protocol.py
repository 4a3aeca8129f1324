"""Frames in, requests out: the decoding half of the wire protocol. Sans-I/O; knows no socket."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..actors.errors import GreenroomError
from ..persistence.ids import SessionID
from .requests import METHODS, Attach, List, Request, SendMessage, Update

RequestId = str | int | float | None

MAX_DEPTH = 32  # nested arrays and objects of one frame

_FIELD = re.compile(r"\$\.(\w+)")
_MISSING = re.compile(r"field `(\w+)`")
# One pass over any bytes: a string that never ends is taken to the end, and no step is tried twice.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_TOO_DEEP = re.compile(rb"[\[{]{%d}" % (MAX_DEPTH + 1))
_INNERMOST = re.compile(rb"\[\]|\{\}")
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class ProtocolError(GreenroomError):
    """A frame or request that the protocol does not allow.

    Attributes:
        request_id: The request's id, where it could be read.
        field: The parameter that is wrong, never its value.
        is_malformed: The frame is not one JSON object; three in a row end the connection.
    """

    def __init__(
        self,
        name: str,
        message: str,
        *,
        request_id: RequestId = None,
        field: str | None = None,
        is_malformed: bool = False,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.request_id = request_id
        self.field = field
        self.is_malformed = is_malformed


class _Envelope(msgspec.Struct):
    id: str | int | float | UnsetType | None = UNSET
    jsonrpc: Any = None
    method: Any = None
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Call(msgspec.Struct, frozen=True):
    """One request as decoded; ``session`` is the id it names, if its method names one."""

    id: RequestId
    request: Request
    session: SessionID | None = None


_envelopes = msgspec.json.Decoder(_Envelope)
_requests = {name: msgspec.json.Decoder(kind) for name, kind in METHODS.items()}


def decode(frame: str, *, is_open: bool = True) -> Call | None:
    """Read one frame.

    Args:
        frame: What came.
        is_open: The connection has been initialized; before that no other method is even looked at.

    Returns:
        The request, or None for a notification, which is ignored.

    Raises:
        ProtocolError: With the name and the wire error of what is wrong.
    """
    raw = _utf8(frame)
    _check_depth(raw)
    try:
        envelope = _envelopes.decode(raw)
    except msgspec.ValidationError:
        raise _not_a_request(raw) from None
    except msgspec.DecodeError:
        raise _unreadable(raw) from None
    if isinstance(envelope.id, UnsetType):
        return None
    if envelope.jsonrpc != "2.0" or not isinstance(envelope.method, str):
        text = "request: expected jsonrpc 2.0 and a method"
        raise ProtocolError("invalid_request", text, request_id=envelope.id)
    if not is_open and envelope.method != "initialize":
        text = "request: expected initialize first"
        raise ProtocolError("unauthorized", text, request_id=envelope.id)
    decoder = _requests.get(envelope.method)
    if decoder is None:
        text = "method: expected one of this protocol"
        raise ProtocolError("method_not_found", text, request_id=envelope.id)
    try:
        request = decoder.decode(envelope.params)
    except msgspec.ValidationError as exc:
        found = _FIELD.search(str(exc)) or _MISSING.search(str(exc))
        raise invalid(found.group(1) if found else "params", envelope.id) from None
    except msgspec.DecodeError:
        raise _unreadable(raw) from None
    return _checked(Call(envelope.id, request))


def invalid(field: str, request_id: RequestId = None) -> ProtocolError:
    """The error for a wrong parameter; it names the field and never repeats the value."""
    return ProtocolError(
        "invalid_params", f"{field}: expected what the protocol allows", request_id=request_id, field=field
    )


def _not_json() -> ProtocolError:
    return ProtocolError("parse_error", "frame: expected one JSON object", is_malformed=True)


def _not_a_request(raw: bytes) -> ProtocolError:
    is_object = raw.lstrip(b" \t\r\n").startswith(b"{")
    text = "frame: expected one JSON-RPC request object"
    return ProtocolError("invalid_request", text, is_malformed=not is_object)


def _utf8(frame: str) -> bytes:
    try:
        return frame.encode()
    except UnicodeEncodeError:
        raise _not_json() from None


def _check_depth(raw: bytes) -> None:
    """Refuse deep nesting before anything recurses into it; most frames need only the first look."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", raw).translate(None, _ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if _TOO_DEEP.search(brackets):
            break
        brackets = _INNERMOST.sub(b"", brackets)
        if not brackets:
            return
    raise _not_json()  # deeper, or not balanced


def _unreadable(raw: bytes) -> ProtocolError:
    """Tell text that no UTF-8 can hold, which the grammar of JSON allows, from what is no JSON at all."""
    try:
        frame: Any = json.loads(raw, parse_constant=_refuse_constant)
        given, params = frame["id"], frame["params"].items()
    except (ValueError, TypeError, LookupError, AttributeError):
        return _not_json()
    shown = ((name, json.dumps(value, ensure_ascii=False)) for name, value in params)
    wrong = next((name for name, value in shown if not _is_text(name + value)), "params")
    request_id = given if isinstance(given, str | int | float) and _is_text(f"{given}") else None
    return invalid(wrong if _is_text(wrong) else "params", request_id)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(call: Call) -> Call:
    """The call with its session id read; refused for what types alone do not say."""
    match call.request:
        case SendMessage(content=content, client_id=client_id):
            if not content.strip() or "\0" in content:
                raise invalid("content", call.id)
            if "\0" in client_id:
                raise invalid("client_id", call.id)
        case Attach(after_seq=after_seq, epoch=epoch):
            if isinstance(after_seq, UnsetType) != isinstance(epoch, UnsetType):
                raise invalid("epoch" if isinstance(epoch, UnsetType) else "after_seq", call.id)
        case Update():
            _check_facts(call.request, call.id)
        case List():
            _check_times(call.request, call.id)
        case _:
            pass
    text = getattr(call.request, "session", UNSET)
    if isinstance(text, UnsetType):
        return call
    try:
        return Call(call.id, call.request, SessionID.parse(text))
    except ValueError:
        raise invalid("session", call.id) from None


def _check_facts(request: Update, request_id: RequestId) -> None:
    """Refuse what no text of the store may hold."""
    for field in ("title", "tags", "custom_data", "system_prompt"):
        value: str | tuple[str, ...] | dict[str, str] | UnsetType = getattr(request, field)
        texts: Iterable[str] = ()
        if isinstance(value, dict):
            texts = (*value, *value.values())
        elif not isinstance(value, UnsetType):
            texts = (value,) if isinstance(value, str) else value
        if any("\0" in text for text in texts):
            raise invalid(field, request_id)


def _check_times(request: List, request_id: RequestId) -> None:
    for field in ("created_after", "created_before"):
        value = getattr(request, field)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise invalid(field, request_id)
