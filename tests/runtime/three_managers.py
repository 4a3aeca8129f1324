"""Three runtimes that are asked the same: in memory, on SQLite, and on SQLite with restarts.

They live in one Trio loop in a thread of its own, under a clock that stands still until it is told to jump,
so that plain calls can drive them. What they answer is made comparable: ids that are drawn are named by the
order in which they first appear.
"""

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from greenroom.actors.clocks import ClockSettings
from greenroom.actors.errors import GreenroomError
from greenroom.actors.hooks import HookManager
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Ending, EndReason
from greenroom.runtime.config import Limits
from greenroom.runtime.core import Core
from greenroom.runtime.manager import SessionManager
from greenroom.runtime.wiring import open_core
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.runtime import manager_model
from tests.runtime.kept_session import HOLD, answer_to
from tests.runtime.manager_model import SECOND, Refused

CLOCKS = ClockSettings(
    idle_after=manager_model.IDLE_AFTER,
    suspend_after=manager_model.SUSPEND_AFTER,
    archive_after=manager_model.ARCHIVE_AFTER,
    delete_after=manager_model.DELETE_AFTER,
    interval=1.0,
)
LIMITS = Limits(turn=1e6)  # seconds: a turn that lasts is let go by the machine, not by the time
DRAWN = frozenset({"tag", "turn_id", "end_id"})
HIDDEN = frozenset({"chain", "key", "commits", "appends", "live_actors", "mailbox_depth", "digest"})


class Wall:
    """Wall time as the machine sets it."""

    def __init__(self) -> None:
        self.at = SECOND

    def __call__(self) -> int:
        return self.at


class Names:
    """Drawn ids by the order of their first appearance, and values with these in their place."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, drawn: str) -> str:
        """The name of an id."""
        return self._known.setdefault(drawn, f"#{len(self._known)}")

    def plain(self, value: Any, field: str = "") -> Any:  # noqa: ANN401, PLR0911 - any answer, of any type
        """The value, comparable."""
        if isinstance(value, Refused | EndReason | SessionID):
            return value
        if isinstance(value, str):
            if field in DRAWN:
                return self.of(value)
            if field == "epoch" and "-" in value:
                number, _, tag = value.partition("-")
                return f"{number}-{self.of(tag)}"
            return self._known.get(value, value)
        if isinstance(value, msgspec.Struct):
            return {"": type(value).__name__, **self.plain(msgspec.structs.asdict(value))}
        if isinstance(value, dict):
            return {key: self.plain(each, key) for key, each in value.items() if key not in HIDDEN}
        if isinstance(value, list | tuple):
            return tuple(self.plain(each) for each in value)
        return value


class Runtime:
    """One runtime, which can be closed and opened again on its store."""

    def __init__(self, make_store: Callable[[], SessionStore], wall: Wall) -> None:
        self.names = Names()
        self.told: list[Ending] = []
        self.reports: list[msgspec.Struct] = []
        self._make_store = make_store
        self._wall = wall
        self._gates: dict[SessionID, trio.Event] = {}
        self._leave = trio.Event()
        self._opened = trio.Event()
        self._is_over = False

    async def run(self) -> None:
        """Be open, again and again, until `close`."""
        while not self._is_over:
            self._leave = trio.Event()
            hooks = HookManager(self.reports.append)
            hooks.register(self)
            agent = Agent("answers", self._answer)
            async with open_core(
                self._make_store(),
                agent,
                LIMITS,
                self.reports.append,
                clocks=CLOCKS,
                hooks=hooks,
                wall=self._wall,
            ) as core:
                self.core: Core = core
                self.manager = SessionManager(core)
                self._opened.set()
                await self._leave.wait()

    async def opened(self) -> None:
        """Wait until it serves."""
        await self._opened.wait()

    async def restart(self) -> None:
        """End it as a host does, and begin again."""
        self._opened = trio.Event()
        self._leave.set()
        await self._opened.wait()

    def close(self) -> None:
        """End it for good, and the turns that last."""
        self._is_over = True
        for gate in self._gates.values():
            gate.set()
        self._leave.set()

    def release(self, session: SessionID) -> None:
        """Let a turn that lasts end."""
        self._gates.pop(session).set()

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        """Be told, as a hook."""
        await trio.lowlevel.checkpoint()
        assert reason is ending.reason
        self.told.append(ending)

    @property
    def is_busy(self) -> bool:
        """Something is being stored or read, on whatever thread."""
        return self.core.reads._limiter.borrowed_tokens > 0 or any(
            place.ref.is_busy for place in self.core.registry
        )

    async def _answer(self, turn: Turn) -> None:
        (message,) = turn.messages
        await turn.say(answer_to(message.content))
        if message.content == HOLD and not self._is_over:
            await self._gates.setdefault(turn.session, trio.Event()).wait()


class Three:
    """All three, and the thread they live in."""

    def __init__(self, folder: Path) -> None:
        self.wall = Wall()
        self._clock = MockClock()
        make_stores = (
            InMemorySessionStore,
            partial(SQLiteSessionStore, folder / "steady.db"),
            partial(SQLiteSessionStore, folder / "restarted.db"),
        )
        self.runtimes = [Runtime(make, self.wall) for make in make_stores]
        self._token: trio.lowlevel.TrioToken | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="three-managers")
        self._thread.start()
        self._ready.wait()

    def ask(self, call: Callable[[Runtime], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever it answers
        """Ask each, let all that follows from it happen, and compare the answers; the one they agree on."""
        answers = self._run(self._ask, call)
        assert answers[1] == answers[0], "SQLite and memory differ"
        assert answers[2] == answers[0], "a restart made a difference"
        return answers[0]

    def pass_second(self) -> None:
        """Let a second pass, by all clocks."""
        self._run(self._jump)

    def restart(self) -> None:
        """Stop the third and start it again on its file."""
        self._run(self.runtimes[2].restart)
        self._run(self._rest)

    def close(self) -> None:
        """End everything; nothing may have gone wrong meanwhile."""
        if self._token is not None:
            trio.from_thread.run_sync(self._let_go, trio_token=self._token)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._check_reports()

    def _let_go(self) -> None:
        self._clock.rate = 10.0  # what does not end by itself is cut off in time
        for runtime in self.runtimes:
            runtime.close()

    def _check_reports(self) -> None:
        assert [runtime.reports for runtime in self.runtimes] == [[], [], []]

    def _live(self) -> None:
        try:
            trio.run(self._main, clock=self._clock)
        except BaseException as exc:  # noqa: ASYNC103, BLE001 - raised in `close`, where somebody waits
            self._failure = exc
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            for runtime in self.runtimes:
                nursery.start_soon(runtime.run)
            for runtime in self.runtimes:
                await runtime.opened()
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()

    def _run(self, call: Callable[..., Awaitable[Any]], *args: Any) -> Any:  # noqa: ANN401 - any call
        return trio.from_thread.run(call, *args, trio_token=self._token)

    async def _ask(self, call: Callable[[Runtime], Awaitable[Any]]) -> list[Any]:
        answers: list[Any] = []
        for runtime in self.runtimes:
            try:
                answer = await call(runtime)
            except GreenroomError as exc:
                answer = Refused(exc.name)
            answers.append(runtime.names.plain(answer))
        await self._rest()
        return answers

    async def _jump(self) -> None:
        self.wall.at += SECOND
        self._clock.jump(1.0)
        await self._rest()

    async def _rest(self) -> None:
        """Wait until nothing goes on any more: no task could run, no thread works, every hook was told."""
        await wait_all_tasks_blocked()
        while any(runtime.is_busy for runtime in self.runtimes):
            self._check_reports()  # a session that crashed waits for time that does not pass
            await wait_all_tasks_blocked(0.0005)
        for runtime in self.runtimes:
            await runtime.core._around.ends.settle()
