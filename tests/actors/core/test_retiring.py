"""Ending at the moment of emptiness: nothing that was accepted is lost."""

from typing import Any

import pytest
import trio
from greenroom.actors import Actor, ActorRef, open_supervisor
from greenroom.actors.actor_reports import ActorEnded
from greenroom.actors.errors import ActorQuarantinedError, ActorStoppedError
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import Break, Counter, Get, Increment, Make, Message, Player, Reports, Stage, Wait


async def test_an_empty_actor_ends_in_the_step_it_is_retired_in_and_its_name_is_free() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage, name="one")
        assert player.retire_when_empty()
        assert not player.is_alive
        assert supervisor.find("one") is None
        await supervisor.spawn(Counter, name="one")
        assert await player.watch() == ActorEnded("one", "retired")
        assert stage.diary == ["player started", "player stopped"]
        assert not player.retire_when_empty()


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_an_actor_with_mail_stays(make: Make) -> None:
    async with open_supervisor() as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make)
        actor.tell(Increment())
        assert not actor.retire_when_empty()
        assert await actor.ask(Get()) == 1


async def test_an_actor_with_a_message_in_hand_stays() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        player.tell(Wait("gate"))
        await wait_all_tasks_blocked()
        assert (player.depth, player.retire_when_empty()) == (0, False)
        stage.gate("gate").set()
        await wait_all_tasks_blocked()
        assert player.retire_when_empty()


async def test_an_actor_that_is_down_stays(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        actor.tell(Break())
        await wait_all_tasks_blocked()
        assert not actor.retire_when_empty()
        assert await actor.ask(Get()) == 0


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_an_actor_at_rest_ends_too_and_the_end_of_its_rest_changes_nothing(
    make: Make,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad: ActorRef[Message] = await supervisor.spawn(make, name="one")
        bad.tell(Break())
        await trio.sleep(1)
        with pytest.raises(ActorQuarantinedError):
            bad.tell(Increment())
        assert bad.retire_when_empty()
        assert (bad.is_alive, supervisor.find("one")) == (False, None)
        good: ActorRef[Message] = await supervisor.spawn(make, name="one")
        good.tell(Increment())
        assert await bad.watch() == ActorEnded("one", "retired")
        await trio.sleep(400)
        assert (bad.restarts, bad.is_alive, bad.retire_when_empty()) == (0, False, False)
        assert await good.ask(Get()) == 1
        assert supervisor.find("one") == good


async def test_an_actor_at_rest_that_still_says_goodbye_stays(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    class Polite(Counter):
        async def stopped(self) -> None:
            await trio.sleep(1)

    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad = await supervisor.spawn(Polite)
        bad.tell(Break())
        await wait_all_tasks_blocked()
        assert not bad.retire_when_empty()
        await trio.sleep(2)
        assert bad.retire_when_empty()


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("asks", [False, True])
async def test_from_its_own_handler_an_actor_retires_after_the_message_in_hand(
    *, waits: bool, asks: bool
) -> None:
    class Plain(Actor[Get]):
        def receive(self, message: Get) -> int:  # noqa: ARG002 - the only one
            return int(self.ref.retire_when_empty())

    class Waiting(Actor[Get]):
        async def receive(self, message: Get) -> int:  # noqa: ARG002 - the only one
            retires = self.ref.retire_when_empty()
            await trio.lowlevel.checkpoint()
            return int(retires)

    async with open_supervisor() as supervisor:
        kind: Any = Waiting if waits else Plain
        actor: ActorRef[Get] = await supervisor.spawn(kind)
        if asks:
            assert await actor.ask(Get()) == 1
        else:
            actor.tell(Get())
        assert (await actor.watch()).why == "retired"
        assert not supervisor.dead_letters


@pytest.mark.parametrize("waits", [False, True])
async def test_no_accepted_message_is_lost_to_a_retirement(nursery: trio.Nursery, *, waits: bool) -> None:
    handled: list[int] = []

    class Plain(Actor[int]):
        def receive(self, message: int) -> None:
            handled.append(message)

    class Waiting(Actor[int]):
        async def receive(self, message: int) -> None:
            await trio.lowlevel.checkpoint()
            handled.append(message)

    async with open_supervisor() as supervisor:
        kind: Any = Waiting if waits else Plain
        actor: ActorRef[int] = await supervisor.spawn(kind, mailbox=1000)
        retired = 0
        sent = 0

        async def send() -> None:
            nonlocal actor, sent
            for number in range(1000):
                try:
                    actor.tell(number)
                except ActorStoppedError:
                    supervisor.dead_letters.discard(next(iter(supervisor.dead_letters)))
                    actor = await supervisor.spawn(kind, mailbox=1000)
                    actor.tell(number)
                sent += 1
                for _ in range(number % 7):
                    await trio.lowlevel.checkpoint()

        async def retire() -> None:
            nonlocal retired
            while sent < 1000:
                retired += actor.retire_when_empty()
                await trio.lowlevel.checkpoint()

        nursery.start_soon(retire)
        await send()
        await wait_all_tasks_blocked()
        assert handled == list(range(1000))
        assert retired > 10
        assert not supervisor.dead_letters
