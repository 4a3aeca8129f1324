"""Taking more than one message in hand: which, and where."""

import pytest
import trio
from greenroom.actors import Actor, open_supervisor
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.batching import Batcher, Word, tell
from tests.actors.core.cast import Reports


async def test_an_async_receive_takes_what_waits_in_its_order_and_no_more_than_it_says(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, seen, (3,))
        tell(actor, "a b c d e f")
        await trio.sleep(1.5)
        assert (seen, actor.depth) == ([["a", "b", "c", "d"]], 1)
        await trio.sleep(10)
        assert seen == [["a", "b", "c", "d"], ["e", "f"]]
        assert not actor.is_busy
        assert not supervisor.dead_letters


async def test_to_take_when_nothing_waits_or_nothing_is_wanted_takes_nothing(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, seen, (0, 1, 0, 5))
        tell(actor, "a")
        await trio.sleep(5)
        tell(actor, "b c")
        await trio.sleep(5)
        assert seen == [["a"], ["b", "c"]]


async def test_control_messages_are_taken_before_the_others(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, seen, (2, 2))
        tell(actor, "a b c")
        await trio.sleep(0.5)
        actor.tell_control(Word("control 1"))
        actor.tell_control(Word("control 2"))
        await trio.sleep(5)
        assert seen == [["a", "control 1", "control 2", "b", "c"]]


async def test_neither_a_question_is_taken_nor_what_is_behind_it(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    answers: list[str] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, seen)

        async def ask(word: str) -> None:
            answers.append(await actor.ask(Word(word)))

        tell(actor, "a b")
        for question, words in (("c?", "d e"), ("f?", "g")):
            nursery.start_soon(ask, question)
            await wait_all_tasks_blocked()
            tell(actor, words)
        await trio.sleep(10)
        assert seen == [["a", "b"], ["c?", "d", "e"], ["f?", "g"]]
        assert answers == ["c?", "f?"]


async def test_a_question_whose_asker_left_is_taken_as_what_it_is(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, seen)
        tell(actor, "a")
        with trio.move_on_after(0.5):
            await actor.ask(Word("b?"))
        tell(actor, "c")
        await trio.sleep(5)
        assert seen == [["a", "b?", "c"]]


async def test_what_is_taken_may_be_sent_on_as_one_message(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    class Forwarding(Actor[object]):
        async def receive(self, message: object) -> None:  # noqa: ARG002 - any
            await trio.sleep(1)
            other.tell(self.take_waiting(5))

    class Unhappy(Actor[object]):
        def receive(self, message: object) -> None:
            raise ValueError(message)

    async with open_supervisor(report=Reports()) as supervisor:
        other, actor = await supervisor.spawn(Unhappy), await supervisor.spawn(Forwarding)
        for word in "abc":
            actor.tell(word)
        await trio.sleep(5)
        assert [letter.message for letter in supervisor.dead_letters] == [["b", "c"]]


async def test_to_take_anywhere_but_in_a_running_async_receive_is_an_error(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    refused: list[str] = []

    def take(actor: Actor[str], where: str) -> None:
        with pytest.raises(RuntimeError, match="expected its async receive to take more, met another"):
            actor.take_waiting(1)
        refused.append(where)

    class Plain(Actor[str]):
        def receive(self, message: str) -> None:
            take(self, f"plain {message}")

    class Waiting(Actor[str]):
        async def started(self) -> None:
            take(self, "started")
            made.append(self)

        async def receive(self, message: str) -> None:
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - a task of its own
                nursery.start_soon(self.beside, message)

        async def beside(self, message: str) -> None:
            take(self, f"beside {message}")

        async def stopped(self) -> None:
            take(self, "stopped")

    made: list[Waiting] = []
    async with open_supervisor() as supervisor:
        plain, waiting = await supervisor.spawn(Plain), await supervisor.spawn(Waiting)
        for actor in (plain, waiting):
            actor.tell("a")
            actor.tell("b")
        await wait_all_tasks_blocked()
        take(made[0], "test")
        await waiting.stop()
    assert refused == ["started", "plain a", "plain b", "beside a", "beside b", "test", "stopped"]
