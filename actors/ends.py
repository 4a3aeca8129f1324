"""Tells the hooks of every end in the outbox, then takes it out: at least once, whatever happens in between.

Theory of operation. An end is in the store's outbox from the commit that made it until every hook was told.
One task reads the outbox in its order and hands each end to the lane of its session: a session's ends are
told one after the other, those of several sessions at the same time, so that a hook that hangs holds up few.
At most `PAGE` ends are in hand; the rest stays in the store. A reply that waits for an end is answered when
the end has left the outbox.

A host may register its hooks after the start, when there are ends already: left over by a process that died,
or made by a clock meanwhile. So every end is held back until there is a hook, but only for so long as the
host says. An end that somebody waits for is not: it leaves the outbox at once, told to nobody.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from ..persistence.errors import StoreError
from ..persistence.ids import SessionID
from ..persistence.records import Ending
from .end_outbox import EndOutbox
from .errors import DamagedError, UnavailableError
from .hooks import HookManager
from .reads import Reads
from .reply import Reply
from .reports import EndNotErased, Reporter
from .writer import Writer

AT_ONCE = 8  # sessions whose ends are told at the same time
PAGE = 32  # ends in hand at most: each holds the live context of a session


class Ends:
    """Tells hooks of ends; `run` it as a task that ends before the writer's.

    Args:
        reads: Reads the outbox.
        writer: Erases what was told.
        hooks: Who is told.
        report: Told of what the store refuses.
        registration: Seconds from the start of `run` that ends are held back while no hook is registered; 0:
            what no hook wants to hear is erased at once, infinity: never, unless somebody waits for it.
    """

    def __init__(
        self, reads: Reads, writer: Writer, hooks: HookManager, report: Reporter, registration: float
    ) -> None:
        self._new_outbox = partial(EndOutbox, reads, writer, report)
        self._outbox = self._new_outbox()
        self._hooks = hooks
        self._report = report
        self._registration = registration
        self._waiting: dict[str, tuple[Reply[Any], object]] = {}
        self._added = 0
        self._news = trio.Event()
        self._progress = trio.Event()
        self._is_closed = False
        self._begin()
        hooks.watch(self._wake)

    def added(self) -> None:
        """An end was committed."""
        self._added += 1
        self._wake()

    def answer_when_told(self, end_id: str, reply: Reply[Any], value: object) -> None:
        """Answer a reply when every hook was told of a committed end and it has left the outbox.

        To be called before `added`. It is rejected with `UnavailableError` if the runtime ends before, with
        `DamagedError` if the outbox is damaged.
        """
        if self._is_closed:
            reply.reject(_closed())
        else:
            self._waiting[end_id] = (reply, value)

    async def run(self) -> None:
        """Tell what a former process left over, then every end as it comes, until `close`.

        If it was cut off or has crashed, it may be run again: an end that was being told then is told once
        more, and whoever waits for one goes on waiting.
        """
        self._begin()
        async with trio.open_nursery() as nursery:
            if self._registration > 0:
                await self._hold(nursery)
            await self._follow(nursery)

    async def settle(self) -> None:
        """Wait until no hook runs and every end committed so far is told, but for those held back."""
        target = self._added
        while self._in_hand or not (self._seen >= target or self._is_closed or self._is_waiting_for_hooks()):
            await self._progress.wait()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Call no further hook, reject the replies that wait; idempotent.

        Ends that were not told to every hook stay in the outbox, for the next start.
        """
        self._is_closed = True
        self._outbox.close()
        for end_id in tuple(self._waiting):
            self._reject(end_id, _closed())
        self._wake()
        self._changed()

    def _begin(self) -> None:
        """Have nothing in hand, and the whole outbox to read."""
        if not self._is_closed:
            self._outbox = self._new_outbox()
        self._lanes: dict[SessionID, deque[Ending]] = {}
        self._in_hand: set[str] = set()
        self._places = trio.Semaphore(AT_ONCE)
        self._seen = -1  # how many had been added when the last read that found nothing began
        self._is_holding = False

    def _is_waiting_for_hooks(self) -> bool:
        return self._is_holding and not (self._hooks.listeners or self._waiting)

    async def _hold(self, nursery: trio.Nursery) -> None:
        """Let the outbox be until there is a hook; only an end that somebody waits for is erased at once."""
        self._is_holding = True
        self._changed()
        with trio.move_on_after(self._registration):
            while not (self._hooks.listeners or self._is_closed):
                self._news = trio.Event()
                for end_id in self._waiting.keys() - self._in_hand:
                    self._in_hand.add(end_id)
                    nursery.start_soon(self._let_go, end_id)
                await self._news.wait()
        self._is_holding = False

    async def _follow(self, nursery: trio.Nursery) -> None:
        while not self._is_closed:
            if len(self._in_hand) >= PAGE:
                await self._progress.wait()
                continue
            added, waiting, self._news = self._added, tuple(self._waiting), trio.Event()
            page = await self._outbox.read(PAGE - len(self._in_hand))
            for ending in page:
                self._take(ending, nursery)
            if not page and not self._is_closed:
                self._catch_up(added, waiting)
                await self._news.wait()

    def _take(self, ending: Ending, nursery: trio.Nursery) -> None:
        if ending.end_id in self._in_hand:  # being erased, since there was no hook when it came
            return
        self._in_hand.add(ending.end_id)
        if ending.session in self._lanes:
            self._lanes[ending.session].append(ending)
        else:
            self._lanes[ending.session] = deque([ending])
            nursery.start_soon(self._serve, ending.session, nursery, name=f"ends of {ending.session}")

    def _catch_up(self, added: int, waiting: Sequence[str]) -> None:
        """Everything that was committed before the last read began has been read.

        So an end that was waited for before it, and is not in hand, is not in the outbox: it was told and
        erased before anybody could say that he waits, or it is a damaged one.
        """
        self._seen = added
        for end_id in waiting:
            if end_id in self._in_hand:
                continue
            if self._outbox.met_damage:
                self._reject(end_id, _damaged())
            else:
                self._resolve(end_id)
        self._changed()

    async def _serve(self, session: SessionID, nursery: trio.Nursery) -> None:
        """Tell the ends of one session, one after the other."""
        lane = self._lanes[session]
        async with self._places:
            while lane:
                ending = lane.popleft()
                if await self._tell(ending, nursery):
                    await self._let_go(ending.end_id)
                else:
                    self._drop(ending.end_id)
            del self._lanes[session]  # no await since it was found empty: nothing can have joined it

    async def _tell(self, ending: Ending, nursery: trio.Nursery) -> bool:
        """Tell every hook; False if it was cut short."""
        for listener in self._hooks.listeners:
            if self._is_closed:
                return False
            await self._hooks.tell(listener, ending, nursery)
        return True

    async def _let_go(self, end_id: str) -> None:
        """Take an end out of the outbox, however long the store refuses, and answer who waits for it."""
        try:
            await self._outbox.erase(end_id)
        except StoreError as exc:
            self._report(EndNotErased(end_id, exc.name))
            self._reject(end_id, _damaged())
        except UnavailableError:  # closed: it is told again by the next start
            self._reject(end_id, _closed())
        else:
            self._resolve(end_id)
        self._drop(end_id)

    def _drop(self, end_id: str) -> None:
        self._in_hand.discard(end_id)
        self._changed()

    def _resolve(self, end_id: str) -> None:
        if end_id in self._waiting:
            reply, value = self._waiting.pop(end_id)
            reply.resolve(value)

    def _reject(self, end_id: str, error: Exception) -> None:
        if end_id in self._waiting:
            reply, _ = self._waiting.pop(end_id)
            reply.reject(error)

    def _wake(self) -> None:
        self._news.set()

    def _changed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()


def _closed() -> UnavailableError:
    return UnavailableError("ends: expected time to tell every hook, met the runtime's end", retry_after=1.0)


def _damaged() -> DamagedError:
    return DamagedError("ends: expected a sound outbox, met damage; the session has ended all the same")
