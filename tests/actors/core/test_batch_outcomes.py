"""What becomes of several messages in hand."""

import pytest
import trio
from greenroom.actors import ActorRef, Finished, open_supervisor
from greenroom.actors.errors import ActorCrashedError, ActorStoppedError
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.batching import Batcher, Word, tell
from tests.actors.core.cast import Break, Counter, Get, Message, Reports


async def crash(_: Batcher, batch: list[str]) -> None:
    if "poison" in batch:
        raise ValueError(batch)


async def finish(_: Batcher, batch: list[str]) -> None:
    raise Finished(f"{len(batch)} done")


@pytest.mark.parametrize("limits", [(3,), (1, 2), (1, 1, 1)])
async def test_a_crash_makes_poison_of_all_in_hand_and_the_rest_waits_for_the_next_instance(
    limits: tuple[int, ...],
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    seen: list[list[str]] = []
    told: list[ActorCrashedError] = []
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Batcher, seen, limits, crash)

        async def ask() -> None:
            with pytest.raises(ActorCrashedError) as caught:
                await actor.ask(Word("first?"))
            told.append(caught.value)

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        tell(actor, "a poison b c d")
        await trio.sleep(10)
        assert seen == [["first?", "a", "poison", "b"], ["c", "d"]]
        letters = list(supervisor.dead_letters)
        assert [(letter.message, letter.fate) for letter in letters] == [
            (word, "poison") for word in ("first?", "a", "poison", "b")
        ]
        assert {letter.error for letter in letters} == {told[0].__cause__}
        assert actor.restarts == 1
        letters[1].replay()
        await trio.sleep(10)
        assert seen[2:] == [["a"]]


@pytest.mark.parametrize("limits", [(3,), (1, 2)])
async def test_a_cut_off_makes_dead_letters_of_all_in_hand(
    limits: tuple[int, ...],
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async def stay(_: Batcher, __: list[str]) -> None:
        await trio.sleep_forever()

    told: list[str] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, list[list[str]](), limits, stay)

        async def ask() -> None:
            with pytest.raises(ActorStoppedError):
                await actor.ask(Word("first?"))
            told.append("stopped")

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        tell(actor, "a b c d")
        await trio.sleep(2)
        await actor.stop()
        assert {(str(letter.message), letter.fate) for letter in supervisor.dead_letters} == {
            ("first?", "cut off"),
            ("a", "cut off"),
            ("b", "cut off"),
            ("c", "cut off"),
            ("d", "stopped"),
        }
        assert len(supervisor.dead_letters) == 5
        await wait_all_tasks_blocked()
        assert told == ["stopped"]


@pytest.mark.parametrize("limits", [(5,), (1, 5)])
@pytest.mark.parametrize("asks", [False, True])
async def test_finished_counts_all_in_hand_as_handled_and_answers_the_first(
    limits: tuple[int, ...],
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
    *,
    asks: bool,
) -> None:
    answers: list[str] = []
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Batcher, list[list[str]](), limits, finish, restart="transient")

        async def ask() -> None:
            answers.append(await actor.ask(Word("first?")))

        if asks:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
        else:
            tell(actor, "first")
        tell(actor, "a b")
        assert (await actor.watch()).why == "finished"
        await wait_all_tasks_blocked()
        assert answers == ["3 done"] * asks
        assert not supervisor.dead_letters


@pytest.mark.parametrize("together", [False, True])
async def test_an_actor_that_is_stopped_or_taken_down_meanwhile_is_given_nothing(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
    *,
    together: bool,
) -> None:
    seen: list[list[str]] = []
    async with open_supervisor("one_for_all", report=Reports()) as supervisor:
        bad: ActorRef[Message] = await supervisor.spawn(Counter)
        actor = await supervisor.spawn(Batcher, seen)
        tell(actor, "a b c")
        await wait_all_tasks_blocked()
        if together:
            bad.tell(Break())
            await wait_all_tasks_blocked()
            tell(actor, "d")
            await trio.sleep(10)
            assert seen == [["a"], ["b", "c", "d"]]
            assert await bad.ask(Get()) == 0
            assert [letter.message for letter in supervisor.dead_letters] == [Break()]
        else:
            await actor.stop()
            assert seen == [["a"]]
            assert [letter.message for letter in supervisor.dead_letters] == ["b", "c"]
