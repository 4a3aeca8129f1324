"""What the HTTP listener tells, and that no bytes sent to it end the server."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest
import trio
from greenroom.runtime.bind import bind, port_of
from greenroom.runtime.http import listener
from greenroom.runtime.http.listener import make_app, serve_http

from .hostile_corpus import HANDSHAKES, Case, head

HOSTILE = [
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200, None),
    *[
        Case(
            f"HTTP/2 upgrade {value!r}",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: " + value + b"\r\n\r\n" + b"\xff" * 100,
            None,
        )
        for value in (b"", b"a", b"AAAA", b"\xff!")
    ],
    Case("extension of no window", head(b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff"), None),
    Case(
        "endless chunk",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        None,
    ),
    Case(
        "length without end",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
        None,
    ),
]


@dataclass
class Listening:
    port: int = 0
    ready: bool = True
    reports: list[msgspec.Struct] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def http(nursery: trio.Nursery) -> AsyncIterator[Listening]:
    state = Listening()
    listeners = await bind("127.0.0.1", 0)
    state.port = port_of(listeners)
    await nursery.start(serve_http, make_app(lambda: state.ready), listeners, state.reports.append)
    yield state
    nursery.cancel_scope.cancel()


async def test_healthz_answers_while_the_process_lives(http: Listening) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for http.ready in (True, False):
            answer = await client.get(http.url("/healthz"))
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            assert "server" not in answer.headers


async def test_readyz_answers_503_while_the_runtime_takes_no_work(http: Listening) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(http.url("/readyz"))
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        http.ready = False
        answer = await client.get(http.url("/readyz"))
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/healthz/", 307),
        ("GET", "/v1", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/healthz", 405),
        ("HEAD", "/healthz", 200),
    ],
)
async def test_nothing_else_is_there(http: Listening, method: str, path: str, status: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.request(method, http.url(path))).status_code == status


async def send(http: Listening, data: bytes) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", http.port)
    try:
        with trio.move_on_after(0.1):  # some wait for more, as they may
            await stream.send_all(data)
            while await stream.receive_some():
                pass
    except trio.BrokenResourceError:
        pass  # hung up on, as it should be
    finally:
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("case", [*HANDSHAKES, *HOSTILE], ids=lambda case: case.name)
async def test_p20_no_bytes_end_the_listener(http: Listening, case: Case) -> None:
    with trio.fail_after(10):
        await send(http, case.send)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(http.url("/healthz"))).status_code == 200


async def test_a_connection_has_an_end_whatever_it_does(
    http: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LIFETIME", 0.3)
    stream = await trio.open_tcp_stream("127.0.0.1", http.port)
    await stream.send_all(head() + b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    with trio.fail_after(3), suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass
    await trio.aclose_forcefully(stream)
