"""What a handle reads and sets, and whose session an id means."""

from pathlib import Path

import pytest
import trio
from greenroom.actors.errors import ShuttingDownError, TooLargeError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionUpdated
from greenroom.runtime.config import Isolation
from greenroom.runtime.info import SessionMetadata

from .managing import ADA, BOB, Opened, on_file, opener
from .serving import Gated


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return opener(":memory:") if request.param == "memory" else on_file(tmp_path)


async def test_a_handle_reads_what_it_has_set(opened: Opened) -> None:
    async with opened(max_tokens=100) as manager:
        session = await manager.get_or_create(ADA)
        assert await session.metadata() == SessionMetadata(message_count=0, token_count=0, compaction_count=0)
        await session.set_title("Tea")
        await session.set_summary("They met.")
        await session.set_system_prompt("Be brief.")
        for tag in ("green", "hot", "green"):
            await session.add_tag(tag)
        await session.remove_tag("cold")
        await session.set_custom_data("cup", "blue")
        await session.set_custom_data("pot", "red")
        await session.add_message(Message("user", "hello world"))
        assert await session.metadata() == SessionMetadata(
            title="Tea",
            summary="They met.",
            tags=("green", "hot"),
            custom_data={"cup": "blue", "pot": "red"},
            message_count=1,
            token_count=2,
            compaction_count=0,
        )
        assert (await session.title(), await session.summary()) == ("Tea", "They met.")
        assert (await session.system_prompt(), await session.tags()) == ("Be brief.", ("green", "hot"))
        assert [await session.custom_data(key) for key in ("cup", "jug")] == ["blue", None]
        assert (await session.token_count(), await session.max_tokens()) == (2, 100)
        assert await session.token_usage_ratio() == 0.02


async def test_what_is_set_survives_the_process(tmp_path: Path) -> None:
    async with on_file(tmp_path)() as manager:
        await manager.get_or_create(ADA)
        await manager.update(ADA, title="Tea", tags=["b", "a"], custom_data={"k": "v"}, system_prompt="Sing.")
    async with on_file(tmp_path)() as manager:
        session = await manager.get(ADA)
        assert session is not None
        assert (await session.title(), await session.tags()) == ("Tea", ("b", "a"))
        assert (await session.custom_data("k"), await session.system_prompt()) == ("v", "Sing.")


async def test_an_update_that_changes_nothing_is_not_stored(opened: Opened) -> None:
    async with opened() as manager:
        await manager.get_or_create(ADA)
        await manager.update(ADA, title="Tea", tags=["green"])
        before = await manager.facts(ADA)
        await manager.update(ADA)
        await manager.update(ADA, title="Tea")
        await manager.update(ADA, tags=["green", "green"])
        assert await manager.facts(ADA) == before


async def test_updates_of_many_tasks_lose_nothing(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(session.add_tag, f"t{number}")
                nursery.start_soon(session.set_custom_data, f"k{number}", "v")
        assert set(await session.tags()) == {f"t{number}" for number in range(50)}
        assert len((await session.metadata()).custom_data) == 50


async def test_what_a_host_does_to_an_answer_changes_nothing(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        await session.set_custom_data("cup", "blue")
        (await session.metadata()).custom_data["cup"] = "red"
        assert await session.custom_data("cup") == "blue"


async def test_what_is_too_large_is_refused_and_nothing_of_it_stored(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        with pytest.raises(TooLargeError) as caught:
            await manager.update(ADA, title="kept out", tags=["x"] * 3 + [str(n) for n in range(100)])
        assert caught.value.field == "tags"
        await manager.update(ADA, tags=[str(n) for n in range(100)])
        with pytest.raises(TooLargeError):
            await session.add_tag("one more")
        with pytest.raises(TooLargeError):
            await session.set_custom_data("k", "x" * 65536)
        assert (await session.title(), len(await session.tags())) == ("", 100)
        with pytest.raises(TooLargeError):
            await session.send("x" * (256 * 1024 + 1))
        with pytest.raises(TooLargeError):
            await session.add_message(Message("user", "x" * (256 * 1024 + 1)))
        assert await session.messages() == ()


async def test_a_change_sees_what_the_change_before_it_left(opened: Opened) -> None:
    async with opened() as manager:
        await manager.get_or_create(ADA)
        for _ in range(3):
            await manager.change(ADA, lambda facts: SessionUpdated(title=facts.title + "x"))
        assert (await manager.info(ADA)).title == "xxx"


async def test_a_turn_is_cancelled_and_the_queue_emptied_from_the_host(opened: Opened) -> None:
    gated = Gated()
    async with opened(gated.agent) as manager:
        session = await manager.get_or_create(ADA)
        first = await session.send("a b", client_id="1")
        second = await session.send("later", client_id="2")
        gated.let()
        assert [message.seq for message in await manager.remove_queued(ADA)] == [second.seq]
        assert await manager.remove_queued(ADA) == ()
        assert await session.cancel("another") == ()
        assert await session.cancel(first.turn_id) == (first.turn_id,)
        assert await session.cancel() == ()
        ack = await session.send("later", client_id="2")
        assert (ack.status, ack.duplicate) == ("removed", True)


async def test_words_are_found_in_one_session_or_in_all(opened: Opened) -> None:
    async with opened() as manager:
        for session in (ADA, BOB):
            await manager.add_message(session, Message("user", f"hello {session.peer_id}"))
        assert [hit.session for hit in await manager.search("Hello")] == [BOB, ADA]
        assert [hit.session for hit in await manager.search("hello", session=ADA)] == [ADA]
        assert len(await manager.search("hello", limit=1)) == 1
        with pytest.raises(ValueError, match="query: expected text without NUL"):
            await manager.search("a\0b")


@pytest.mark.parametrize(
    ("isolation", "one", "other", "stored"),
    [
        (Isolation(by_peer=False), ("a", "b", "ada", "t"), ("a", "b", "bob", "t"), "a:b:*:t"),
        (Isolation(by_agent=False), ("a", "b", "c"), ("z", "b", "c"), "*:b:c"),
        (Isolation(by_channel=False), ("a", "b", "c"), ("a", "z", "c"), "a:*:c"),
        (Isolation(by_thread=False), ("a", "b", "c", "t"), ("a", "b", "c"), "a:b:c"),
    ],
)
async def test_ids_that_differ_where_nothing_is_isolated_are_one_session_by_every_verb(
    opened: Opened, isolation: Isolation, one: tuple[str, ...], other: tuple[str, ...], stored: str
) -> None:
    async with opened(isolation=isolation) as manager:
        here, there = SessionID(*one), SessionID(*other)
        await manager.add_message(here, Message("user", "hello"))
        session = await manager.get(there)
        assert session is not None
        assert str(session.id) == stored
        await session.set_title("Tea")
        assert [info.id for info in await manager.list()] == [stored]
        assert (await manager.info(here)).title == "Tea"
        assert len(await manager.get_messages(there)) == 1
        assert len(await manager.search("hello", session=there)) == 1
        async with manager.attach(there) as attachment:
            await manager.send(here, "hi", client_id="1")
            assert (await anext(attachment)).session == session.id
        assert (await manager.send(there, "hi", client_id="1")).duplicate
        await manager.delete(there)
        assert await manager.get(here) is None


async def test_after_stop_what_is_stored_can_still_be_read_and_nothing_changed(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        await session.set_title("Tea")
        await manager.stop()
        assert (await session.title(), await session.messages()) == ("Tea", ())
        with pytest.raises(ShuttingDownError):
            await session.set_title("Milk")
