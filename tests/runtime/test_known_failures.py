"""What session managers are known to get wrong, one test each: here it does not happen."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from greenroom.actors.clocks import ClockSettings
from greenroom.actors.compaction import CompactionSettings, Retries, find_cut
from greenroom.actors.compactor import ContextView, SessionCompactor
from greenroom.actors.hooks import HOOK_SECONDS, HookManager
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import (
    Append,
    Ending,
    EndReason,
    Entry,
    Message,
    SessionFacts,
    SessionFilter,
    SessionState,
    ToolCall,
)
from greenroom.runtime.agents import find_agent
from greenroom.runtime.config import Cleanup, Config, Limits
from greenroom.runtime.embedding import open_manager
from greenroom.runtime.manager import SessionManager
from greenroom.runtime.wiring import open_core

from tests.actors.hand import on_mock_time

ADA = SessionID("echo", "app", "ada")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "greenroom.db"


def at(db: Path) -> Config:
    return Config(db=str(db), agent="none")


async def test_after_a_reload_the_summary_does_not_overwrite_the_system_prompt(db: Path) -> None:
    async with open_manager(at(db)) as manager:
        session = await manager.get_or_create(ADA)
        await session.set_system_prompt("be brief")
        await session.add_message(Message("system", "a system message of the conversation"))
        await session.set_summary("they spoke of tea")
    for _ in range(2):
        async with open_manager(at(db)) as manager:
            session = await manager.get_or_create(ADA)
            assert await session.system_prompt() == "be brief"
            assert await session.summary() == "they spoke of tea"
            assert await session.messages() == (Message("system", "a system message of the conversation"),)
            await session.add_message(Message("user", "hello"))
            await session.reset()
            assert (await session.system_prompt(), await session.summary()) == ("be brief", "")
            await session.set_summary("they spoke of tea")
            await session.add_message(Message("system", "a system message of the conversation"))


def test_a_message_does_not_rewrite_the_history(db: Path) -> None:
    """What SQLite writes for one more message is counted: it is the same after 10 and after 5,000."""
    store = SQLiteSessionStore(db)
    facts = SessionFacts(id=ADA, tag="t", created_at=1, updated_at=1, last_active_at=1)

    def append(count: int) -> None:
        nonlocal facts
        first = facts.head_seq + 1
        entries = [Entry(first + n, 1, 1, Message("user", "x" * 200)) for n in range(count)]
        (stored,) = store.commit(
            [Append(_with_head(facts, first + count - 1), facts.head_seq, tuple(entries))]
        )
        assert isinstance(stored, SessionFacts)
        facts = stored

    def log_bytes_of_one_message() -> int:
        store.close()
        reopened = SQLiteSessionStore(db)
        nonlocal facts
        (stored,) = reopened.commit(
            [
                Append(
                    _with_head(facts, facts.head_seq + 1),
                    facts.head_seq,
                    (Entry(facts.head_seq + 1, 1, 1, Message("user", "x" * 200)),),
                )
            ]
        )
        assert isinstance(stored, SessionFacts)
        facts = stored
        size = db.with_name(db.name + "-wal").stat().st_size
        reopened.close()
        return size

    append(10)
    after_ten = log_bytes_of_one_message()
    store = SQLiteSessionStore(db)
    for _ in range(10):
        append(500)
    after_thousands = log_bytes_of_one_message()
    assert after_thousands <= after_ten * 2  # a page or two more where a tree has grown deeper


def _with_head(facts: SessionFacts, head: int) -> SessionFacts:
    return SessionFacts(
        id=facts.id,
        tag=facts.tag,
        created_at=1,
        updated_at=1,
        last_active_at=1,
        key=facts.key,
        chain=facts.chain,
        head_seq=head,
    )


def test_a_tool_call_and_its_result_stay_on_one_side_of_the_cut() -> None:
    call = Message("assistant", "", (ToolCall("c1", "look", "{}"),))
    result = Message("tool", "found", tool_call_id="c1")
    messages = [Message("user", "a"), Message("user", "b"), call, result, Message("user", "c")]
    assert [find_cut(messages, recent) for recent in (1, 2, 3)] == [4, 2, 2]


async def test_a_custom_prompt_is_used() -> None:
    prompts: list[str] = []

    async def summarize(prompt: str, _messages: Sequence[Message], _most: int) -> str:
        prompts.append(prompt)
        await trio.lowlevel.checkpoint()
        return "short"

    settings = CompactionSettings(preserve_recent=1)
    compactor = SessionCompactor(settings, len, summarize=summarize, report=lambda _: None)
    context = ContextView(messages=(Message("user", "a"),) * 5, tokens=(10,) * 5, budget=50)
    done = await compactor.compact_with_custom_prompt(context, "Only what concerns tea.")
    assert prompts == ["Only what concerns tea."]
    assert done.context.summary == "short"


def test_a_compaction_that_saves_nothing_does_not_run_for_ever() -> None:
    attempts, retries = 0, Retries()
    for newest in range(1, 1001):
        if retries.allowed(newest):
            attempts += 1
            retries = retries.after(newest, progress=False)
    assert attempts < 1000 / 16 + 10


@pytest.mark.parametrize("peer", ["a:b", "%3A", "a%b:c", ":", "::"])
async def test_a_colon_in_a_peer_id_breaks_nothing(db: Path, peer: str) -> None:
    session = SessionID("echo", "app", peer)
    async with open_manager(at(db)) as manager:
        await manager.add_message(session, Message("user", "hello"))
    async with open_manager(at(db)) as manager:
        (info,) = await manager.list(SessionFilter(peer_id=peer))
        assert SessionID.parse(info.id) == session
        assert await manager.get_messages(SessionID.parse(info.id)) == (Message("user", "hello"),)


async def test_every_stored_session_counts_is_listed_and_grows_old_not_only_those_in_memory(
    db: Path,
) -> None:
    """More than a thousand, none of them in memory: all are in the figures, and all are archived."""
    count = 1200
    store = SQLiteSessionStore(db)
    rows = [
        SessionFacts(
            id=SessionID("echo", "app", f"p{n}"), tag="t", created_at=1, updated_at=1, last_active_at=1
        )
        for n in range(count)
    ]
    store.commit([Append(facts, 0) for facts in rows])
    hooks, heard = HookManager(), Heard()
    hooks.register(heard)
    clocks = ClockSettings(idle_after=0, suspend_after=0, archive_after=60, delete_after=0, interval=1)
    agent = find_agent("none")
    async with open_core(store, agent, Limits(), lambda _: None, clocks=clocks, hooks=hooks) as core:
        manager = SessionManager(core)
        stats = await manager.stats()
        assert (stats.total_sessions, stats.active_sessions, stats.live_actors) == (
            count,
            count,
            stats.live_actors,
        )
        assert len(await manager.list()) == count
        with trio.fail_after(60):
            while len(heard.endings) < count:  # noqa: ASYNC110 - the clocks work in their own time
                await trio.sleep(0.05)
        assert (await manager.stats()).archived_sessions == count
        assert {ending.session for ending in heard.endings} == {facts.id for facts in rows}


async def test_recovery_has_no_cap(db: Path) -> None:
    """Each of more than a thousand sessions with a waiting message is answered after a restart."""
    count = 1100
    store = SQLiteSessionStore(db)
    appends = [
        Append(
            SessionFacts(
                id=SessionID("echo", "app", f"p{n}"),
                tag="t",
                created_at=1,
                updated_at=1,
                last_active_at=1,
                head_seq=1,
                pending=(1,),
                message_count=1,
            ),
            0,
            (Entry(1, 1, 1, Message("user", "hello"), client_id="c"),),
        )
        for n in range(count)
    ]
    store.commit(appends)
    async with open_manager(
        Config(limits=Limits(live_sessions=200), cleanup=Cleanup(enabled=False)), store=store
    ) as manager:
        with trio.fail_after(60):
            assert await manager.recover() == count
            while store.unfinished(0, 1):  # noqa: ASYNC110 - turns end in their own time
                await trio.sleep(0.05)
        assert (await manager.stats()).total_messages == 2 * count


async def test_stopping_twice_is_stopping_once(db: Path) -> None:
    async with open_manager(at(db)) as manager, trio.open_nursery() as nursery:
        await manager.add_message(ADA, Message("user", "hello"))
        nursery.start_soon(manager.stop)
        nursery.start_soon(manager.stop)
        await manager.stop()
        await manager.stop()
    await manager.stop()


class Heard:
    def __init__(self) -> None:
        self.endings: list[Ending] = []

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        assert ending.reason is reason
        self.endings.append(ending)


class Hangs:
    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        del ending, reason
        await trio.sleep_forever()


@on_mock_time
async def test_a_hook_that_hangs_holds_up_neither_sessions_nor_other_hooks() -> None:
    hooks, heard = HookManager(), Heard()
    hooks.register(Hangs())
    hooks.register(heard)
    store = InMemorySessionStore()
    async with open_core(store, find_agent("none"), Limits(), lambda _: None, hooks=hooks) as core:
        manager = SessionManager(core)
        await manager.add_message(ADA, Message("user", "hello"))
        began = trio.current_time()
        await manager.reset(ADA)
        await manager.add_message(ADA, Message("user", "again"))
        assert trio.current_time() == began  # no time has passed, and the hook has had none of its own
        await manager.delete(ADA)
        assert trio.current_time() == began + 2 * HOOK_SECONDS
        assert [ending.reason for ending in heard.endings] == [EndReason.RESET, EndReason.DELETE]


async def test_both_stores_list_alike(db: Path) -> None:
    stores: tuple[SessionStore, SessionStore] = (InMemorySessionStore(), SQLiteSessionStore(db))
    listed: list[list[tuple[str, str, int]]] = []
    for store in stores:
        moments = iter(range(1, 1000))
        wall = partial(lambda ticks: 1_000_000 * (next(ticks) // 4), moments)
        async with open_core(store, find_agent("none"), Limits(), lambda _: None, wall=wall) as core:
            manager = SessionManager(core)
            for name in ("b", "a", "é", "B", "a:b", "z"):
                await manager.add_message(SessionID("echo", "app", name), Message("user", name))
            await manager.archive(SessionID("echo", "app", "z"))
            rows = [
                *await manager.list(),
                *await manager.list(SessionFilter(state=SessionState.ARCHIVED)),
                *await manager.list(SessionFilter(limit=2, offset=1)),
            ]
            listed.append([(info.id, info.state, info.message_count) for info in rows])
    assert listed[0] == listed[1]
    assert len(listed[0]) == 9
