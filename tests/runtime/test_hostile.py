"""No byte sequence from a peer ends the server or disturbs another connection."""

import pytest
import trio
from greenroom.runtime.handshake import SocketLimits
from websockets.trio.client import connect

from .echo_server import EchoServer
from .hostile_corpus import CORPUS, FRAMES, HANDSHAKES, Case, play

LIMITS = SocketLimits(handshake=0.5)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
async def test_p20_each_attack_gets_its_answer_and_a_neighbour_still_echoes(
    nursery: trio.Nursery, case: Case
) -> None:
    server = EchoServer(LIMITS)
    port = await nursery.start(server.run)
    async with connect(f"ws://127.0.0.1:{port}/v1") as neighbour:
        await play(port, case)
        with trio.fail_after(5):
            await neighbour.send("hello")
            assert await neighbour.recv() == "hello"
            await server.until_open(1)
    assert server.crashes == []
    nursery.cancel_scope.cancel()


async def test_p20_all_attacks_at_once_leave_a_neighbour_echoing_and_nothing_open(
    nursery: trio.Nursery,
) -> None:
    server = EchoServer(LIMITS)
    port = await nursery.start(server.run)
    async with connect(f"ws://127.0.0.1:{port}/v1") as neighbour:
        async with trio.open_nursery() as attackers:
            for case in CORPUS:
                if case.expect.__class__.__name__ != "Http" or case.expect.status != 408:
                    attackers.start_soon(play, port, case)
            for i in range(50):
                with trio.fail_after(5):
                    await neighbour.send(f"hello {i}")
                    assert await neighbour.recv() == f"hello {i}"
        with trio.fail_after(5):
            await server.until_open(1)
    assert server.crashes == []
    nursery.cancel_scope.cancel()


def test_the_corpus_has_its_24_cases_and_no_two_of_one_name() -> None:
    assert len(HANDSHAKES) + len(FRAMES) == len({case.name for case in CORPUS}) >= 24
