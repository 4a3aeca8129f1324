"""One task sends for all, and no connection can slow it or end it."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from greenroom.actors.events import Event
from greenroom.runtime.handshake import HandshakePolicy, SocketLimits
from greenroom.runtime.outbox import Outbox
from greenroom.runtime.sender import Sender
from greenroom.runtime.tap import BACKLOG_MARK
from greenroom.runtime.websocket import ServerSocket, accept

from .hostile_corpus import head
from .tcp import close_all, reset, tcp_pair

LIMIT = 1024 * 1024


@pytest.fixture(autouse=True)
async def no_stream_left() -> AsyncIterator[None]:
    yield
    close_all()


def never_rendered(event: Event) -> str:
    raise AssertionError(event)


class Unspeakable(Outbox):
    """Hands out a text that no frame can carry."""

    def take(self) -> str | None:
        return "\ud800"


class Line:
    """A connection with its outbox and its raw peer."""

    def __init__(self, socket: ServerSocket, peer: trio.SocketStream, sender: Sender) -> None:
        self.socket = socket
        self.peer = peer
        self.outbox = Outbox(LIMIT, never_rendered)
        self.failures: list[Exception] = []
        self.turns = 0
        self.sender = sender
        socket.when_drained(lambda: sender.wake(self))

    def say(self, text: str) -> None:
        self.outbox.put(text)
        self.sender.wake(self)

    def sent(self) -> None:
        self.turns += 1

    def failed(self, error: Exception) -> None:
        self.failures.append(error)

    async def hear(self, expected: bytes) -> None:
        received = b""
        while len(received) < len(expected):
            data = await self.peer.receive_some()
            assert data
            received += data
        assert received == expected


async def line(nursery: trio.Nursery, sender: Sender) -> Line:
    ours, peer = await tcp_pair()
    await peer.send_all(head())
    socket = await accept(ours, nursery, HandshakePolicy(), SocketLimits())
    assert (await peer.receive_some()).startswith(b"HTTP/1.1 101 ")
    return Line(socket, peer, sender)


async def test_one_peer_that_reads_nothing_costs_twenty_others_nothing() -> None:
    sender = Sender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        slow = await line(nursery, sender)
        others = [await line(nursery, sender) for _ in range(20)]
        while not slow.outbox.overflowed:
            slow.say("x" * 10_000)
            for other in others:
                other.say("hello")
            with trio.fail_after(1):
                for other in others:
                    await other.hear(b"\x81\x05hello")
        assert slow.socket.backlog <= BACKLOG_MARK + 10_010
        assert slow.socket.stalled_since is not None
        for each in (slow, *others):
            assert each.failures == []
            each.socket.abort()
        nursery.cancel_scope.cancel()


async def test_a_peer_that_reads_again_gets_everything_in_order_without_another_word() -> None:
    sender = Sender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        slow = await line(nursery, sender)
        expected = bytearray()
        while slow.outbox.size < LIMIT // 2:
            text = f"{len(expected):>200}"
            slow.say(text)
            expected += b"\x81\x7e\x00\xc8" + text.encode()
            await trio.lowlevel.checkpoint()
        told = slow.turns
        with trio.fail_after(10):
            await slow.hear(bytes(expected))
        assert slow.turns > told  # whoever waits for room in the outbox is woken
        slow.socket.abort()
        nursery.cancel_scope.cancel()


async def test_ended_connections_and_bad_text_stop_nobody() -> None:
    sender = Sender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        gone, aborted, bad, good = [await line(nursery, sender) for _ in range(4)]
        bad.outbox = Unspeakable(LIMIT, never_rendered)
        reset(gone.peer)
        aborted.socket.abort()
        for _ in range(3):
            for each in (gone, aborted, good):
                each.say("hello")
            bad.say("hello")
            with trio.fail_after(1):
                await good.hear(b"\x81\x05hello")
        assert isinstance(bad.failures[0], UnicodeEncodeError)
        assert gone.failures == aborted.failures == good.failures == []
        good.socket.abort()
        nursery.cancel_scope.cancel()


async def test_a_forgotten_connection_is_not_looked_at_again() -> None:
    sender = Sender()
    async with trio.open_nursery() as nursery:
        first = await line(nursery, sender)
        first.say("hello")
        sender.forget(first)
        nursery.start_soon(sender.run)
        await trio.testing.wait_all_tasks_blocked()
        assert first.outbox.size == 5
        first.socket.abort()
        nursery.cancel_scope.cancel()
