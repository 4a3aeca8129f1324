"""Frames as strangers write them: each is a request, a notification or one named error, and never a crash."""

import json
import math
import re
import time

import pytest
from greenroom.runtime.protocol import Call, ProtocolError, decode
from greenroom.runtime.requests import METHODS, Info, Ping, SendMessage
from hypothesis import example, given
from hypothesis import strategies as st

from .requests_to_decode import SEND, accepted, complete, refusal, request

PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "{",
        "nul",
        "\0",
        "\ufeff{}",
        '{"id":1} and more',
        "{'id':1}",
        '{"id":1,}',
        '{"id":01}',
        '{"id":1,"x":NaN}',
        '{"id":1,"x":-Infinity}',
        '{"id":NaN,"method":"ping"}',
        '{"id":1,"x":"a\nb"}',
        '{"id":1,"x":"\\x41"}',
        '{"id":1,"x":"never ends',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{',
    ],
)
def test_p36_what_is_not_json_is_a_parse_error_without_an_id(frame: str) -> None:
    error = refusal(frame)
    assert (error.name, error.is_malformed, error.request_id) == ("parse_error", True, None)


@pytest.mark.parametrize("frame", ["[]", "[{}]", "1", '""', "null", "true", f"[{request('ping')}]"])
def test_what_is_not_an_object_is_malformed_and_batches_are_not_objects(frame: str) -> None:
    error = refusal(frame)
    assert (error.name, error.is_malformed, error.request_id) == ("invalid_request", True, None)


@pytest.mark.parametrize(
    "spelling",
    ["\\ud800", "\\uDFFF", "\\ude00\\ud83d", "\\ud83d\\ud83d", "\\ud83d ", "\\ud83d\\n", "\ud800"],
)
@pytest.mark.parametrize(
    "frame",
    [
        '{"jsonrpc":"2.0","id":"%s","method":"ping"}',
        '{"jsonrpc":"2.0","id":1,"method":"%s"}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"unknown":"%s"}}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"%s":1}}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","%s":1}',
        '{"jsonrpc":"2.0","id":1,"method":"session.info","params":{"session":"a:b:%s"}}',
        '{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"client_id":"%s"}}',
        '{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"content":"%s"}}',
        '{"jsonrpc":"2.0","id":1,"method":"session.update","params":{"tags":["%s"]}}',
        '{"jsonrpc":"2.0","id":1,"method":"session.update","params":{"custom_data":{"%s":""}}}',
    ],
)
def test_a_lone_surrogate_is_no_text_wherever_it_stands(frame: str, spelling: str) -> None:
    error = refusal(frame % spelling)
    if '"params"' in frame and spelling.isascii():  # the grammar of JSON allows it: one parameter is wrong
        field = re.search(r'"(unknown|session|client_id|content|tags|custom_data)":["\[{]', frame)
        assert (error.name, error.field) == ("invalid_params", field.group(1) if field else "params")
        assert (error.request_id, error.is_malformed) == (1, False)
    else:
        assert (error.name, error.is_malformed) == ("parse_error", True)


def test_before_initialize_no_other_method_is_even_looked_at() -> None:
    for method, params in (("message.send", {}), ("session.attach", {"session": "bad"}), ("nope", {})):
        with pytest.raises(ProtocolError) as caught:
            decode(request(method, params), is_open=False)
        assert (caught.value.name, caught.value.request_id) == ("unauthorized", 1)


def test_a_surrogate_pair_is_one_character() -> None:
    call = accepted(request("message.send", SEND).replace("hello", "\\ud83d\\ude00"))
    assert isinstance(call.request, SendMessage)
    assert call.request.content == "😀"


@pytest.mark.parametrize("field", ["content", "client_id"])
def test_nul_is_refused_where_it_would_be_stored(field: str) -> None:
    error = refusal(request("message.send", SEND | {field: "a\0b"}))
    assert (error.name, error.field) == ("invalid_params", field)


@pytest.mark.parametrize("opener", ["[", '{"a":'])
def test_32_levels_are_read_and_33_are_not(opener: str) -> None:
    def nested(levels: int) -> str:
        closer = "]" if opener == "[" else "}"
        deep = opener * levels + "0" + closer * levels if opener != "[" else "[" * levels + "]" * levels
        return '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":' + deep + "}}"

    assert isinstance(accepted(nested(30)).request, Ping)
    error = refusal(nested(31))
    assert (error.name, error.is_malformed) == ("parse_error", True)


def test_brackets_inside_strings_are_text() -> None:
    text = "[{" * 500 + '\\"[' + "}" * 40
    assert isinstance(accepted(request("message.send", SEND | {"content": text})).request, SendMessage)


@pytest.mark.parametrize(
    "frame",
    [
        "[" * 500_000,
        '{"a":' * 100_000,
        '{"a":' + "[]" * 33 + '"' + '\\"' * 250_000,
        '{"a":' + "[]" * 33 + '"' * 499_999,
        '{"a":' + "[]" * 33 + "\\" * 500_000,
        '{"a":' + "[]" * 33 + '"' + "\\\n" * 250_000,
        "[]" * 250_000,
        "[" + "{}," * 160_000 + "{}]",
        '{"id":' + "9" * 500_000 + "}",
        '{"jsonrpc":"2.0","id":1,"method":"session.list","params":{"limit":' + "9" * 500_000 + "}}",
    ],
    ids=lambda frame: frame[:8] + "…" + frame[-8:],
)
def test_p20_no_frame_of_the_largest_size_holds_the_loop_for_long(frame: str) -> None:
    """What grows with the square of a frame would take minutes of processor time."""
    began = time.process_time()
    with pytest.raises(ProtocolError):
        decode(frame)
    assert time.process_time() - began < 3


def test_of_a_key_given_twice_the_last_holds() -> None:
    frame = '{"jsonrpc":"1.0","jsonrpc":"2.0","id":1,"id":2,"method":"x","method":"session.info",'
    frame += '"params":{},"params":{"session":"x","session":"a:b:c"}}'
    call = accepted(frame)
    assert (call.id, call.request) == (2, Info("a:b:c"))


def test_unknown_fields_are_ignored() -> None:
    frame = request("session.info", {"session": "a:b:c", "later": [1]}, trace="x")
    assert accepted(frame).request == Info("a:b:c")


@pytest.mark.parametrize("identity", [0, -1, 2**53, 2**70, 1.5, "", "x" * 1000, None])
def test_any_id_that_json_rpc_allows_comes_back_as_it_was(identity: object) -> None:
    call = accepted(request("ping", id=identity))
    assert call.id == identity
    assert type(call.id) is type(identity)


@pytest.mark.parametrize("identity", ["true", "[1]", "{}", "1e400", "9" * 5000])
def test_any_other_id_is_an_invalid_request_but_not_a_malformed_frame(identity: str) -> None:
    error = refusal(PING.replace("1", identity))
    assert (error.name, error.is_malformed, error.request_id) == ("invalid_request", False, None)


@pytest.mark.parametrize(
    "frame", ['{"jsonrpc":"2.0","method":"ping"}', "{}", '{"method":"no.such","params":[7]}']
)
def test_a_frame_without_an_id_is_a_notification_and_ignored(frame: str) -> None:
    assert decode(frame) is None


@pytest.mark.parametrize("wrong", [{"jsonrpc": "1.0"}, {"jsonrpc": 2}, {"method": 5}, {"method": None}])
def test_an_envelope_that_is_not_json_rpc_2_is_an_invalid_request(wrong: dict[str, object]) -> None:
    error = refusal(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"} | wrong))
    assert (error.name, error.is_malformed, error.request_id) == ("invalid_request", False, 1)


@pytest.mark.parametrize(
    "method", ["", "no.such", "PING", "ping ", "session.explode", "turn", "session.", "__init__"]
)
def test_a_method_that_this_version_lacks_is_not_found_and_its_id_is_answered(method: str) -> None:
    error = refusal(request(method))
    assert (error.name, error.is_malformed, error.request_id) == ("method_not_found", False, 1)


CANARY = "zq7canary"


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize(
    "field",
    [
        *["session", "client_id", "content", "mode", "epoch", "limit", "state", "client"],
        *["title", "tags", "custom_data", "query", "turn_id", "if_epoch"],
    ],
)
def test_p27_no_error_repeats_what_was_sent(method: str, field: str) -> None:
    for value in (CANARY, [CANARY], {CANARY: CANARY}, CANARY + "\0" + CANARY * 50):
        for frame in (
            request(method, complete(method) | {field: value}),
            request(method, {field: value}),
            request(method, complete(method) | {field: value})[:-1],
            request(CANARY, {field: value}),
        ):
            try:
                decode(frame)
            except ProtocolError as error:
                assert CANARY not in f"{error} {error.name} {error.field} {error.args}"  # noqa: PT017


def check(frame: str) -> None:
    """Decode; anything but a call, a notification or a protocol error fails the test."""
    try:
        call = decode(frame)
    except ProtocolError as error:
        assert error.name in {"parse_error", "invalid_request", "method_not_found", "invalid_params"}  # noqa: PT017
    else:
        assert call is None or isinstance(call, Call)


@given(st.text(st.characters(codec=None, categories=None, exclude_categories=())))
@example("\ud800")
def test_p20_no_text_at_all_makes_decoding_fail_otherwise(frame: str) -> None:
    check(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *[*SEND, "mode", "wait", "after_seq", "epoch", "limit", "state", "client", "token", "x"],
        *["seq", "turn_id", "if_epoch", "if_seq", "title", "tags", "custom_data", "query", "strategy"],
    ]
)


@given(
    method=st.sampled_from([*METHODS, "no.such"]) | JSON,
    params=st.dictionaries(FIELDS, JSON | st.just("a:b:c")) | JSON,
    identity=JSON,
    cut=st.none() | st.integers(0, 60),
)
def test_p20_no_request_at_all_makes_decoding_fail_otherwise(
    method: object, params: object, identity: object, cut: int | None
) -> None:
    check(json.dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})[:cut])


@given(st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_an_id_that_comes_back(identity: float) -> None:
    call = accepted(PING.replace("1", json.dumps(identity)))
    assert isinstance(call.id, int | float)
    assert call.id == identity or math.isclose(call.id, identity)
