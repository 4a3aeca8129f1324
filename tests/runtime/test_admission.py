"""A peer's handshake is read within bounds, and answered so that the peer can read the answer."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from greenroom.runtime.admission import admit, read_head
from greenroom.runtime.handshake import MAX_HEAD, HandshakePolicy, HandshakeRefusedError, Refusal

from .hostile_corpus import head
from .tcp import close_all, read_all, tcp_pair


@pytest.fixture(autouse=True)
async def no_stream_left() -> AsyncIterator[None]:
    yield
    close_all()


async def read(*pieces: bytes) -> tuple[bytes, bytes] | Refusal:
    ours, theirs = trio.testing.lockstep_stream_pair()

    async def write() -> None:
        for piece in pieces:
            await theirs.send_all(piece)
        await theirs.aclose()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            result = await read_head(ours)
            nursery.cancel_scope.cancel()
    return result


async def test_a_head_is_read_byte_by_byte_and_what_follows_it_is_kept() -> None:
    good = head()
    assert await read(*[good[i : i + 1] for i in range(len(good))]) == (good, b"")
    assert await read(good + b"\x81\x80") == (good, b"\x81\x80")


@pytest.mark.parametrize("begun", [[], [head()[:50]]])
async def test_a_peer_that_ends_before_its_head_does_is_told_nothing(begun: list[bytes]) -> None:
    with pytest.RaisesGroup(trio.BrokenResourceError):
        await read(*begun)


@pytest.mark.parametrize(
    "first", [b"\x16\x03\x01", b"\x00", b"GET /\x00", b"get / http/1.1\r\n", b"\r\n", b" "]
)
async def test_what_can_never_become_a_head_is_refused_before_it_ends(first: bytes) -> None:
    assert await read(first) == Refusal(400, "bad_handshake")


async def test_a_head_of_the_largest_size_is_read_and_one_byte_more_is_refused() -> None:
    filler = MAX_HEAD - len(head(b"X-A: "))
    assert await read(largest := head(b"X-A: " + b"a" * filler)) == (largest, b"")
    assert await read(head(b"X-A: " + b"a" * (filler + 1))) == Refusal(431, "header_too_large")


async def test_the_answer_to_a_refused_peer_survives_what_it_is_still_sending() -> None:
    ours, peer = await tcp_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, ours)
        with trio.fail_after(5):
            async with trio.open_nursery() as sending:
                sending.start_soon(peer.send_all, b"POST /v1 HTTP/1.1\r\nHost: x\r\n\r\n" + b"b" * 3_000_000)
                assert (await read_all(peer)).endswith(b'{"error":"method_not_allowed"}')
        await peer.aclose()


async def refused(stream: trio.SocketStream) -> None:
    with pytest.raises(HandshakeRefusedError):
        await admit(stream, HandshakePolicy(), 5)
