"""The verbs that end a conversation, and who is told."""

from pathlib import Path

import pytest
import trio
from greenroom.actors.commands import Expected
from greenroom.actors.errors import ConflictError, NotSupportedError, SessionNotFoundError
from greenroom.persistence.records import EndReason, Message, SessionFilter, SessionState
from greenroom.runtime.config import Cleanup
from greenroom.runtime.manager import SessionManager

from .managing import ADA, BOB, Ears, Opened, on_file, opener
from .serving import Gated

HELLO = Message("user", "hello")


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return opener(":memory:") if request.param == "memory" else on_file(tmp_path)


async def fill(manager: SessionManager) -> None:
    session = await manager.get_or_create(ADA)
    await session.set_title("Tea")
    await session.set_summary("They met.")
    await session.set_system_prompt("Be brief.")
    await session.add_tag("green")
    await session.set_custom_data("cup", "blue")
    await session.add_message(HELLO)


async def test_in_memory_nothing_is_kept_and_no_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        async with opener(":memory:")() as manager:
            assert await manager.get(ADA) is None
            await manager.add_message(ADA, HELLO)
            assert await manager.get_messages(ADA) == (HELLO,)
    assert list(await trio.Path(tmp_path).iterdir()) == []


async def test_a_new_session_keeps_what_the_host_set_and_drops_what_was_said_with_title_and_summary(
    opened: Opened,
) -> None:
    async with opened() as manager:
        await fill(manager)
        before = await manager.facts(ADA)
        session = await manager.new_session(ADA)
        assert (await session.title(), await session.summary(), await session.messages()) == ("", "", ())
        assert (await session.system_prompt(), await session.tags()) == ("Be brief.", ("green",))
        assert await session.custom_data("cup") == "blue"
        assert (await session.token_count(), await session.is_active()) == (0, True)
        after = await manager.facts(ADA)
        assert (after.epoch, after.tag) == (before.epoch + 1, before.tag)


async def test_a_reset_keeps_the_title_too_and_clear_is_a_reset(opened: Opened) -> None:
    async with opened(hooks=[ears := Ears()]) as manager:
        await fill(manager)
        session = await manager.get_or_create(ADA)
        await session.clear()
        assert (await session.title(), await session.summary(), await session.messages()) == ("Tea", "", ())
        await session.reset()
        await manager.delete(ADA)
    assert ears.reasons == [EndReason.RESET, EndReason.RESET, EndReason.DELETE]


async def test_an_archived_session_is_opened_again_by_a_message_with_its_history(opened: Opened) -> None:
    async with opened(hooks=[ears := Ears()]) as manager:
        await fill(manager)
        session = await manager.get_or_create(ADA)
        await session.archive()
        await session.archive()
        assert (await session.state(), await session.is_active()) == (SessionState.ARCHIVED, False)
        assert [info.id for info in await manager.list(SessionFilter(state=SessionState.ARCHIVED))] == [
            str(ADA)
        ]
        await session.send("again", wait="done")
        said = [message.content for message in await session.messages()]
        assert (said, await session.state()) == (["hello", "again", "again"], SessionState.ACTIVE)
        await session.delete()
    assert ears.reasons == [EndReason.ARCHIVE, EndReason.DELETE]


async def test_a_deleted_session_is_gone_and_a_new_one_of_its_name_is_another(opened: Opened) -> None:
    async with opened() as manager:
        await fill(manager)
        session = await manager.get_or_create(ADA)
        before = await manager.facts(ADA)
        await session.delete()
        assert await manager.get(ADA) is None
        assert (await manager.search("hello"), (await manager.stats()).total_sessions) == ([], 0)
        await manager.get_or_create(ADA)
        after = await manager.facts(ADA)
        assert (after.tag != before.tag, after.title, after.head_seq) == (True, "", 0)


async def test_delete_returns_when_every_hook_was_told_with_a_snapshot_from_before(opened: Opened) -> None:
    first, second = Ears(), Ears()
    async with opened(hooks=[first]) as manager:
        manager.register_hook(second)
        await fill(manager)
        await manager.delete(ADA)
        for ears in (first, second):
            (ending,) = ears.heard
            assert (ending.session, ending.facts.title, ending.messages) == (ADA, "Tea", (HELLO,))


async def test_an_end_waits_neither_for_the_answer_nor_for_the_queue(opened: Opened) -> None:
    gated = Gated()
    async with opened(gated.agent) as manager:
        await manager.send(ADA, "a b c", client_id="1")
        await manager.send(ADA, "later", client_id="2")
        gated.let()
        session = await manager.new_session(ADA)
        assert await session.messages() == ()
        gated.let(9)
        ack = await session.send("x", client_id="3", wait="done")
        assert (ack.stop_reason, ack.text) == ("end_turn", "x ")


async def test_what_does_not_stand_where_it_is_expected_is_left_alone(opened: Opened) -> None:
    async with opened(hooks=[ears := Ears()]) as manager:
        ack = await manager.send(ADA, "hello", client_id="1", wait="done")
        head = (await manager.facts(ADA)).head_seq
        for verb in (manager.new_session, manager.reset, manager.archive, manager.delete):
            with pytest.raises(ConflictError):
                await verb(ADA, Expected(seq=head - 1))
            with pytest.raises(ConflictError):
                await verb(ADA, Expected(epoch="9-other"))
        assert ears.heard == []
        await manager.delete(ADA, Expected(ack.epoch, head))
        assert ears.reasons == [EndReason.DELETE]


@pytest.mark.parametrize("state", SessionState)
async def test_a_state_is_set_only_as_the_table_allows(opened: Opened, state: SessionState) -> None:
    async with opened() as manager:
        session = await manager.get_or_create(ADA)
        if state in {SessionState.ACTIVE, SessionState.SUSPENDED}:
            with pytest.raises(ConflictError) as caught:
                await session.set_state(state)
            assert caught.value.field == "state"
            assert await session.state() is SessionState.ACTIVE
        else:
            await session.set_state(state)
            assert await session.state() is state


async def test_only_three_verbs_create_a_session(opened: Opened) -> None:
    async with opened() as manager:
        handle = await manager.get_or_create(ADA)
        await manager.delete(ADA)
        asked = [
            manager.cancel,
            manager.remove_queued,
            manager.get_messages,
            manager.compact,
            manager.new_session,
            manager.reset,
            manager.archive,
            manager.delete,
            manager.update,
            manager.info,
            manager.facts,
        ]
        for ask in asked:
            with pytest.raises(SessionNotFoundError, match="expected it to exist"):
                await ask(ADA)
        for read in (handle.state, handle.title, handle.metadata, handle.clear, handle.max_tokens):
            with pytest.raises(SessionNotFoundError):
                await read()
        with pytest.raises(SessionNotFoundError):
            await manager.search("hello", session=ADA)
        with pytest.raises(SessionNotFoundError):
            async with manager.attach(ADA):
                pass
        with pytest.raises(SessionNotFoundError):
            await manager.set_state(ADA, SessionState.IDLE)
        assert await manager.list() == []


async def test_compaction_is_not_there_yet_and_says_so(opened: Opened) -> None:
    async with opened() as manager:
        await manager.get_or_create(ADA)
        with pytest.raises(NotSupportedError) as caught:
            await manager.compact(ADA)
        assert caught.value.field == "compact"


async def test_an_end_that_no_hook_had_time_for_is_told_by_the_next_process(tmp_path: Path) -> None:
    class Slow:
        async def on_session_end(self, *_: object) -> None:
            await trio.sleep_forever()

    opened = on_file(tmp_path)
    async with opened(hooks=[Slow()]) as manager:
        await manager.add_message(ADA, HELLO)
        await manager.archive(ADA)
    async with opened(hooks=[ears := Ears()]) as manager:
        await manager.get_or_create(BOB)
        await manager.delete(BOB)  # told behind those that were there before
    assert ears.reasons == [EndReason.ARCHIVE, EndReason.DELETE]
    assert ears.heard[0].messages == (HELLO,)


async def test_silence_archives_a_session_and_it_is_told_as_a_timeout(tmp_path: Path) -> None:
    class Told(Ears):
        def __init__(self) -> None:
            super().__init__()
            self.now = trio.Event()

        async def on_session_end(self, ending: object, reason: EndReason) -> None:
            await super().on_session_end(ending, reason)
            self.now.set()

    told = Told()
    cleanup = Cleanup(archive_after=0.05, interval=0.02)
    async with on_file(tmp_path)(hooks=[told], cleanup=cleanup) as manager:
        await manager.add_message(ADA, HELLO)
        with trio.fail_after(10):
            await told.now.wait()
        assert (await manager.facts(ADA)).state is SessionState.ARCHIVED
    assert told.reasons == [EndReason.TIMEOUT]


async def test_recover_counts_what_was_started_and_answers_the_same_again(tmp_path: Path) -> None:
    opened, gated = on_file(tmp_path), Gated()
    async with opened(gated.agent, drain=0.01, stop_grace=0.01) as manager:
        assert await manager.recover() == 0
        for session in (ADA, BOB):
            await manager.send(session, "hello", client_id="1")
    async with opened() as manager:
        assert [await manager.recover(), await manager.recover()] == [2, 2]
        assert (await manager.send(ADA, "hello", client_id="1", wait="done")).text == "hello"
