"""The tap never waits on the way out, bounds what comes in, and outlives whatever its peer does."""

import struct
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from greenroom.runtime.frames import PING, FrameMeter
from greenroom.runtime.tap import BACKLOG_MARK, RECEIVE_BYTES, Tap

from .hostile_corpus import frame
from .tcp import close_all, read_all, reset, tcp_pair

HEAD = b"GET /v1 HTTP/1.1\r\n\r\n"
BIG = b"\x81" + b"x" * (8 * 1024 * 1024)  # more than any socket buffer takes


@pytest.fixture(autouse=True)
async def no_stream_left() -> AsyncIterator[None]:
    yield
    close_all()


async def tapped(
    nursery: trio.Nursery, *, limit: int = 1000, leftover: bytes = b""
) -> tuple[Tap, trio.SocketStream]:
    """A tap past its handshake, and the peer's end."""
    ours, peer = await tcp_pair()
    tap = Tap(ours, nursery, FrameMeter(limit), HEAD, leftover)
    assert await tap.receive_some() == HEAD
    tap.open()
    return tap, peer


async def wait_for_reset(tap: Tap) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await tap.receive_some()


async def test_the_library_reads_the_head_first_and_the_rest_only_after_it_has_accepted() -> None:
    async with trio.open_nursery() as nursery:
        ours, peer = await tcp_pair()
        tap = Tap(ours, nursery, FrameMeter(1000), HEAD, leftover=frame(0x81, b"early"))
        assert await tap.receive_some() == HEAD
        await peer.send_all(frame(0x81, b"late"))
        with trio.move_on_after(0.05) as scope:
            await tap.receive_some()
        assert scope.cancelled_caught
        tap.open()
        assert await tap.receive_some() == frame(0x81, b"early")
        assert await tap.receive_some() == frame(0x81, b"late")
        tap.abort()
        await peer.aclose()


async def test_sending_never_waits_and_the_backlog_arrives_whole_once_the_peer_reads(
    nursery: trio.Nursery,
) -> None:
    tap, peer = await tapped(nursery)
    drained = trio.Event()
    tap.out.on_drained = drained.set
    with trio.fail_after(1):
        await tap.send_all(BIG)
        await tap.send_all(b"\x81\x01a")
        tap.post(PING)
    assert tap.out.backlog > 1024 * 1024
    assert tap.out.stalled_since is not None
    received = bytearray()
    while len(received) < len(BIG) + 5:
        received += await peer.receive_some()
    await drained.wait()
    assert bytes(received) == BIG + b"\x81\x01a" + PING
    assert (tap.out.backlog, tap.out.stalled_since) == (0, None)
    tap.abort()


async def test_a_stall_is_dated_from_the_last_progress(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    tap, peer = await tapped(nursery)
    await tap.send_all(BIG)
    began = tap.out.stalled_since
    mock_clock.jump(5)
    await tap.send_all(b"\x81\x01a")
    assert tap.out.stalled_since == began == mock_clock.current_time() - 5
    while tap.out.stalled_since == began:
        await peer.receive_some()
    assert tap.out.stalled_since in (None, mock_clock.current_time())
    tap.abort()


async def test_frames_sent_together_leave_together(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    with tap.out.joined():
        await tap.send_all(b"\x81\x01a")
        await tap.send_all(b"\x81\x01b")
        assert tap.out.backlog == 6
    assert tap.out.backlog == 0
    assert await peer.receive_some() == b"\x81\x01a\x81\x01b"
    tap.abort()


async def test_an_oversize_message_is_never_passed_on_and_its_sender_can_read_why(
    nursery: trio.Nursery,
) -> None:
    tap, peer = await tapped(nursery, limit=1000)
    good, bad = frame(0x81, b"x" * 1000), frame(0x81, b"y" * 200_000)

    async def library() -> None:
        received = b""
        while data := await tap.receive_some():
            received += data
        assert received == good
        with pytest.raises(trio.ClosedResourceError):
            await tap.send_all(b"\x81\x00")

    nursery.start_soon(library)
    await peer.send_all(good + bad)
    with trio.fail_after(5):
        last_words = await read_all(peer)  # raises if it met a reset
    assert last_words[:1] == b"\x88"
    assert last_words[2:4] == struct.pack("!H", 1009)
    assert tap.goodbye is not None
    assert tap.goodbye[0] == 1009
    await peer.aclose()


async def test_what_is_not_complete_is_dated_from_its_beginning(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    tap, peer = await tapped(nursery)

    async def hear(data: bytes) -> None:
        await peer.send_all(data)
        await tap.receive_some()
        assert tap.last_heard == mock_clock.current_time()

    start = mock_clock.current_time()
    await hear(frame(0x81, b"whole"))
    assert tap.partial_since is None
    await hear(frame(0x01, b"begun"))
    mock_clock.jump(3)
    await hear(frame(0x00, b"goes on") + frame(0x89))
    assert tap.partial_since == start
    await hear(frame(0x80, b"ends") + frame(0x81, b"the next begins")[:1])
    assert tap.partial_since == start + 3
    await hear(frame(0x81, b"the next begins")[1:])
    assert tap.partial_since is None
    tap.abort()


async def test_a_peer_that_reads_nothing_is_not_read_either(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    await tap.send_all(BIG)
    await peer.send_all(frame(0x89))
    with trio.move_on_after(0.05) as scope:
        await tap.receive_some()
    assert scope.cancelled_caught
    received = 0
    while received < len(BIG) - BACKLOG_MARK // 2:
        received += len(await peer.receive_some())
    with trio.fail_after(5):
        assert await tap.receive_some() == frame(0x89)
    tap.abort()


async def test_one_read_takes_a_bounded_bite(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery, limit=10**6)
    await peer.send_all(frame(0x81, b"x" * 100_000))
    assert len(await tap.receive_some(10**6)) <= RECEIVE_BYTES
    tap.abort()


async def test_a_reset_breaks_every_operation_and_surprises_none(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    reset(peer)
    await wait_for_reset(tap)
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(b"\x81\x00")
    with trio.fail_after(0.5):
        await tap.aclose()
        await tap.aclose()
    tap.abort()
    with pytest.raises(trio.ClosedResourceError):
        await tap.send_all(b"\x81\x00")
    with pytest.raises(trio.ClosedResourceError):
        await tap.receive_some()


async def test_a_reset_under_a_backlog_ends_the_writer_and_tells_the_owner(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    ended = trio.Event()
    tap.out.on_drained = ended.set
    await tap.send_all(BIG)
    reset(peer)
    with trio.fail_after(5):
        await ended.wait()
    assert tap.out.broken
    assert tap.out.backlog == 0
    tap.abort()


async def test_closing_waits_for_a_slow_peer_to_take_the_backlog_and_the_goodbye(
    nursery: trio.Nursery,
) -> None:
    tap, peer = await tapped(nursery)
    tap.farewell = lambda: (1002, "")
    await tap.send_all(b"\x81" + b"x" * 5_000_000)
    nursery.start_soon(tap.aclose)
    with trio.fail_after(5):
        assert (await read_all(peer))[-4:] == b"\x88\x02\x03\xea"
    await peer.aclose()


async def test_closing_cuts_a_peer_that_takes_nothing(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    await tap.send_all(BIG)
    started = trio.current_time()
    with trio.fail_after(5):
        await tap.aclose()
    assert trio.current_time() - started > 0.9
    with pytest.raises(trio.BrokenResourceError):
        await read_all(peer)
    await peer.aclose()


async def test_closing_cancelled_closes_at_once(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    with trio.CancelScope() as scope:
        scope.cancel()
        await tap.aclose()
    with trio.fail_after(1), pytest.raises(trio.ClosedResourceError):
        await tap.receive_some()
    await peer.aclose()


async def test_nothing_follows_a_close_frame(nursery: trio.Nursery) -> None:
    tap, peer = await tapped(nursery)
    await tap.send_all(b"\x88\x00")
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(b"\x81\x00")
    with pytest.raises(trio.BrokenResourceError):
        tap.post(PING)
    nursery.start_soon(tap.aclose)
    assert await read_all(peer) == b"\x88\x00"
    await peer.aclose()


async def test_a_backlog_after_its_nursery_has_ended_breaks_the_connection_only() -> None:
    async with trio.open_nursery() as nursery:
        tap, peer = await tapped(nursery)
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(BIG)
    tap.abort()
    await peer.aclose()
