"""A host listens to a session: in order, from where it likes, and told when it is too slow."""

from pathlib import Path

import pytest
import trio
import trio.testing
from greenroom.actors.commands import Snapshot
from greenroom.actors.conversation import epoch_string
from greenroom.actors.events import Event, StateChanged, TurnDelta
from greenroom.persistence.records import Entry, Message, SessionEnded
from greenroom.runtime.attachment import OVERHEAD, Attachment, SlowHostError
from greenroom.runtime.manager import SessionManager

from .managing import ADA, Opened, on_file, opener
from .serving import Gated


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return opener(":memory:") if request.param == "memory" else on_file(tmp_path)


def kind(event: Event) -> str:
    data = event.data
    return type(data.body if isinstance(data, Entry) else data).__name__


async def taken(attachment: Attachment, count: int) -> list[Event]:
    events: list[Event] = []
    with trio.fail_after(10):
        while len(events) < count:
            events.append(await anext(attachment))
    return events


async def drain_into(seqs: list[int], attachment: Attachment) -> None:
    async for event in attachment:
        assert isinstance(event.data, Entry)
        seqs.append(event.data.seq)


async def test_a_host_hears_a_turn_as_it_happens(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            assert (attachment.attached.facts.id, attachment.attached.queue) == (ADA, ())
            await session.send("hello big world", wait="done")
            events = await taken(attachment, 7)
        assert [kind(event) for event in events] == [
            *["Message", "TurnStarted", "TurnDelta", "TurnDelta", "TurnDelta", "Message", "TurnFinished"]
        ]
        assert [event.data.seq for event in events if isinstance(event.data, Entry)] == [1, 2, 3]
        said = [event.data.text for event in events if isinstance(event.data, TurnDelta)]
        assert said == ["hello ", "big ", "world"]


async def test_p23_a_host_goes_on_after_the_last_event_it_has(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            await session.add_message(Message("user", "one"))
            (last,) = await taken(attachment, 1)
        await session.add_message(Message("user", "two"))
        assert isinstance(last.data, Entry)
        async with session.attach((last.epoch, last.data.seq)) as attachment:
            backlog = attachment.attached.backlog
            assert isinstance(backlog, tuple)
            assert [entry.seq for entry in backlog] == [2]
            await session.add_message(Message("user", "three"))
            assert [
                event.data.seq for event in await taken(attachment, 1) if isinstance(event.data, Entry)
            ] == [3]
        async with session.attach(("7-other", 1)) as attachment:
            assert isinstance(attachment.attached.backlog, Snapshot)


async def test_who_attaches_in_the_middle_of_a_turn_gets_all_its_text(opened: Opened) -> None:
    gated = Gated()
    async with opened(gated.agent) as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as first:
            await session.send("a b", client_id="1")
            gated.let()
            events = await taken(first, 3)
            assert [kind(event) for event in events] == ["Message", "TurnStarted", "TurnDelta"]
            async with session.attach() as second:
                turn = second.attached.turn
                assert turn is not None
                assert (turn.text, turn.offset) == ("a ", 2)
                gated.let()
                (delta,) = await taken(second, 1)
                assert isinstance(delta.data, TurnDelta)
                assert (delta.data.offset, delta.data.text) == (2, "b ")


async def test_a_host_hears_the_end_of_a_conversation_and_its_deletion(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            await session.archive()
            archived = await taken(attachment, 2)
            assert [kind(event) for event in archived] == ["SessionEnded", "StateChanged"]
            assert isinstance(archived[1].data, StateChanged)
            await session.delete()
            (gone,) = await taken(attachment, 1)
            assert isinstance(gone.data, SessionEnded)
            assert gone.data.reason == "delete"


async def test_p15_a_slow_host_gets_what_waited_for_it_without_a_gap_and_then_a_named_error(
    opened: Opened,
) -> None:
    async with opened(outbound_bytes=10 * (OVERHEAD + 100)) as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            for _ in range(30):
                await session.add_message(Message("user", "x" * 100))
            seqs: list[int] = []
            with pytest.raises(SlowHostError, match="expected at most 3560 characters of events") as caught:
                await drain_into(seqs, attachment)
            assert (caught.value.name, caught.value.retryable) == ("slow_consumer", True)
            assert seqs == list(range(1, 11))
            with pytest.raises(SlowHostError):
                await anext(attachment)
        async with session.attach((epoch_string(attachment.attached.facts), seqs[-1])) as again:
            backlog = again.attached.backlog
            assert isinstance(backlog, tuple)
            assert [entry.seq for entry in backlog] == list(range(11, 31))


async def test_a_host_that_reads_is_not_too_slow_for_any_number_of_events(opened: Opened) -> None:
    async with opened(outbound_bytes=5000) as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            for number in range(100):
                await session.add_message(Message("user", "x" * 4000))
                (event,) = await taken(attachment, 1)
                assert isinstance(event.data, Entry)
                assert event.data.seq == number + 1


async def test_after_the_block_nothing_is_listened_to(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        async with session.attach() as attachment:
            await session.add_message(Message("user", "one"))
        await session.add_message(Message("user", "two"))
        assert len([event async for event in attachment]) == 1
        assert manager._core.topics._subscribers == {}


async def test_a_host_that_gives_up_while_it_attaches_leaves_nothing_behind(opened: Opened) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        with trio.CancelScope() as scope:
            scope.cancel()
            async with session.attach():
                pass
        assert scope.cancelled_caught
        await manager.facts(ADA)
        assert manager._core.topics._subscribers == {}


async def listen(manager: SessionManager, heard: list[str], task_status: trio.TaskStatus[None]) -> None:
    async with manager.attach(ADA) as attachment:
        task_status.started()
        heard.extend([kind(event) async for event in attachment])


async def test_stop_ends_the_loop_of_a_listening_host_after_the_last_event(opened: Opened) -> None:
    heard: list[str] = []
    gated = Gated()
    async with opened(gated.agent) as manager, trio.open_nursery() as nursery:
        await manager.get_or_create(ADA)
        await nursery.start(listen, manager, heard)
        await manager.send(ADA, "a b")
        gated.let()
        with trio.fail_after(10):
            await manager.stop()
    assert heard == ["Message", "TurnStarted", "TurnDelta", "Message", "TurnFinished", "QueueChanged"]


async def talk_and_leave(opened: Opened, listeners: trio.Nursery, heard: list[str]) -> None:
    async with opened(Gated().agent) as manager:
        await manager.get_or_create(ADA)
        await listeners.start(listen, manager, heard)
        await manager.send(ADA, "a b")


async def test_a_host_that_listens_beyond_the_manager_hears_its_end(opened: Opened) -> None:
    heard: list[str] = []
    with trio.fail_after(10):
        async with trio.open_nursery() as listeners:
            await talk_and_leave(opened, listeners, heard)
    assert heard == ["Message", "TurnStarted", "TurnFinished", "QueueChanged"]
