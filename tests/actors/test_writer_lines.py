"""The writer's thread is killed at each line of its work in turn; nobody is left waiting."""

import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, cast

import trio
from greenroom.actors import commit_thread, committing
from greenroom.actors.errors import UnavailableError
from greenroom.actors.writer import ThreadDied, Writer
from greenroom.persistence import SQLiteSessionStore

from tests.actors.hand import ANN, Reports, sid
from tests.actors.writing import first


class Panic(BaseException):
    """What a native extension raises past every ``except Exception``."""


class KillsAtLines:
    """Kills each thread one line of the writer's own code later than the one before."""

    LINES = 300  # of its work; by then it has written several batches

    def __init__(self) -> None:
        self.deaths = 0
        self._left = 1
        self._files = {commit_thread.__file__, committing.__file__}

    def trace(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if code.co_filename not in self._files or code.co_name in {"_run", "_tell"}:
            return None  # what tells of its death is not to die
        if event == "line":
            self._left -= 1
            if not self._left:
                raise Panic
        return self.trace

    def note(self) -> bool:
        """Note a death; whether there are to be more."""
        self.deaths += 1
        self._left = self.deaths + 1 if self.deaths < self.LINES else 0
        return self._left > 0


async def test_f16_wherever_in_its_work_the_thread_dies_everybody_is_answered_and_what_is_acked_is_stored(
    sqlite: SQLiteSessionStore,
) -> None:
    killer, writer = KillsAtLines(), Writer(sqlite, len, Reports())
    kept, lost, is_over = set[int](), set[int](), False

    def go_on(_: ThreadDied) -> None:
        nonlocal is_over
        is_over = not killer.note()
        writer.start(go_on)

    async def append(number: int) -> None:
        while not is_over:
            number += 5
            try:
                await writer.append(first(sid(number), "hello"))
                kept.add(number)
            except UnavailableError:
                lost.add(number)

    async def call() -> None:
        while not is_over:
            with suppress(UnavailableError):
                assert await writer.call(lambda store: store.facts(ANN)) is None

    tracer = threading.gettrace()  # a measurement of coverage has one
    threading.settrace(killer.trace)
    try:
        with trio.fail_after(60):
            writer.start(go_on)
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(append, number)
                nursery.start_soon(call)
            for number in kept:
                assert sqlite.facts(sid(number)) is not None
            await writer.close()
    finally:
        threading.settrace(cast("Any", tracer))
    assert killer.deaths == KillsAtLines.LINES
    assert kept
    assert lost
