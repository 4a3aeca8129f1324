"""A request head becomes an upgrade or a refusal, and never anything else."""

import json

import h11
import pytest
from greenroom.runtime.handshake import (
    HandshakePolicy,
    HandshakeRefusedError,
    Refusal,
    Upgrade,
    judge,
)
from hypothesis import given
from hypothesis import strategies as st

from .hostile_corpus import HANDSHAKES, KEY, Case, Http, head

POLICY = HandshakePolicy(frozenset({"http://127.0.0.1:8766"}))
JUDGED = [
    case
    for case in HANDSHAKES
    if isinstance(case.expect, Http)
    and case.expect.status in range(400, 430)
    and b"\r\n\r\n" in case.send
    and case.expect.status != 408
]


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
def test_each_bad_head_gets_its_status_and_its_name(case: Case) -> None:
    end = case.send.index(b"\r\n\r\n") + 4
    verdict = judge(case.send[:end], POLICY)
    assert isinstance(verdict, Refusal)
    assert Http(verdict.status, verdict.name) == case.expect


def test_a_good_head_becomes_an_upgrade_with_the_protocol_it_offers() -> None:
    verdict = judge(
        head(
            b"Origin: http://127.0.0.1:8766",
            b"Sec-WebSocket-Protocol: other, greenroom.v1",
            b"Authorization: bearer s3cret",
            line=b"GET /v1?lang=en HTTP/1.1",
        ),
        POLICY,
    )
    assert verdict == Upgrade(KEY.decode(), "greenroom.v1")


@pytest.mark.parametrize("offer", [(), (b"Sec-WebSocket-Protocol: chat, superchat",)])
def test_a_client_that_offers_no_protocol_of_ours_is_served_without_one(offer: tuple[bytes, ...]) -> None:
    assert judge(head(*offer), POLICY) == Upgrade(KEY.decode())


@pytest.mark.parametrize(
    "origin",
    [
        b"http://127.0.0.1:8766.evil.example",
        b"HTTP://127.0.0.1:8766",
        b"http://127.0.0.1:8766/",
        b"",
        b"null",
    ],
)
def test_an_origin_is_listed_exactly_or_refused(origin: bytes) -> None:
    verdict = judge(head(b"Origin: " + origin), POLICY)
    assert verdict == Refusal(403, "origin_not_allowed")


def test_the_head_given_to_the_library_holds_nothing_of_the_peers_but_its_key() -> None:
    verdict = judge(
        head(b"X-Evil: 1", b"Host: xn--~", without=b"Host", line=b"GET /v1?evil HTTP/1.1"), POLICY
    )
    assert isinstance(verdict, Upgrade)
    spelled = verdict.spell()
    assert b"vil" not in spelled
    assert b"xn--" not in spelled
    assert judge(spelled, POLICY) == verdict


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 426, 431])
def test_a_refusal_is_a_whole_http_response_that_closes(status: int) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/v1", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(Refusal(status, "some_name", (("Allow", "GET"),)).spell())
    response, data, end = connection.next_event(), connection.next_event(), connection.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status
    assert (b"connection", b"close") in list(response.headers)
    assert isinstance(data, h11.Data)
    assert json.loads(bytes(data.data)) == {"error": "some_name"}
    assert isinstance(end, h11.EndOfMessage)


def test_an_upgrade_required_says_what_to_upgrade_to() -> None:
    answers = [
        judge(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", POLICY),
        judge(head(version=b"8"), POLICY),
    ]
    for answer in answers:
        assert isinstance(answer, Refusal)
        assert b"Sec-WebSocket-Version: 13\r\n" in answer.spell()
        assert b"Upgrade: websocket\r\n" in answer.spell()


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 60))
def test_no_damage_to_a_head_raises(junk: bytes, at: int, removed: int) -> None:
    good = head(b"Sec-WebSocket-Protocol: greenroom.v1")[:-4]
    damaged = good[:at] + junk + good[at + removed :]
    damaged = damaged.replace(b"\r\n\r\n", b"") + b"\r\n\r\n"
    assert isinstance(judge(damaged, POLICY), Upgrade | Refusal)


def test_the_error_names_the_refusal_and_nothing_the_peer_wrote() -> None:
    error = HandshakeRefusedError(Refusal(404, "not_found"))
    assert str(error) == "expected a WebSocket upgrade of /v1, refused with 404 not_found"
