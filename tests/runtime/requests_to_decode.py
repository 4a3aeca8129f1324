"""Requests as text, and what becomes of them."""

import json
from typing import Any

import pytest
from greenroom.runtime.protocol import Call, ProtocolError, decode

SEND = {"session": "a:b:c", "client_id": "1", "content": "hello"}
CLIENT = {"name": "test", "version": "1"}


def request(method: str, params: Any = None, **envelope: Any) -> str:  # noqa: ANN401  # any JSON value
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}} | envelope)


def refusal(frame: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(frame)
    return caught.value


def accepted(frame: str) -> Call:
    call = decode(frame)
    assert call is not None
    return call


REQUIRED = {
    "initialize": ["protocol", "client"],
    "session.attach": ["session"],
    "session.detach": ["session"],
    "message.send": ["session", "client_id", "content"],
    "turn.cancel": ["session"],
    "queue.remove": ["session", "seq"],
    "queue.clear": ["session"],
    "session.update": ["session"],
    "session.new": ["session"],
    "session.reset": ["session"],
    "session.archive": ["session"],
    "session.delete": ["session"],
    "session.compact": ["session"],
    "session.uncompact": ["session"],
    "session.history": ["session"],
    "session.search": ["query"],
    "session.info": ["session"],
    "session.list": [],
    "stats": [],
    "ping": [],
}
COMPLETE: dict[str, dict[str, object]] = {
    "initialize": {"protocol": 1, "client": CLIENT},
    "message.send": SEND,
    "queue.remove": {"session": "a:b:c", "seq": 1},
    "session.search": {"query": "hello"},
}


def complete(method: str) -> dict[str, object]:
    return COMPLETE.get(method, {"session": "a:b:c"} if REQUIRED[method] else {})
