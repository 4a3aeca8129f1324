"""Our own sessions, which nobody answers: what an idle one costs, and what 100,000 of them do to the loop."""

import gc
import statistics
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from ...persistence.ids import SessionID
from ...persistence.memory import InMemorySessionStore
from ...persistence.records import Message
from ...persistence.store import SessionStore
from ...runtime.collector import short_collections
from ...runtime.config import Cleanup, Config, Limits
from ...runtime.embedding import open_manager
from ...runtime.manager import SessionManager
from .contender import Figures, check, memory_each, resident

CALLERS = 100  # that fill sessions at once
CHATTING = 100  # one in so many sessions goes on chatting, a message a second each
CHAT_SECONDS = 30
TICK = 0.005  # seconds between two looks at the clock

_QUESTION = Message(role="user", content="Is the blue room free on Friday?")
_ANSWER = Message(role="assistant", content="Yes, from nine to five.")


class Sessions:
    """What is measured of them: `memory` as of any contender, and `delay`."""

    def __init__(
        self, make_store: Callable[[], SessionStore | None], chat_seconds: int = CHAT_SECONDS
    ) -> None:
        self._make_store = make_store
        self._chat_seconds = chat_seconds

    def memory(self, count: int) -> Figures:
        """Bytes for one more live session with two short messages."""
        return self._run(count, _memory)

    def delay(self, count: int) -> Figures:
        """How late the loop is, ms, while ``count`` sessions live and one in `CHATTING` chats."""
        return self._run(count, partial(_delay, self._chat_seconds))

    def _run(self, count: int, measure: Callable[[SessionManager, int], Awaitable[Figures]]) -> Figures:
        async def main() -> Figures:
            with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
                config = Config(
                    db=str(Path(folder) / "bench.db"),
                    agent="none",
                    limits=Limits(live_sessions=count + 1),
                    cleanup=Cleanup(enabled=False),
                )
                with short_collections():
                    async with open_manager(config, store=self._make_store()) as manager:
                        return await measure(manager, count)

        return trio.run(main)


def in_memory() -> Sessions:
    """On a store in memory, whose rows count too."""
    return Sessions(InMemorySessionStore)


def in_sqlite() -> Sessions:
    """On SQLite."""
    return Sessions(lambda: None)


async def _memory(manager: SessionManager, count: int) -> Figures:
    await _fill(manager, 0)  # loads what the first message needs
    before = resident()
    await _fill_all(manager, count)
    figures = memory_each(count, before)
    check(count + 1, (await manager.stats()).live_actors)
    return figures


async def _delay(seconds: int, manager: SessionManager, count: int) -> Figures:
    await _fill(manager, 0)
    async with _ticking() as filling:
        await _fill_all(manager, count)
    collections = _full_collections()
    async with _ticking() as delays, trio.open_nursery() as chatting:
        for number in range(1, count + 1, CHATTING):
            chatting.start_soon(_chat, manager, number, number / count, seconds)
    collections = _full_collections() - collections
    check(count + 1, (await manager.stats()).live_actors)
    cuts = statistics.quantiles(delays, n=1000, method="inclusive")
    return {
        "p50_ms": cuts[499] * 1000,
        "p999_ms": cuts[998] * 1000,
        "worst_ms": max(delays) * 1000,
        "full_collections": collections,
        "worst_while_filling_ms": max(filling, default=0.0) * 1000,
    }


async def _fill_all(manager: SessionManager, count: int) -> None:
    async def fill_some(first: int) -> None:
        for number in range(first, count + 1, CALLERS):
            await _fill(manager, number)

    async with trio.open_nursery() as nursery:
        for first in range(1, CALLERS + 1):
            nursery.start_soon(fill_some, first)


async def _fill(manager: SessionManager, number: int) -> None:
    for message in (_QUESTION, _ANSWER):
        await manager.add_message(_session(number), message)


async def _chat(manager: SessionManager, number: int, offset: float, seconds: int) -> None:
    begins = trio.current_time() + offset  # not all in the same moment
    for second in range(seconds):
        await trio.sleep_until(begins + second)
        await manager.add_message(_session(number), _QUESTION)
    await trio.sleep_until(begins + seconds)


def _full_collections() -> int:
    return gc.get_stats()[2]["collections"]


@asynccontextmanager
async def _ticking() -> AsyncGenerator[list[float]]:
    """Notes how late the loop is, in seconds, as long as the body runs."""
    delays: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, delays)
        yield delays
        nursery.cancel_scope.cancel(reason="measured")


async def _tick(delays: list[float]) -> None:
    """Note how late each tick is; a tick that a stall has swallowed is late as well."""
    due = trio.current_time()
    while True:
        due += TICK
        await trio.sleep_until(due)
        delays.append(trio.current_time() - due)


def _session(number: int) -> SessionID:
    return SessionID("bench", "live", f"peer{number}")
