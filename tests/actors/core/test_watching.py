"""Being told of an end: once, and why."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorEnded
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Finish,
    Get,
    Log,
    Make,
    Message,
    Note,
    Player,
    Reports,
    Stage,
)


async def test_watch_tells_of_the_end_and_why_and_at_once_if_it_was_before() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, name="brief")
        await actor.stop()
        assert await actor.watch() == ActorEnded("brief", "stopped")
        assert await actor.watch() == ActorEnded("brief", "stopped")


async def test_a_restart_is_no_end(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    told: list[ActorEnded] = []
    async with open_supervisor(report=Reports()) as supervisor, trio.open_nursery() as nursery:
        actor = await supervisor.spawn(Counter)

        async def watch() -> None:
            told.append(await actor.watch())

        nursery.start_soon(watch)
        actor.tell(Break())
        assert await actor.ask(Get()) == 0
        assert told == []
        await actor.stop()
    assert len(told) == 1


async def test_a_watcher_that_is_cancelled_leaves_nothing_behind() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        for _ in range(3):
            with trio.move_on_after(0):
                await actor.watch()
        assert actor._cell.watchers == []


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_an_actor_is_told_of_anothers_end_by_a_message_once(make: Make) -> None:
    async with open_supervisor() as supervisor:
        watched = await supervisor.spawn(Counter, name="watched")
        watcher: ActorRef[Message] = await supervisor.spawn(make)
        watched.tell_end_to(watcher)
        await watched.stop()
        assert await watcher.ask(Log()) == ["watched stopped"]
        watched.tell_end_to(watcher)
        assert await watcher.ask(Log()) == ["watched stopped", "watched stopped"]


async def test_the_notice_of_an_end_overtakes_mail_and_is_never_refused(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        watcher = await supervisor.spawn(Counter, mailbox=2)
        for n in range(3):
            watched = await supervisor.spawn(Counter, name=f"watched {n}", restart="transient")
            watched.tell_end_to(watcher)
            watched.tell(Finish())
        watcher.tell(Note("first"))
        watcher.tell(Note("second"))
        await wait_all_tasks_blocked()
        # The watcher had its two before they ended; what counts is a full mailbox of one that is down.
        watcher.tell(Break())
        await wait_all_tasks_blocked()
        watcher.tell(Note("third"))
        watcher.tell(Note("fourth"))
        for n in range(2):
            watched = await supervisor.spawn(Counter, name=f"late {n}")
            watched.tell_end_to(watcher)
            await watched.stop()
        assert watcher.depth == 4
        await trio.sleep(0.1)
        assert await watcher.ask(Log()) == ["late 0 stopped", "late 1 stopped", "third", "fourth"]


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_notices_and_control_messages_come_in_the_order_they_were_sent(make: Make) -> None:
    async with open_supervisor() as supervisor:
        watcher: ActorRef[Message] = await supervisor.spawn(make)
        watched = [await supervisor.spawn(Counter, name=f"watched {n}") for n in range(2)]
        watcher.tell(Note("mail"))
        for actor in watched:
            actor.tell_end_to(watcher)
            watcher.tell_control(Note(f"before {actor.name}"))
            assert actor.retire_when_empty()  # in this very step
        watcher.tell_control(Note("last"))
        assert await watcher.ask(Log()) == [
            "before watched 0",
            "watched 0 retired",
            "before watched 1",
            "watched 1 retired",
            "last",
            "mail",
        ]


async def test_an_actor_that_has_ended_is_told_nothing() -> None:
    async with open_supervisor() as supervisor:
        watched, watcher = await supervisor.spawn(Counter), await supervisor.spawn(Counter)
        watched.tell_end_to(watcher)
        await watcher.stop()
        await watched.stop()
        assert not supervisor.dead_letters


async def test_a_watcher_at_rest_finds_the_notice_among_the_dead_letters(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        watched, watcher = await supervisor.spawn(Counter, name="watched"), await supervisor.spawn(Counter)
        watched.tell_end_to(watcher)
        watcher.tell(Break())
        await trio.sleep(1)
        await watched.stop()
        letter = list(supervisor.dead_letters)[-1]
        assert (letter.message, letter.fate) == (ActorEnded("watched", "stopped"), "refused")
        await trio.sleep(30)
        letter.replay()
        assert await watcher.ask(Log()) == ["watched stopped"]
