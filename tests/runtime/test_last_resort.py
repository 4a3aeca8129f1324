"""The thread that ends a process whose event loop cannot: seen from inside a process that it spares."""

import signal
import threading
from pathlib import Path

import trio
from greenroom.runtime.app import serve
from greenroom.runtime.config import Config
from greenroom.runtime.last_resort import SIGNALS, LastResort


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "last resort"]


async def test_a_server_that_ends_in_order_leaves_no_thread_and_no_handler_behind(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    config = Config(db=str(tmp_path / "greenroom.db"), port=0, http_port=0)
    is_listening = trio.Event()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve(config, announce=lambda *_: is_listening.set()))
            await is_listening.wait()
            assert len(helpers()) == 1
            signal.raise_signal(signal.SIGTERM)
    assert helpers() == []
    assert [signal.getsignal(number) for number in SIGNALS] == before


async def test_the_handlers_it_stands_before_hear_every_signal() -> None:
    with trio.open_signal_receiver(*SIGNALS) as signals, LastResort(drain=60):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            with trio.fail_after(5):
                assert await anext(signals) == number


async def test_a_server_that_is_cancelled_leaves_nothing_behind_either(tmp_path: Path) -> None:
    config = Config(db=str(tmp_path / "greenroom.db"), port=0, http_port=0)
    async with trio.open_nursery() as nursery:
        await serve(config, announce=lambda *_: nursery.cancel_scope.cancel())
    assert helpers() == []
