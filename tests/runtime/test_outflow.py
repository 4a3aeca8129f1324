"""Bytes leave in order, and whoever waits for that is told."""

from collections.abc import AsyncIterator

import pytest
import trio
from greenroom.runtime.outflow import Outflow
from trio.testing import wait_all_tasks_blocked

from tests.runtime.tcp import close_all, read_all, tcp_pair

MORE_THAN_A_SOCKET_TAKES = b"x" * 16_000_000


@pytest.fixture(autouse=True)
async def no_stream_left() -> AsyncIterator[None]:
    yield
    close_all()


async def test_two_tasks_may_wait_for_one_backlog(nursery: trio.Nursery) -> None:
    ours, peer = await tcp_pair()
    out = Outflow(ours, nursery)
    out.put(MORE_THAN_A_SOCKET_TAKES)
    assert out.backlog
    async with trio.open_nursery() as waiting:
        waiting.start_soon(out.flush)
        waiting.start_soon(out.flush)
        await wait_all_tasks_blocked()
        received = 0
        with trio.fail_after(20):
            while received < len(MORE_THAN_A_SOCKET_TAKES):
                received += len(await peer.receive_some())
    assert out.backlog == 0
    await ours.send_eof()
    assert await read_all(peer) == b""
