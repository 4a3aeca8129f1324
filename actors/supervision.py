"""Who keeps actors: starts them, restarts them, ends them, and fails when that does not help."""

from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import Any, TypeVar, TypeVarTuple

import msgspec
import trio

from .actor import Actor
from .actor_reports import ActorCrashed, ActorEnded, Why
from .cell import Cell, Phase, Restart
from .dead_letters import DeadLetter, DeadLetters
from .errors import ShuttingDownError, SupervisorFailedError
from .lifting import CUT_GRACE, bring_up, take_down
from .mending import Mender, Strategy
from .ref import ActorRef
from .reports import Reporter, describe
from .runners import Runners
from .timers import Timers

M = TypeVar("M")
Args = TypeVarTuple("Args")

MAILBOX = 256  # messages
STOP_WITHIN = 5.0  # seconds; what OTP gives a worker


class Supervisor:
    """The parent of some actors; opened by `open_supervisor`.

    Attributes:
        dead_letters: The messages that nobody handled.
        timers: Messages to be sent later.
    """

    def __init__(  # noqa: PLR0913 - the caller's options
        self,
        nursery: trio.Nursery,
        *,
        strategy: Strategy,
        intensity: int,
        period: float,
        quarantine: bool,
        close_within: float,
        report: Reporter,
        unhandled: Callable[[DeadLetter], bool | None] | None,
    ) -> None:
        self._nursery = nursery
        self._report = report
        self._close_within = close_within
        self._children: dict[str, Cell] = {}
        self._leaving: set[Cell] = set()
        self._spawned = 0
        self._scopes: set[trio.CancelScope] = set()
        self._is_closing = False
        self._runners = Runners(nursery, self._lost)
        self._mender = Mender(
            self, strategy=strategy, intensity=intensity, period=period, quarantine=quarantine
        )
        self.body = trio.CancelScope()
        self.failure: SupervisorFailedError | None = None
        self.dead_letters = DeadLetters(unhandled)
        self.timers = Timers(self.start_soon)

    async def spawn(
        self,
        make: Callable[[*Args], Actor[M]],
        *args: *Args,
        name: str | None = None,
        restart: Restart = "permanent",
        mailbox: int = MAILBOX,
        stop_within: float = STOP_WITHIN,
    ) -> ActorRef[M]:
        """Start an actor; returns when it is ready. Waits only if it has a `started`.

        Args:
            make: Makes an instance, now and at each restart; usually the class.
            args: What it is made of.
            name: Unique among the live children; made up if not given.
            restart: ``permanent``: always; ``transient``: after a crash; ``temporary``: never.
            mailbox: The most messages that may wait.
            stop_within: Seconds for the message in hand when it is stopped, and again for its `stopped`.

        Raises:
            Exception: What its construction or its `started` raised; then there is no such actor.
            ActorStoppedError: It was stopped before it was ready.
            ShuttingDownError: The supervisor closes.
            ValueError: The name is in use, or there is no room in the mailbox for one message.
        """
        cell = self._place(
            name, make=make, args=args, restart=restart, mailbox=mailbox, stop_within=stop_within
        )
        try:
            await bring_up(cell, shield=False)
        except BaseException as exc:
            if cell.phase is Phase.STARTING:
                cell.close(Phase.ENDING)
                self._ended(cell, "unstarted", exc)
            raise
        return ActorRef(cell)

    def spawn_soon(  # noqa: PLR0913 - the caller's options
        self,
        make: Callable[[*Args], Actor[M]],
        *args: *Args,
        name: str | None = None,
        restart: Restart = "permanent",
        mailbox: int = MAILBOX,
        stop_within: float = STOP_WITHIN,
        beyond_repair: tuple[type[Exception], ...] = (),
    ) -> ActorRef[M]:
        """Have an actor started, without waiting for it: mail waits until it is ready.

        Args:
            make: As in `spawn`, and so are all but the last. A start that fails is a crash, the first too.
            args: See there.
            name: See there.
            restart: See there.
            mailbox: See there.
            stop_within: See there.
            beyond_repair: What a start may raise that no restart would mend: then the actor ends, without a
                report, and whoever waits for an answer gets that error.

        Raises:
            ShuttingDownError: The supervisor closes.
            ValueError: The name is in use, or there is no room in the mailbox for one message.
        """
        cell = self._place(
            name,
            make=make,
            args=args,
            restart=restart,
            mailbox=mailbox,
            stop_within=stop_within,
            beyond_repair=beyond_repair,
        )
        self._mender.start(cell)
        return ActorRef(cell)

    def _place(self, name: str | None, **specification: Any) -> Cell:  # noqa: ANN401 - of a `Cell`
        if self._is_closing:
            raise ShuttingDownError("supervisor: expected to be open, met a spawn while it closes")
        if (room := specification["mailbox"]) < 1:
            raise ValueError(f"mailbox: expected room for one message at least, met {room}")
        self._spawned += 1
        if name is None:
            name = f"actor-{self._spawned}"
            while name in self._children:
                name += "+"  # a host gave this name to another
        elif name in self._children:
            raise ValueError(f"actor {name}: expected a name that is free, met one in use")
        cell = Cell(self, self._runners.line, name=name, order=self._spawned, **specification)
        self._children[name] = cell
        return cell

    def find(self, name: str) -> ActorRef[Any] | None:
        """The live child of that name."""
        cell = self._children.get(name)
        return ActorRef(cell) if cell is not None else None

    def __len__(self) -> int:
        """How many children there are."""
        return len(self._children)

    def report(self, record: msgspec.Struct) -> None:
        """Tell the operator."""
        self._report(record)

    def in_order(self) -> Iterable[Cell]:
        """The children, as they were started."""
        return list(self._children.values())

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run something until the supervisor closes, whatever is cancelled around it."""
        scope = trio.CancelScope(shield=True)
        self._scopes.add(scope)  # here, for closing may come before the task's first step
        self._nursery.start_soon(self._run, scope, work)

    async def _run(self, scope: trio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        try:
            with scope:
                await work()
        finally:
            self._scopes.discard(scope)

    def crashed(self, cell: Cell, error: Exception) -> None:
        """A child's handler raised: report it, and mend or end it, unless it is on its way down anyway."""
        self._report(ActorCrashed(cell.name, *describe(error)))
        if cell.phase is Phase.LIVE:
            self._mend(cell, error)

    def failed_to_start(self, cell: Cell, error: Exception) -> None:
        """A child could not be started: that counts as a crash, if a restart may mend it."""
        if isinstance(error, cell.beyond_repair):
            self.end(cell, "unstarted", error)
            return
        self._report(ActorCrashed(cell.name, *describe(error)))
        if cell.phase in {Phase.STARTING, Phase.DOWN}:
            self._mend(cell, error)

    def finished(self, cell: Cell) -> None:
        """A child ends by itself."""
        if cell.phase is Phase.LIVE:
            if cell.restart == "permanent":
                self._mend(cell, None)
            else:
                self.end(cell, "finished")

    def _mend(self, cell: Cell, error: Exception | None) -> None:
        if cell.restart == "temporary":
            self.end(cell, "crashed", error)
            return
        cell.go_down()
        if not self._is_closing:
            self._mender.mend(cell, error)

    def fail(self, cell: Cell, error: Exception | None) -> None:
        """Give up: cancel the body, for `open_supervisor` to raise, and end the child that crashed."""
        if self.failure is None:
            self.failure = SupervisorFailedError(
                f"supervisor: expected actors that stay up, met too many crashes, the last of {cell.name}"
            )
            self.failure.__cause__ = error
            self.body.cancel(reason="the supervisor failed")
        self.end(cell, "crashed", error)  # now: the body may need an answer of it before it can end

    def end(
        self,
        cell: Cell,
        why: Why,
        error: Exception | None = None,
        *,
        patience: float = inf,
        within: float = inf,
    ) -> None:
        """End a child for good; in this step if nothing of it runs and it has no `stopped`.

        Args:
            cell: Whom.
            why: What its watchers are told.
            error: What it raised, if it did.
            patience: Seconds for the message in hand, at most its own ``stop_within``.
            within: Seconds for its `stopped`, at most its own ``stop_within``.
        """
        if cell.phase in {Phase.ENDING, Phase.ENDED}:
            return
        cell.close(Phase.ENDING, error if why == "unstarted" else None)
        if why == "retired":
            del self._children[cell.name]
        behaviour = cell.behaviour
        if cell.holder is None and (behaviour is None or not behaviour.has_stopped):
            self._ended(cell, why, error)
            return
        self._leaving.add(cell)
        patience, within = min(patience, cell.stop_within), min(within, cell.stop_within)

        async def see_off() -> None:
            await take_down(cell, self._report, patience=patience, within=within)
            self._ended(cell, why, error)

        self.start_soon(see_off)

    def _ended(self, cell: Cell, why: Why, error: BaseException | None) -> None:
        if cell.phase is Phase.ENDED:
            return
        cell.phase = Phase.ENDED
        cell.behaviour = None
        cell.args = ()  # they may hold what holds its reference: no cycle is left for the collector
        self._leaving.discard(cell)
        if self._children.get(cell.name) is cell:
            del self._children[cell.name]
        cell.end = ActorEnded(cell.name, why, error)
        watchers, cell.watchers = cell.watchers, None
        for watcher in watchers or ():
            watcher.resolve(cell.end)

    def _lost(self, error: Exception) -> None:
        self._report(ActorCrashed("runner", *describe(error)))

    async def close(self, *, is_cut: bool) -> None:
        """End all children, the last started first, each within its time and all within that of closing.

        Args:
            is_cut: Messages in hand are cut off at once.
        """
        self._is_closing = True
        deadline = trio.current_time() + self._close_within
        with trio.CancelScope(shield=True):
            for cell in reversed([*sorted(self._leaving, key=lambda cell: cell.order), *self.in_order()]):
                left = max(0.0, deadline - trio.current_time())
                self.end(cell, "closed", patience=0.0 if is_cut else left, within=left)
                if cell.phase is not Phase.ENDED:
                    with trio.move_on_after(2 * (min(left, cell.stop_within) + CUT_GRACE)):
                        await ActorRef(cell).watch()
                    self._ended(cell, "closed", None)
            self._runners.close()
            for scope in self._scopes:
                scope.cancel(reason="the supervisor is closed")
