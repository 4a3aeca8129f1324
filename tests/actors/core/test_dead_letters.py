"""What nobody handled: kept, told of, and sent again."""

import pytest
import trio
from greenroom.actors import ActorRef, open_supervisor
from greenroom.actors.dead_letters import KEPT, DeadLetter
from greenroom.actors.errors import (
    ActorCrashedError,
    ActorQuarantinedError,
    ActorStoppedError,
    MailboxFullError,
)
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.core.cast import (
    Break,
    Counter,
    Get,
    Increment,
    Log,
    Message,
    Note,
    Player,
    Reports,
    Stage,
    Wait,
)


async def test_dead_letters_are_bounded_and_those_dropped_are_counted() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=KEPT + 10)
        for number in range(KEPT + 10):
            actor.tell(Note(str(number)))
        await actor.stop()
        letters = list(supervisor.dead_letters)
        assert (len(letters), supervisor.dead_letters.dropped) == (KEPT, 10)
        assert (letters[0].message, letters[-1].message) == (Note("10"), Note(str(KEPT + 9)))


async def test_a_replay_that_is_refused_leaves_the_letter_where_it_is(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter, restart="temporary")
        actor.tell(Break())
        await actor.watch()
        (letter,) = supervisor.dead_letters
        with pytest.raises(ActorStoppedError):
            letter.replay()
        assert list(supervisor.dead_letters) == [letter]
        assert "poison, Break" in repr(letter)


async def test_unhandled_is_called_with_each_dead_letter_in_the_step_it_becomes_one() -> None:
    unhandled: list[DeadLetter] = []
    async with open_supervisor(report=Reports(), unhandled=unhandled.append) as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=2, restart="temporary")
        for number in range(2):
            actor.tell(Note(str(number)))
        actor.post(Note("refused"))
        assert [letter.message for letter in unhandled] == [Note("refused")]
        assert actor.is_alive
        with trio.move_on_after(0):
            await actor.stop()
        assert [letter.message for letter in unhandled] == [Note("refused"), Note("0"), Note("1")]
        with pytest.raises(ActorStoppedError):
            actor.tell(Note("late"))
        assert unhandled == list(supervisor.dead_letters)
        assert len(unhandled) == 4


async def test_a_letter_for_which_unhandled_answers_true_is_not_kept(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    told: list[str] = []

    def is_dealt_with(letter: DeadLetter) -> bool:
        told.append(letter.fate)
        return letter.fate != "poison"

    async with open_supervisor(report=Reports(), unhandled=is_dealt_with) as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=KEPT + 10)
        actor.tell(Break())
        await trio.sleep(1)
        for number in range(KEPT + 10):
            actor.tell(Note(str(number)))
        await actor.stop()
        assert told == ["poison"] + ["stopped"] * (KEPT + 10)
        assert [letter.fate for letter in supervisor.dead_letters] == ["poison"]
        assert supervisor.dead_letters.dropped == 0


async def test_an_actor_is_troubled_while_it_rests_and_for_a_period_after_its_rest_or_crash(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=1, period=10.0, report=Reports()) as supervisor:
        actor = await supervisor.spawn(Counter)
        assert not actor.is_troubled
        with pytest.raises(ActorCrashedError):
            await actor.ask(Break())
        assert actor.is_troubled
        await trio.sleep(9.9)
        assert actor.is_troubled
        await trio.sleep(0.2)
        assert not actor.is_troubled
        for _ in range(2):  # now it rests
            with pytest.raises(ActorCrashedError):
                await actor.ask(Break())
        with pytest.raises(ActorQuarantinedError) as caught:
            actor.tell(Increment())
        assert caught.value.retry_after is not None
        await trio.sleep(caught.value.retry_after + 9.9)
        assert actor.is_troubled
        await trio.sleep(0.2)
        assert not actor.is_troubled


async def test_whoever_is_told_of_a_dead_letter_may_send_in_that_step(
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    def answer(letter: DeadLetter) -> None:
        counter.tell(Note(f"{letter.fate} {type(letter.answer).__name__}"))
        if letter.fate == "poison":
            assert actor.offer(Note("mail"))  # it has not been taken down yet

    async with open_supervisor(report=Reports(), unhandled=answer) as supervisor:
        counter, actor = await supervisor.spawn(Counter), await supervisor.spawn(Counter)
        actor.tell(Break())
        await wait_all_tasks_blocked()
        assert await actor.ask(Log()) == ["mail"]
        actor.tell(Note("waits"))
        await actor.stop()
        assert await counter.ask(Log()) == ["poison ActorCrashedError", "stopped ActorStoppedError"]


async def test_a_dead_letter_carries_what_an_asker_was_answered(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    told: list[Exception] = []

    async def ask(actor: ActorRef[Message], question: Break | Get | Wait) -> None:
        try:
            await actor.ask(question)
        except (ActorCrashedError, ActorStoppedError, ActorQuarantinedError) as exc:
            told.append(exc)

    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad: ActorRef[Message] = await supervisor.spawn(Player, Stage())
        nursery.start_soon(ask, bad, Break())
        await wait_all_tasks_blocked()
        player: ActorRef[Message] = await supervisor.spawn(Player, Stage(), stop_within=1.0)
        for question in (Wait("never"), Get()):
            nursery.start_soon(ask, player, question)
            await wait_all_tasks_blocked()
        await player.stop()
        await wait_all_tasks_blocked()
        letters = list(supervisor.dead_letters)
        assert [letter.fate for letter in letters] == ["poison", "stopped", "cut off"]
        assert [letter.answer for letter in letters] == told


@pytest.mark.parametrize(
    ("fate", "answer"),
    [
        ("poison", ActorCrashedError),
        ("quarantined", ActorQuarantinedError),
        ("refused", ActorQuarantinedError),
        ("stopped", ActorStoppedError),
    ],
)
async def test_a_dead_letter_that_nobody_asked_for_carries_the_same(
    fate: str,
    answer: type[Exception],
    autojump_clock: MockClock,  # noqa: ARG001 - makes time pass
) -> None:
    async with open_supervisor(quarantine=True, intensity=0, report=Reports()) as supervisor:
        bad = await supervisor.spawn(Counter)
        bad.tell(Break())
        bad.tell(Increment())
        await trio.sleep(1)
        bad.post(Increment())
        await bad.stop()
        bad.post(Increment())
        answers = {letter.fate: type(letter.answer) for letter in supervisor.dead_letters}
        assert answers[fate] is answer  # type: ignore[index]  # one of the fates


async def test_a_full_mailbox_is_what_a_timers_dead_letter_carries() -> None:
    async with open_supervisor() as supervisor:
        actor = await supervisor.spawn(Counter, mailbox=1)
        actor.post(Increment())
        actor.post(Increment())
        (letter,) = supervisor.dead_letters
        assert isinstance(letter.answer, MailboxFullError)
