"""Sending: order, bounds, what is refused, and whose turn it is."""

from typing import Any

import pytest
import trio
from greenroom.actors import Actor, ActorRef, open_supervisor
from greenroom.actors.errors import ActorStoppedError, BusyError, MailboxClosedError, MailboxFullError
from trio.testing import wait_all_tasks_blocked

from tests.actors.core.cast import Counter, Get, Increment, Log, Make, Message, Note, Player, Stage, Wait


async def test_an_actor_handles_one_message_at_a_time(nursery: trio.Nursery) -> None:
    stage, answers = Stage(), list[str]()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)  # asserts it by itself

        async def ask(gate: str) -> None:
            answers.append(await player.ask(Wait(gate)))

        for gate in "ab":
            nursery.start_soon(ask, gate)
            await wait_all_tasks_blocked()
        stage.gate("b").set()
        await wait_all_tasks_blocked()
        assert answers == []
        stage.gate("a").set()
        await wait_all_tasks_blocked()
        assert answers == ["a", "b"]


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_tells_and_asks_of_one_sender_are_handled_in_the_order_sent(make: Make) -> None:
    async with open_supervisor() as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make)
        for number in range(100):
            actor.tell(Note(str(number)))
            if number % 7 == 0:
                assert (await actor.ask(Log()))[-1] == str(number)
        assert await actor.ask(Log()) == [str(number) for number in range(100)]


async def test_tell_runs_nothing_of_the_actor() -> None:
    seen: list[object] = []

    class Seeing(Actor[Increment]):
        def receive(self, message: Increment) -> None:
            seen.append(message)

    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Seeing)
        actor.tell(Increment())
        assert seen == []
        await wait_all_tasks_blocked()
        assert seen == [Increment()]


async def test_a_full_mailbox_refuses_at_once_and_says_when_to_come_back() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, name="small", mailbox=2)
        actor.tell(Increment())
        actor.tell(Increment())
        with pytest.raises(MailboxFullError, match="actor small: expected at most 2 waiting") as caught:
            actor.tell(Increment())
        assert isinstance(caught.value, BusyError)
        assert (caught.value.retryable, caught.value.retry_after) == (True, 0.1)
        with pytest.raises(MailboxFullError):
            await actor.ask(Get())
        await wait_all_tasks_blocked()
        assert await actor.ask(Get()) == 2
        assert not supervisor.dead_letters


async def test_offer_says_whether_a_message_was_accepted() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=1)
        assert (actor.offer(Increment()), actor.offer(Increment())) == (True, False)
        await actor.stop()
        assert not actor.offer(Increment())
        assert [letter.fate for letter in supervisor.dead_letters] == ["stopped"]  # the accepted one


async def test_depth_is_what_waits_and_peak_the_most_that_ever_did() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter)
        assert (actor.depth, actor.peak) == (0, 0)
        for _ in range(5):
            actor.tell(Increment())
        assert (actor.depth, actor.peak) == (5, 5)
        await wait_all_tasks_blocked()
        actor.tell(Increment())
        assert (actor.depth, actor.peak) == (1, 5)
        await wait_all_tasks_blocked()
        assert (actor.depth, actor.peak) == (0, 5)


@pytest.mark.parametrize("make", [Counter, lambda: Player(Stage())])
async def test_an_ended_actor_refuses_and_the_message_is_a_dead_letter(make: Make) -> None:
    async with open_supervisor() as supervisor:
        actor: ActorRef[Message] = await supervisor.spawn(make, name="gone")
        await actor.stop()
        with pytest.raises(ActorStoppedError, match="actor gone: expected a live actor") as caught:
            actor.tell(Increment())
        assert isinstance(caught.value, MailboxClosedError)
        with pytest.raises(ActorStoppedError):
            await actor.ask(Get())
        letters = [(letter.actor, letter.message, letter.fate) for letter in supervisor.dead_letters]
        assert letters == [("gone", Increment(), "stopped"), ("gone", Get(), "stopped")]


async def test_an_actor_may_send_to_itself_and_to_others_from_its_handler() -> None:
    class Doubler(Actor[int]):
        def __init__(self, log: list[int]) -> None:
            self.log = log

        def receive(self, message: int) -> None:
            self.log.append(message)
            if message < 100:
                self.ref.tell(2 * message)

    async with open_supervisor() as supervisor:
        log: list[int] = []
        actor = await supervisor.spawn(Doubler, log)
        actor.tell(30)
        await wait_all_tasks_blocked()
        assert log == [30, 60, 120]


async def test_a_handler_that_waits_holds_up_its_own_actor_only() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        waiting = [await supervisor.spawn(Player, stage) for _ in range(20)]
        for actor in waiting:
            actor.tell(Wait("all"))
        await wait_all_tasks_blocked()
        counter, player = await supervisor.spawn(Counter), await supervisor.spawn(Player, stage)
        counter.tell(Increment())
        assert await counter.ask(Get()) == 1
        assert await player.ask(Get()) == 0
        stage.gate("all").set()
        await wait_all_tasks_blocked()
        assert stage.diary.count("player passed all") == 20


@pytest.mark.parametrize("waits", [False, True])
async def test_one_flooded_actor_gives_way_after_sixty_four_messages(*, waits: bool) -> None:
    order: list[str] = []

    class Plain(Actor[str]):
        def receive(self, message: str) -> None:
            order.append(message)

    class Waiting(Actor[str]):
        async def receive(self, message: str) -> None:
            order.append(message)

    async with open_supervisor() as supervisor:
        kind: Any = Waiting if waits else Plain
        flooded, other = await supervisor.spawn(kind), await supervisor.spawn(kind)
        for _ in range(200):
            flooded.tell("flood")
        other.tell("other")
        await wait_all_tasks_blocked()
        assert order.index("other") == 64


@pytest.mark.parametrize("waits", [False, True])
async def test_actors_at_work_let_other_tasks_run_once_their_millisecond_is_over(*, waits: bool) -> None:
    handled = 0

    def work() -> None:
        nonlocal handled
        handled += 1
        until = trio.current_time() + 0.0005
        while trio.current_time() < until:
            pass

    class Plain(Actor[str]):
        def receive(self, message: str) -> None:  # noqa: ARG002 - any
            work()

    class Waiting(Actor[str]):
        async def receive(self, message: str) -> None:  # noqa: ARG002 - any
            work()

    async with open_supervisor() as supervisor:
        kind: Any = Waiting if waits else Plain
        actor = await supervisor.spawn(kind)
        for _ in range(100):
            actor.tell("work")
        most, before = 0, 0
        while handled < 100:
            await trio.lowlevel.checkpoint()
            most, before = max(most, handled - before), handled
        assert (
            most <= 32
        )  # eight until the first look, eight until the next, and two steps may follow each other


async def test_an_actor_that_stands_in_line_twice_is_still_served_by_one() -> None:
    stage = Stage()
    async with open_supervisor() as supervisor:
        player = await supervisor.spawn(Player, stage)
        player.tell(Wait("gate"))
        player.tell(Increment())
        player._cell.line.join(player._cell)  # as after a restart that was quicker than the line
        await wait_all_tasks_blocked()
        assert player.depth == 1
        stage.gate("gate").set()
        assert await player.ask(Get()) == 1
