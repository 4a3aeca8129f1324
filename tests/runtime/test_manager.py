"""The runtime inside a host's own Trio program, on a real file and in memory."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio
from greenroom.actors.errors import BusyError, IdConflictError, SessionNotFoundError, ShuttingDownError
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import InMemorySessionStore
from greenroom.persistence.errors import StoreFormatError, StoreInUseError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionFilter, SessionState
from greenroom.runtime.agents import AgentNotFoundError
from greenroom.runtime.config import Config, Limits
from greenroom.runtime.embedding import open_manager
from greenroom.runtime.info import SessionManagerStats
from greenroom.runtime.manager import SessionManager

from .serving import ECHO, Gated

ADA = SessionID("echo", "app", "ada")
BOB = SessionID("echo", "app", "bob")
Opened = Callable[..., AbstractAsyncContextManager[SessionManager]]


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens a manager with these limits."""

    def open_one(agent: Agent = ECHO, **limits: float) -> AbstractAsyncContextManager[SessionManager]:
        config = Config(db=str(tmp_path / "greenroom.db"), limits=Limits(**({"drain": 0.2} | limits)))
        store = InMemorySessionStore() if request.param == "memory" else None
        return open_manager(config, agent=agent, store=store)

    return open_one


async def test_a_host_embeds_the_runtime_as_the_readme_says(opened: Opened) -> None:
    async with opened() as manager:
        await manager.add_message(ADA, Message("system", "Be brief."))
        ack = await manager.send(ADA, "hello", client_id="m1", wait="done")
        assert (ack.seq, ack.status, ack.stop_reason, ack.text) == (2, "done", "end_turn", "hello")
        expected = (Message("system", "Be brief."), Message("user", "hello"), Message("assistant", "hello"))
        assert await manager.get_messages(ADA) == expected


async def test_a_handle_speaks_for_its_session(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        assert session.id == ADA
        assert await session.messages() == ()
        assert await session.add_message(Message("user", "no turn begins")) == 1
        assert (await session.info()).message_count == 1
        assert await (await manager.get_or_create(ADA)).messages() == (Message("user", "no turn begins"),)


async def test_what_does_not_exist_is_not_found_and_not_created(opened: Opened) -> None:
    async with opened() as manager:
        for ask in (manager.get_messages, manager.info, manager.facts):
            with pytest.raises(SessionNotFoundError):
                await ask(ADA)
        assert await manager.list() == []


async def test_p5_the_client_id_decides_what_is_a_repeat(opened: Opened) -> None:
    async with opened() as manager:
        first = await manager.send(ADA, "hello", client_id="m1")
        again = await manager.send(ADA, "hello", client_id="m1", wait="done")
        assert (again.seq, again.duplicate, again.text) == (first.seq, True, "hello")
        with pytest.raises(IdConflictError):
            await manager.send(ADA, "bye", client_id="m1")
        assert (await manager.send(BOB, "bye", client_id="m1")).duplicate is False


@pytest.mark.parametrize("content", ["a\0b", "\ud800", "x\udfff"])
async def test_text_that_cannot_be_stored_is_a_value_error_and_stores_nothing(
    opened: Opened, content: str
) -> None:
    async with opened() as manager:
        with pytest.raises(ValueError, match="content: expected text"):
            await manager.send(ADA, content, client_id="1")
        with pytest.raises(ValueError, match="content: expected text"):
            await manager.add_message(ADA, Message("user", content))
        assert await manager.list() == []


async def test_sessions_are_listed_and_counted_with_all_that_was_delivered_before(opened: Opened) -> None:
    async with opened() as manager:
        for session in (ADA, BOB):
            await manager.send(session, "hello world", client_id="1", wait="done")
        assert [info.id for info in await manager.list()] == [str(BOB), str(ADA)]
        assert [info.id for info in await manager.list(SessionFilter(peer_id="ada"))] == [str(ADA)]
        assert await manager.list(SessionFilter(state=SessionState.ARCHIVED)) == []
        stats = await manager.stats()
        counted = SessionManagerStats(
            total_sessions=2,
            active_sessions=2,
            idle_sessions=0,
            archived_sessions=0,
            total_messages=4,
            total_tokens=8,
            live_actors=2,
            mailbox_depth=0,
            commits=stats.commits,
            appends=4,
        )
        assert stats == counted


async def test_a_long_conversation_is_read_whole(opened: Opened) -> None:
    async with opened(Agent("none", None), mailbox=5000) as manager, trio.open_nursery() as nursery:

        async def add(number: int) -> None:
            await manager.add_message(ADA, Message("user", str(number)))

        for number in range(2345):
            nursery.start_soon(add, number)
            if number % 100 == 99:
                await trio.testing.wait_all_tasks_blocked()
    async with opened(Agent("none", None)) as manager:
        with contextlib.suppress(SessionNotFoundError):  # memory has forgotten
            said = await manager.get_messages(ADA)
            assert sorted(int(message.content) for message in said) == list(range(2345))


async def test_a_turn_sees_the_conversation_before_it(opened: Opened) -> None:
    seen: list[tuple[str, ...]] = []

    async def agent(turn: Turn) -> None:
        seen.append(tuple(message.content for message in turn.context))
        await turn.say(f"answer {len(seen)}")

    async with opened(Agent("recording", agent)) as manager:
        for number in range(2):
            await manager.send(ADA, f"question {number}", client_id=str(number), wait="done")
    assert seen == [("question 0",), ("question 0", "answer 1", "question 1")]


async def test_reject_refuses_while_a_turn_runs_and_followup_queues(opened: Opened) -> None:
    gated = Gated()
    async with opened(gated.agent) as manager:
        assert (await manager.send(ADA, "one", client_id="1")).status == "accepted"
        with pytest.raises(BusyError):
            await manager.send(ADA, "two", client_id="2", mode="reject")
        assert (await manager.send(ADA, "two", client_id="2")).status == "queued"
        gated.let(2)
        assert (await manager.send(ADA, "two", client_id="2", wait="done")).text == "two "


async def test_p18_after_stop_nothing_more_is_taken_and_stopping_again_is_harmless(opened: Opened) -> None:
    async with opened() as manager:
        await manager.send(ADA, "hello", client_id="1", wait="done")
        await manager.stop()
        await manager.stop()
        with pytest.raises(ShuttingDownError):
            await manager.send(ADA, "late", client_id="2")
        with pytest.raises(ShuttingDownError):
            await manager.add_message(ADA, Message("user", "late"))


async def test_what_a_former_life_left_undone_is_done_by_the_next(tmp_path: Path) -> None:
    config = Config(db=str(tmp_path / "greenroom.db"), limits=Limits(drain=0.1, stop_grace=0.1))
    gated = Gated()
    async with open_manager(config, agent=gated.agent) as manager:
        for number in range(3):
            await manager.send(ADA, f"text {number}", client_id=str(number))
    async with open_manager(config, agent=ECHO) as manager:
        ack = await manager.send(ADA, "text 2", client_id="2", wait="done")
        assert (ack.duplicate, ack.text) == (True, "text 2")
        said = [message.content for message in await manager.get_messages(ADA)]
        assert said == ["text 0", "text 1", "text 2", "text 0", "text 1", "text 2"]


async def test_leaving_with_an_error_of_the_host_stores_what_was_acked(tmp_path: Path) -> None:
    config = Config(db=str(tmp_path / "greenroom.db"))
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with open_manager(config) as manager:
            await manager.send(ADA, "hello", client_id="1")
            raise ZeroDivisionError
    async with open_manager(config) as manager:
        assert (await manager.get_messages(ADA))[0].content == "hello"


async def test_a_database_that_cannot_serve_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    with pytest.raises(StoreFormatError):
        async with open_manager(Config(db=str(file))):
            pass
    assert file.read_text() == "notes"


async def test_p6_a_second_manager_on_one_file_is_refused(tmp_path: Path) -> None:
    config = Config(db=str(tmp_path / "greenroom.db"))
    async with open_manager(config) as manager:
        with pytest.raises(StoreInUseError):
            async with open_manager(config):
                pass
        assert (await manager.send(ADA, "hello", client_id="1")).seq == 1


async def test_an_agent_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(AgentNotFoundError):
        async with open_manager(Config(db=str(tmp_path / "greenroom.db"), agent="no_such:agent")):
            pass
    assert list(await trio.Path(tmp_path).iterdir()) == []
