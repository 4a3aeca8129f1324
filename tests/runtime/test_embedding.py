"""A host may register its hooks after it has opened the runtime; no end is lost to them by that."""

from pathlib import Path

import pytest
import trio
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.records import EndReason, Message
from greenroom.runtime.embedding import REGISTRATION

from .managing import ADA, BOB, Ears, on_file, opener

HELLO = Message("user", "hello")


async def test_a_hook_that_is_registered_after_the_first_ends_is_told_of_them() -> None:
    ears = Ears()
    async with opener(":memory:")() as manager:
        await manager.add_message(ADA, HELLO)
        await manager.reset(ADA)
        await manager.archive(ADA)
        manager.register_hook(ears)
        await manager.add_message(BOB, HELLO)
        await manager.delete(BOB)
    assert ears.reasons == [EndReason.RESET, EndReason.ARCHIVE, EndReason.DELETE]
    assert ears.heard[0].messages == (HELLO,)


async def test_a_stop_waits_for_no_end_that_is_kept_for_a_hook_and_the_next_start_tells_it(
    tmp_path: Path,
) -> None:
    ears, patient = Ears(), 3 * REGISTRATION
    async with on_file(tmp_path)(drain=patient) as manager:
        await manager.add_message(ADA, HELLO)
        await manager.archive(ADA)
        with trio.fail_after(REGISTRATION / 2):
            await manager.stop()
    async with on_file(tmp_path)(drain=patient) as manager:
        manager.register_hook(ears)
    assert ears.reasons == [EndReason.ARCHIVE]


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_deletion_waits_for_the_hooks_that_there_are_and_keeps_no_copy_for_later_ones(
    tmp_path: Path,
    is_late: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    ears = Ears()
    async with on_file(tmp_path)(hooks=[] if is_late else [ears]) as manager:
        await manager.add_message(ADA, HELLO)
        await manager.delete(ADA)
        store = SQLiteSessionStore(tmp_path / "greenroom.db", readonly=True)
        assert list(store.endings(0, 9)) == []
        store.close()
        manager.register_hook(Ears())
    assert ears.reasons == ([] if is_late else [EndReason.DELETE])
