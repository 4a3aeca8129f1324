"""Messages that are never refused for want of room, before all other mail or in their turn."""

from collections.abc import Callable

import pytest
import trio
from greenroom.actors import Actor, ActorRef, open_supervisor
from greenroom.actors.errors import ActorQuarantinedError, ActorStoppedError, MailboxFullError
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Get,
    Increment,
    Log,
    Make,
    Message,
    Note,
    Player,
    Reports,
    Stage,
    Wait,
)

MAKES = pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
Send = Callable[[ActorRef[Message], Message], None]
SENDS = pytest.mark.parametrize("send", [ActorRef.tell_control, ActorRef.tell_surely])


@MAKES
async def test_control_messages_go_before_all_ordinary_mail_in_the_order_they_were_sent(make: Make) -> None:
    async with open_supervisor() as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make)
        actor.tell_control(Note("control 1"))  # to an idle actor
        actor.tell(Note("mail 1"))
        actor.tell_control(Note("control 2"))
        actor.tell_surely(Note("mail 2"))
        actor.tell_control(Note("control 3"))
        assert actor.depth == 5
        order = ["control 1", "control 2", "control 3", "mail 1", "mail 2"]
        assert await actor.ask(Log()) == order


async def test_a_control_message_comes_next_after_the_message_in_hand() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        player.tell(Wait("gate"))
        player.tell(Note("mail"))
        await wait_all_tasks_blocked()
        player.tell_control(Note("control"))
        stage.gate("gate").set()
        assert await player.ask(Log()) == ["control", "mail"]


async def test_a_plain_actor_that_sends_itself_a_control_message_has_it_before_its_mail() -> None:
    seen: list[str] = []

    class Steering(Actor[str]):
        def receive(self, message: str) -> None:
            seen.append(message)
            if message == "first":
                self.ref.tell_control("control")

    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Steering)
        for message in ("first", "second", "third"):
            actor.tell(message)
        await wait_all_tasks_blocked()
        assert seen == ["first", "control", "second", "third"]


async def test_an_ask_does_not_overtake_a_control_message() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        actor.tell_control(Increment())
        assert await actor.ask(Get()) == 1  # not in the asker's own step, as of an idle actor


@SENDS
async def test_neither_is_refused_for_want_of_room(send: Send) -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=1)
        actor.tell(Increment())
        for _ in range(10):
            send(actor, Increment())
        assert (actor.depth, actor.peak) == (11, 11)
        with pytest.raises(MailboxFullError):
            actor.tell(Increment())
        await wait_all_tasks_blocked()
        assert await actor.ask(Get()) == 11
        assert not supervisor.dead_letters


async def test_a_sure_message_is_handled_in_its_turn() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=2)
        for text in ("1", "2"):
            actor.tell(Note(text))
        for text in ("3", "4"):
            actor.tell_surely(Note(text))
        await wait_all_tasks_blocked()
        actor.tell_surely(Note("5"))  # to an idle actor
        assert await actor.ask(Log()) == ["1", "2", "3", "4", "5"]


@SENDS
async def test_an_actor_that_has_ended_or_rests_refuses_both_and_keeps_nothing_of_them(
    send: Send,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad, gone = await supervisor.spawn(Counter), await supervisor.spawn(Counter)
        bad.tell(Break())
        await gone.stop()
        await trio.sleep(1)
        with pytest.raises(ActorQuarantinedError) as caught:
            send(bad, Increment())
        assert caught.value.retry_after is not None
        with pytest.raises(ActorStoppedError):
            send(gone, Increment())
        assert [letter.message for letter in supervisor.dead_letters] == [Break()]


async def test_control_messages_wait_before_the_mail_for_the_next_instance(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        actor.tell(Break())
        actor.tell(Note("mail"))
        await wait_all_tasks_blocked()
        assert (actor.depth, actor.is_alive) == (1, True)
        actor.tell_surely(Note("sure"))
        actor.tell_control(Note("control 1"))
        actor.tell_control(Note("control 2"))
        assert await actor.ask(Log()) == ["control 1", "control 2", "mail", "sure"]


async def test_control_messages_that_are_not_handled_are_dead_letters_as_they_were_sent(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        actor.tell_control(Break())
        actor.tell_control(Get())  # a question that nobody waits for
        assert await actor.ask(Get()) == 0
        actor.tell_control(Note("waits"))
        await actor.stop()
        letters = [(letter.message, letter.fate) for letter in supervisor.dead_letters]
        assert letters == [(Break(), "poison"), (Note("waits"), "stopped")]


async def test_an_actor_is_busy_while_mail_waits_or_is_in_hand_or_it_is_started_or_stopped(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    stage = Stage()
    async with open_supervisor(report=Reports()) as supervisor:
        player = supervisor.spawn_soon(Player, stage)
        assert player.is_busy  # is being started
        await wait_all_tasks_blocked()
        assert not player.is_busy
        player.tell(Wait("gate"))
        assert player.is_busy  # has mail
        await wait_all_tasks_blocked()
        assert (player.depth, player.is_busy) == (0, True)  # has it in hand
        with trio.move_on_after(0):
            await player.stop()
        assert player.is_busy  # still
        stage.gate("gate").set()
        await player.watch()
        assert not player.is_busy
        counter = await supervisor.spawn(Counter)
        counter.tell(Break())
        await wait_all_tasks_blocked()
        assert counter.is_busy  # between two instances
        await trio.sleep(1)
        assert not counter.is_busy
