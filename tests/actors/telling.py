"""What the tests of ends share: hooks that hear, stores that refuse, a runtime as far as its ends go."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
from greenroom.actors.ends import Ends
from greenroom.actors.hooks import HookManager, SessionHook
from greenroom.actors.reads import Reads
from greenroom.actors.reply import ReplySlot
from greenroom.actors.writer import ThreadDied, Writer
from greenroom.persistence import SessionStore
from greenroom.persistence.errors import StoreUnavailableError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Ending, EndReason, Message, SessionFacts

from tests.actors.faults import Around
from tests.actors.hand import Reports

REGISTRATION = 10.0  # seconds that ends wait for a hook where a test lets them wait


class Hears:
    """Keeps the ends it is told of; if it is held, it hears on and on until the gate is set."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.heard: list[Ending] = []
        self.at_once = Counter[SessionID]()
        self.most_at_once = 0
        self.gate = trio.Event()
        self._more = trio.Event()
        if not is_held:
            self.gate.set()

    async def wait_for(self, count: int) -> None:
        with trio.fail_after(10):
            while len(self.heard) < count:
                await self._more.wait()

    @property
    def ids(self) -> list[str]:
        return [ending.end_id for ending in self.heard]

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        assert reason is ending.reason
        self.heard.append(ending)
        self._more.set()
        self._more = trio.Event()
        self.at_once[ending.session] += 1
        assert self.at_once[ending.session] == 1, "expected the ends of one session one by one"
        self.most_at_once = max(self.most_at_once, self.at_once.total())
        try:
            await self.gate.wait()
        finally:
            self.at_once[ending.session] -= 1


class HangsFor:
    """Never ends when it is told of one session's end."""

    def __init__(self, session: SessionID) -> None:
        self.session = session

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:  # noqa: ARG002 - the protocol's
        if ending.session == self.session:
            await trio.sleep_forever()


class Refuses(Around):
    """Refuses reads and erasures of the outbox as often as it is told to."""

    def __init__(self, inside: SessionStore, *, reads: int = 0, erasures: int = 0) -> None:
        super().__init__(inside)
        self.reads = reads
        self.erasures = erasures
        self.error: Exception = StoreUnavailableError("disk full")

    def endings(self, after: int, limit: int) -> Sequence[tuple[int, Ending]]:
        if self.reads:
            self.reads -= 1
            raise self.error
        found: Sequence[tuple[int, Ending]] = self.inside.endings(after, limit)
        return found

    def erase_ending(self, end_id: str) -> None:
        if self.erasures:
            self.erasures -= 1
            raise self.error
        self.inside.erase_ending(end_id)


class Desk:
    """What a test works with: a writer, a runtime's ends, the hooks, what was reported."""

    def __init__(
        self, store: SessionStore, hooks: Sequence[SessionHook], registration: float = REGISTRATION
    ) -> None:
        self.store = store
        self.reports = Reports()
        self.writer = Writer(store, len, self.reports)
        self.deaths: list[ThreadDied] = []
        self.hooks = HookManager(self.reports)
        for hook in hooks:
            self.hooks.register(hook)
        self.ends = Ends(Reads(store), self.writer, self.hooks, self.reports, registration)

    async def commit(self, session: SessionID, end_id: str) -> Ending:
        append = ended(self.store, session, end_id)
        await self.writer.append(append)
        assert append.ending is not None
        return append.ending

    async def end(self, session: SessionID, end_id: str) -> Ending:
        ending = await self.commit(session, end_id)
        self.ends.added()
        return ending

    async def end_and_wait(self, session: SessionID, end_id: str) -> str:
        slot: ReplySlot[str] = ReplySlot()
        await self.commit(session, end_id)
        self.ends.answer_when_told(end_id, slot, end_id)
        self.ends.added()
        return await slot.wait()

    async def settle(self) -> None:
        with trio.fail_after(500):
            await self.ends.settle()

    def left(self) -> list[str]:
        return left(self.store)


def ended(store: SessionStore, session: SessionID, end_id: str) -> Append:
    facts = store.facts(session) or SessionFacts(
        id=session, tag="t", created_at=0, updated_at=0, last_active_at=0
    )
    ending = Ending(end_id, session, EndReason.RESET, 0, facts, (Message("user", "secret"),))
    return Append(facts, facts.head_seq, ending=ending)


def left(store: SessionStore) -> list[str]:
    """The ends in the outbox."""
    return [ending.end_id for _, ending in store.endings(0, 1000)]


@asynccontextmanager
async def telling(
    store: SessionStore, *hooks: SessionHook, registration: float = REGISTRATION
) -> AsyncGenerator[Desk]:
    """A runtime as far as its ends go; what is not told when the test is through is cut off."""
    desk = Desk(store, hooks, registration)
    async with trio.open_nursery() as nursery:
        desk.writer.start(desk.deaths.append)
        nursery.start_soon(desk.ends.run)
        yield desk
        nursery.cancel_scope.cancel()
    desk.ends.close()
    await desk.writer.close()
    assert desk.deaths == []
