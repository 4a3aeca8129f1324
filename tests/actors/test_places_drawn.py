"""Places, whatever is drawn: turns begin, end, are stopped and given up; some agents are stubborn."""

import hypothesis.strategies as st
import trio
from greenroom.actors.turn import Agent, Turn
from hypothesis import given, settings
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.stage import Stage, staged


class Cast:
    """Agents under control, and what must hold of them at all times."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.called: list[str] = []
        self.at_work: dict[str, trio.Event] = {}
        self.stubborn: set[str] = set()
        self.is_over = False
        self.wrong: list[str] = []  # kept, for whatever an agent raises only ends its turn

    async def perform(self, turn: Turn) -> None:
        finished = trio.Event()
        self.called.append(turn.turn_id)
        self.at_work[turn.turn_id] = finished
        if self.is_over:
            finished.set()
        if self.is_over or turn.stopped_as is not None:
            self.wrong.append(f"{turn.turn_id} was called after it had been stopped")
        if len(self.at_work) > self.places:
            self.wrong.append(f"{turn.turn_id} was called though no place was free")
        try:
            if turn.turn_id in self.stubborn:
                with trio.CancelScope(shield=True):
                    await finished.wait()
            await finished.wait()
        finally:
            del self.at_work[turn.turn_id]

    def release(self) -> None:
        """Let all agents at work end, also the stubborn."""
        for finished in self.at_work.values():
            finished.set()


class Script:
    """Plays what was drawn, step by step, and checks after each."""

    def __init__(self, stage: Stage, cast: Cast) -> None:
        self.stage, self.cast = stage, cast
        self.turns: list[Turn] = []
        self.stopped: set[str] = set()
        self.cancelled: list[Turn] = []

    async def do(self, name: str, number: int) -> None:
        if name == "let":
            for _ in range(number % 3):
                await trio.lowlevel.checkpoint()
        elif name == "settle":
            await wait_all_tasks_blocked()
            self.check_settled()
        else:
            getattr(self, name)(number)
        self.check()

    def start(self, number: int) -> None:
        turn_id = f"t{len(self.turns)}"
        if number == 0:
            self.cast.stubborn.add(turn_id)
        self.turns.append(self.stage.start(turn_id))

    def end(self, number: int) -> None:
        if self.cast.at_work:
            list(self.cast.at_work.values())[number % len(self.cast.at_work)].set()

    def stop(self, number: int) -> None:
        turn = self.turns[number % len(self.turns)] if self.turns else None
        if turn is not None and not turn.is_closed:
            self.stopped.add(turn.turn_id)
            self.cancelled.append(turn)
            self.stage.host.cancel(turn)

    def give_up(self, number: int) -> None:
        turn = self.turns[number % len(self.turns)] if self.turns else None
        if turn is not None and not turn.is_closed:
            self.stopped.add(turn.turn_id)
            turn.close()
            turn.stop("interrupted")

    def stop_waiting(self, number: int) -> None:
        if number == 0:  # once in a while
            self.stopped.update(turn.turn_id for turn in self.turns if turn.turn_id not in self.cast.called)
            self.stage.host.stop_waiting("interrupted")

    def check(self) -> None:
        host = self.stage.host
        assert host.at_work <= self.cast.places
        assert host.waiting == 0 or host.at_work == self.cast.places, "no place is free while a turn waits"

    def check_settled(self) -> None:
        assert all(turn.is_closed or turn.turn_id in self.cast.at_work for turn in self.cancelled)
        assert self.stage.host.at_work == len(self.cast.at_work), "each place is freed, and only once"
        came = [t.turn_id for t in self.turns if t.turn_id not in self.stopped - set(self.cast.called)]
        assert sorted(self.cast.called) == sorted(came[: len(self.cast.called)]), "in the order they came"

    async def finish(self) -> None:
        for _ in self.turns:
            self.cast.release()
            await wait_all_tasks_blocked()
        assert self.stage.host.waiting == 0, "nobody starves"
        ends = self.stage.ends()
        assert sorted(end.turn_id for end in ends) == sorted(turn.turn_id for turn in self.turns)
        for end in ends:
            assert end.stop_reason == "end_turn" or end.turn_id in self.stopped
            assert end.turn_id in self.cast.called or end.stop_reason != "end_turn"
            end.reply.resolve(None)
        assert await self.stage.is_idle()

    async def cancel(self) -> None:
        self.cast.is_over = True
        self.stage.nursery.cancel_scope.cancel()
        self.cast.release()
        await self.stage.host.wait_until_idle()
        assert (self.stage.host.at_work, self.stage.host.waiting) == (0, 0)


NAMES = ["start"] * 8 + ["end"] * 4 + ["stop"] * 4 + ["give_up", "stop_waiting"] + ["let", "settle"] * 2
STEPS = st.tuples(st.sampled_from(NAMES), st.integers(0, 9))


@settings(max_examples=150, deadline=None)
@given(
    places=st.integers(1, 3), steps=st.lists(STEPS, max_size=60), how=st.sampled_from(["finish", "cancel"])
)
def test_whatever_happens_places_are_kept_order_is_kept_and_nobody_starves(
    places: int, steps: list[tuple[str, int]], how: str
) -> None:
    async def play() -> None:
        cast = Cast(places)
        async with staged(Agent("cast", cast.perform), places) as stage:
            script = Script(stage, cast)
            try:
                for name, number in steps:
                    await script.do(name, number)
                await script.do("settle", 0)
                await getattr(script, how)()
            finally:
                cast.release()
            assert cast.wrong == []

    trio.run(play, clock=MockClock())
