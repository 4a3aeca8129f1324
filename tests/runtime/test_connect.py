"""Our client's side of the socket door, against our server and against those that are none."""

import shutil
import ssl
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from greenroom.runtime.dial import ConnectError
from greenroom.runtime.websocket import CONNECT_DEADLINE, SocketClosedError, connect

from .echo_server import EchoServer


async def test_our_client_echoes_through_our_server(nursery: trio.Nursery) -> None:
    server = EchoServer()
    port = await nursery.start(server.run)
    client = await connect(f"ws://127.0.0.1:{port}/v1", nursery)
    await client.send("hello")
    assert await client.recv() == "hello"
    await client.close(1001, "gone")
    with pytest.raises(SocketClosedError) as caught:
        await client.recv()
    assert (caught.value.code, caught.value.reason) == (1001, "gone")
    with pytest.raises(SocketClosedError):
        await client.send("late")
    await client.close()
    assert server.sockets[0].upgrade.subprotocol == "greenroom.v1"
    nursery.cancel_scope.cancel()


async def test_our_client_learns_why_the_server_closed(nursery: trio.Nursery) -> None:
    server = EchoServer()
    port = await nursery.start(server.run)
    client = await connect(f"ws://127.0.0.1:{port}/v1", nursery)
    await client.send("hello")
    assert await client.recv() == "hello"
    await server.sockets[0].close(4001, "draining")
    with pytest.raises(SocketClosedError) as caught:
        await client.recv()
    assert (caught.value.code, caught.value.reason) == (4001, "draining")
    client = await connect(f"ws://127.0.0.1:{port}/v1", nursery)
    server.sockets[1].abort()
    with pytest.raises(SocketClosedError) as caught:
        await client.recv()
    assert caught.value.code == 1006
    await client.close()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "url", ["http://x", "ws://", "/v1", "ws://x:99999/", "ws://[::1/v1", "ws://127.0.0.1:1/v1"]
)
async def test_our_client_says_what_is_wrong_with_an_address(nursery: trio.Nursery, url: str) -> None:
    with pytest.raises(ConnectError, match="expected"):
        await connect(url, nursery)


async def test_our_client_reports_a_refusal_with_its_status(nursery: trio.Nursery) -> None:
    port = await nursery.start(EchoServer().run)
    with pytest.raises(ConnectError, match="404") as caught:
        await connect(f"ws://127.0.0.1:{port}/elsewhere", nursery)
    assert caught.value.status == 404
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\xff"]
)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_our_client_is_not_fooled_by_another_kind_of_server(
    nursery: trio.Nursery, scheme: str, answer: bytes
) -> None:
    async def other(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    (listener,) = await nursery.start(partial(trio.serve_tcp, other, 0, host="127.0.0.1"))
    port = listener.socket.getsockname()[1]
    with pytest.raises(ConnectError):
        await connect(f"{scheme}://127.0.0.1:{port}/v1", nursery)
    nursery.cancel_scope.cancel()


async def test_our_client_gives_up_on_a_silent_server(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            mock_clock.jump(CONNECT_DEADLINE + 1)

    (listener,) = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
    with pytest.raises(ConnectError, match="silence"):
        await connect(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/v1", nursery)
    nursery.cancel_scope.cancel()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
async def test_our_client_speaks_tls_and_checks_the_certificate(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        cert,
        *subject,
    ]
    subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221, S603
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    plain = EchoServer()
    port = await nursery.start(plain.run)

    async def terminate_tls(stream: trio.SSLStream[trio.SocketStream]) -> None:
        inner = await trio.open_tcp_stream("127.0.0.1", port)

        async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
            try:
                while data := await source.receive_some(65536):
                    await sink.send_all(data)
            except trio.BrokenResourceError:
                pass
            scope.cancel()

        async with stream, inner, trio.open_nursery() as pumps:
            pumps.start_soon(pump, stream, inner, pumps.cancel_scope)
            pumps.start_soon(pump, inner, stream, pumps.cancel_scope)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
    secure = listeners[0].transport_listener.socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, terminate_tls, listeners)

    with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(f"wss://localhost:{secure}/v1", nursery)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    client = await connect(f"wss://localhost:{secure}/v1", nursery)
    await client.send("secret")
    assert await client.recv() == "secret"
    await client.close()
    assert plain.crashes == []
    nursery.cancel_scope.cancel()
