"""Asking: answers, cancellation at any point, and where the handler runs."""

import pytest
import trio
from greenroom.actors import Actor, ActorRef, Question, open_supervisor
from greenroom.actors.errors import ActorCrashedError, ActorStoppedError
from trio.testing import wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Get,
    Increment,
    Log,
    Make,
    Message,
    Player,
    Reports,
    Stage,
    Wait,
)


class Whose(Question["trio.lowlevel.Task"]):
    """Which task handles this."""


class Plain(Actor[Whose]):
    def receive(self, message: Whose) -> object:  # noqa: ARG002 - the only one
        return trio.lowlevel.current_task()


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_the_answer_is_what_receive_returns(make: Make) -> None:
    async with open_supervisor() as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make)
        actor.tell(Increment())
        assert await actor.ask(Get()) == 1
        assert await actor.ask(Log()) == []


async def test_an_idle_plain_actor_answers_in_the_step_of_whoever_asks() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Plain)
        assert await actor.ask(Whose()) is trio.lowlevel.current_task()


async def test_a_plain_actor_with_mail_answers_after_it() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        actor.tell(Increment())
        assert await actor.ask(Get()) == 1


async def test_a_task_that_only_asks_lets_others_run_at_least_every_thirty_two_asks(
    nursery: trio.Nursery,
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.lowlevel.checkpoint()
            ticks += 1

    async with open_supervisor() as supervisor:
        actors = [await supervisor.spawn(Counter) for _ in range(5)]
        nursery.start_soon(tick)
        for number in range(320):
            await actors[number % 5].ask(Get())
        assert ticks >= 5  # nine checkpoints; two steps of one task may follow each other
        nursery.cancel_scope.cancel()


async def test_a_task_that_only_asks_can_be_cancelled() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        with trio.move_on_after(0.001) as scope:
            while True:
                await actor.ask(Get())
        assert scope.cancelled_caught


async def test_the_message_of_a_cancelled_asker_is_handled_all_the_same() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        with trio.move_on_after(0):
            await player.ask(Wait("first"))
        stage.gate("first").set()
        assert await player.ask(Get()) == 0
        assert "player passed first" in stage.diary


async def test_a_late_answer_does_not_wake_an_asker_that_left() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        with trio.move_on_after(0):
            await player.ask(Wait("late"))
        stage.gate("late").set()
        with trio.move_on_after(0.01) as scope:
            await trio.sleep_forever()  # a stray wake-up would end this with an error of Trio's own
        assert scope.cancelled_caught


async def test_an_asker_cancelled_in_the_step_of_its_answer_loses_nothing_of_the_actor(
    nursery: trio.Nursery,
) -> None:
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, Stage())
        for _ in range(50):
            scope = trio.CancelScope()

            async def ask(scope: trio.CancelScope = scope) -> None:
                with scope:
                    await player.ask(Get())

            nursery.start_soon(ask)
            await trio.lowlevel.checkpoint()
            scope.cancel()
        assert await player.ask(Get()) == 0


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_the_asker_of_a_message_that_crashes_the_actor_is_told_what_was_raised(make: Make) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make, name="weak")
        with pytest.raises(
            ActorCrashedError, match="actor weak: expected an answer, met ValueError"
        ) as caught:
            await actor.ask(Break("secret"))
        assert isinstance(caught.value.__cause__, ValueError)
        assert "secret" not in str(caught.value)


async def test_every_ask_is_answered_when_its_actor_ends(nursery: trio.Nursery) -> None:
    stage, ends = Stage(), list[str]()

    async def ask(actor: ActorRef[Message], question: Question[object]) -> None:
        try:
            await actor.ask(question)
        except ActorStoppedError as exc:
            ends.append(str(exc))

    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage, name="last", stop_within=0.0)
        for question in (Wait("never"), Get(), Log()):
            nursery.start_soon(ask, player, question)
            await wait_all_tasks_blocked()
        await player.stop()
        await wait_all_tasks_blocked()
    waited = "actor last: expected a live actor, met one that has ended"
    assert ends == [waited, waited, "actor last: expected an answer, met the actor's end"]


async def test_no_cancellation_comes_between_the_mailbox_and_the_hand() -> None:
    done: list[int] = []

    class Stepper(Actor[int]):
        async def receive(self, message: int) -> None:
            await trio.lowlevel.checkpoint()
            done.append(message)

    for rounds in range(30):  # the stop comes at another point of the work each time
        done.clear()
        async with open_supervisor() as supervisor:
            actor = await supervisor.spawn(Stepper, stop_within=0.0)
            for number in range(10):
                actor.tell(number)
            for _ in range(rounds):
                await trio.lowlevel.checkpoint()
            await actor.stop()
            left = [letter.message for letter in supervisor.dead_letters]
            assert sorted([*done, *left]) == list(range(10))


async def test_an_ask_that_let_others_run_first_stands_behind_what_they_sent(nursery: trio.Nursery) -> None:
    told = 0
    overtaken: list[int] = []
    asker = trio.lowlevel.current_task()

    class Behind(Actor[Increment | Get]):
        def __init__(self) -> None:
            self.n = 0

        def receive(self, message: Increment | Get) -> int:
            self.n += isinstance(message, Increment)
            if trio.lowlevel.current_task() is asker:
                overtaken.append(told - self.n)
            return self.n

    async def tell() -> None:
        nonlocal told
        while True:
            actor.tell(Increment())
            told += 1
            await trio.lowlevel.checkpoint()

    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Behind)
        nursery.start_soon(tell)
        for _ in range(200):
            actor._cell.line.asks_left = 0  # the share is used up: this ask begins with a checkpoint
            await actor.ask(Get())
        assert set(overtaken) == {0}
        nursery.cancel_scope.cancel()
