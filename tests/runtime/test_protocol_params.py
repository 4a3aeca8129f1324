"""Parameters: what is missing or wrong is named by its field, and what is right is read."""

import msgspec
import pytest
from greenroom.persistence.ids import SessionID
from greenroom.runtime.requests import (
    LARGEST_INT,
    METHODS,
    Attach,
    History,
    List,
    Search,
    SendMessage,
    Update,
    clamp,
)

from .requests_to_decode import REQUIRED, SEND, accepted, complete, refusal, request

SESSION_METHODS = {method for method, fields in REQUIRED.items() if "session" in fields} | {"session.search"}
ENDS = ("new", "reset", "archive", "delete")


def test_the_methods_of_this_version_are_these() -> None:
    assert set(METHODS) == set(REQUIRED)
    for method in METHODS:
        assert isinstance(accepted(request(method, complete(method))).request, METHODS[method])


@pytest.mark.parametrize(
    ("method", "field"), [(method, field) for method, fields in REQUIRED.items() for field in fields]
)
def test_p36_a_missing_field_is_named(method: str, field: str) -> None:
    params = {key: value for key, value in complete(method).items() if key != field}
    error = refusal(request(method, params))
    assert (error.name, error.field, error.request_id) == ("invalid_params", field, 1)


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [
        *[("message.send", field, value) for field in SEND for value in (None, 5, True, ["x"], {})],
        ("message.send", "client_id", ""),
        ("message.send", "client_id", "x" * 129),
        ("message.send", "content", ""),
        ("message.send", "content", " \t\r\n\u2003\u3000"),
        ("message.send", "mode", "later"),
        ("message.send", "mode", None),
        ("message.send", "wait", "never"),
        ("initialize", "protocol", "1"),
        ("initialize", "protocol", 1.5),
        ("initialize", "client", "me"),
        ("initialize", "client", {"name": "me"}),
        ("initialize", "client", {"name": 1, "version": "1"}),
        ("initialize", "token", 7),
        ("session.attach", "create", "yes"),
        ("session.attach", "after_seq", -1),
        ("session.attach", "after_seq", 1.5),
        ("session.attach", "after_seq", LARGEST_INT + 1),
        ("session.attach", "after_seq", None),
        ("session.attach", "epoch", ""),
        ("session.attach", "epoch", "x" * 33),
        ("session.attach", "epoch", 1),
        ("session.history", "before_seq", 0),
        ("session.history", "before_seq", "5"),
        ("session.history", "limit", 2.5),
        ("session.history", "limit", "all"),
        ("session.history", "limit", None),
        ("session.history", "epoch", 7),
        ("session.list", "state", "gone"),
        ("session.list", "state", 0),
        ("session.list", "agent_id", 1),
        ("session.list", "offset", -1),
        ("session.list", "offset", LARGEST_INT + 1),
        ("session.list", "created_after", "yesterday"),
        ("session.list", "created_after", 1_700_000_000),
        ("session.list", "created_after", "2026-11-22T13:57:00"),
        ("session.list", "created_before", "2026-02-30T00:00:00Z"),
        *[("turn.cancel", "turn_id", value) for value in (None, 5, "", "x" * 65, ["x"])],
        *[("queue.remove", "seq", value) for value in (None, "1", 0, -1, 1.5, LARGEST_INT + 1, True)],
        *[(f"session.{verb}", "if_epoch", value) for verb in ENDS for value in (None, 5, "", "x" * 33)],
        *[(f"session.{verb}", "if_seq", value) for verb in ENDS for value in (None, "5", -1, 1.5, True)],
        *[("session.update", "title", value) for value in (None, 5, ["x"], "x" * 1001, "a\0b")],
        *[("session.update", "system_prompt", value) for value in (None, 5, {}, "a\0b")],
        *[("session.update", "tags", value) for value in (None, "x", {}, [1], [None], [["x"]])],
        *[("session.update", "tags", value) for value in (["x", ""], ["x" * 257], ["x"] * 101, ["a\0"])],
        *[("session.update", "custom_data", value) for value in (None, "x", [], {"a": 1}, {"a": None})],
        *[("session.update", "custom_data", value) for value in ({"a": {}}, {"a\0": "b"}, {"a": "b\0"})],
        *[("session.search", "query", value) for value in (None, 5, ["x"], "x" * 1001)],
        *[("session.search", "session", value) for value in (None, 5, "", "a:b")],
        *[("session.search", "limit", value) for value in (None, "all", 2.5, [1])],
        *[("session.compact", "prompt", value) for value in (None, 5, ["x"])],
        *[("session.compact", "strategy", value) for value in (None, 5, "magic")],
    ],
)
def test_p36_a_wrong_value_is_named_by_its_field(method: str, field: str, value: object) -> None:
    both = {"after_seq": 1, "epoch": "1-x"} if method == "session.attach" else {}
    error = refusal(request(method, complete(method) | both | {field: value}))
    assert (error.name, error.field, error.request_id) == ("invalid_params", field, 1)
    assert not error.is_malformed


@pytest.mark.parametrize("params", ["null", "[]", '"x"', "1", "true"])
def test_parameters_are_an_object(params: str) -> None:
    error = refusal(f'{{"jsonrpc":"2.0","id":1,"method":"stats","params":{params}}}')
    assert (error.name, error.field) == ("invalid_params", "params")


@pytest.mark.parametrize(
    ("params", "field"), [({"after_seq": 3}, "epoch"), ({"epoch": "1-x"}, "after_seq"), ({}, None)]
)
def test_a_position_is_an_epoch_and_a_seq_or_neither(params: dict[str, object], field: str | None) -> None:
    frame = request("session.attach", {"session": "a:b:c"} | params)
    if field is None:
        assert accepted(frame).request == Attach("a:b:c")
    else:
        assert refusal(frame).field == field


@pytest.mark.parametrize("length", [1, 128])
def test_a_client_id_has_1_to_128_characters(length: int) -> None:
    call = accepted(request("message.send", SEND | {"client_id": "😀" * length}))
    assert isinstance(call.request, SendMessage)
    assert len(call.request.client_id) == length


@pytest.mark.parametrize(
    "text", ["a:b:c", "a:b:c:d", "ä:😀:👩‍👧:日本", "a%3Ab:%25:c", "x" * 256 + ":b:c", "../x:a/b: "]
)
def test_a_good_session_id_is_read(text: str) -> None:
    assert accepted(request("session.info", {"session": text})).session == SessionID.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:b",
        "a:b:c:d:e",
        "a:b:",
        "::",
        ":b:c",
        "a:b:c:",
        "a:b:%3a",
        "a:b:%41",
        "a:b:%",
        "x" * 257 + ":b:c",
        "a:b:c\0",
        "a:b:c\n",
        "a:b:\x1b[2J",
        "a:b:\u202e",
        "a:b:\u200f",
        "a:b:\u2028",
        "a:b:e\u0301",
    ],
)
@pytest.mark.parametrize("method", sorted(SESSION_METHODS))
def test_a_bad_session_id_is_named_and_not_repeated(method: str, text: str) -> None:
    error = refusal(request(method, complete(method) | {"session": text}))
    assert (error.name, error.field) == ("invalid_params", "session")
    assert len(text) < 3 or text not in str(error)


@pytest.mark.parametrize(
    ("limit", "rows"), [(-(10**30), 1), (-1, 1), (0, 1), (1, 1), (200, 200), (201, 200), (10**30, 200)]
)
def test_a_page_size_out_of_range_is_clamped(limit: int, rows: int) -> None:
    for method in ("session.history", "session.list", "session.search"):
        call = accepted(request(method, complete(method) | {"limit": limit}))
        assert isinstance(call.request, History | List | Search)
        assert clamp(call.request.limit) == rows


def test_facts_to_set_are_read_up_to_their_bounds_and_those_not_given_stay_unset() -> None:
    given = {"title": "😀" * 1000, "tags": ["x" * 256] * 100, "custom_data": {"": ""}, "system_prompt": ""}
    for fields in ({}, given, *({name: value} for name, value in given.items())):
        call = accepted(request("session.update", {"session": "a:b:c"} | fields))
        assert isinstance(call.request, Update)
        assert call.request == msgspec.convert({"session": "a:b:c"} | fields, Update)
        assert {name for name in given if getattr(call.request, name) is not msgspec.UNSET} == set(fields)


def test_a_search_may_name_a_session_or_not_and_any_query_is_one() -> None:
    for query in ("", " ", "two words", "\0", '"* OR NEAR(', "x" * 1000):
        assert accepted(request("session.search", {"query": query})).session is None
        named = accepted(request("session.search", {"query": query, "session": "a:b:c"}))
        assert named.session == SessionID("a", "b", "c")
