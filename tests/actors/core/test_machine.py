"""Random senders against random actors under seeded scheduling: what must hold whatever happens."""

from collections import Counter
from functools import partial
from typing import Any

import trio
import trio.testing
from greenroom.actors import ActorRef, Supervisor, open_supervisor
from greenroom.actors.cell import Restart
from greenroom.actors.mending import Strategy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.actors.core.cast import Reports
from tests.actors.core.play import Do, Journal, Numbered, Plain, Sender, Waiting

SENDERS = st.integers(0, 3)
ACTORS = st.integers(0, 3)
DOES = st.sampled_from(["count", "count", "count", "pause", "crash", "finish"])
LONG = 1000.0  # seconds, longer than any quarantine


class Actors(RuleBasedStateMachine):
    """The rules write a script for each of four senders; `teardown` plays it in one run of Trio."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[list[tuple[Any, ...]]] = [[], [], [], []]
        self.numbers = 0
        self.cast: list[tuple[bool, Restart, int]] = []
        self.options: dict[str, Any] = {}

    @initialize(
        cast=st.lists(
            st.tuples(
                st.booleans(),
                st.sampled_from(["permanent", "permanent", "transient", "temporary"]),
                st.sampled_from([1, 3, 256]),
            ),
            min_size=4,
            max_size=4,
        ),
        strategy=st.sampled_from(["one_for_one", "quarantine", "one_for_all", "rest_for_one"]),
    )
    def open(self, cast: list[tuple[bool, Restart, int]], strategy: str) -> None:
        self.cast = cast
        if strategy == "quarantine":
            self.options = {"quarantine": True, "intensity": 2}
        else:
            name: Strategy = strategy  # type: ignore[assignment]  # one of the three
            self.options = {"strategy": name, "intensity": 10_000}

    def number(self, sender: int, do: Do) -> Numbered:
        self.numbers += 1
        return Numbered(sender, self.numbers, do)

    @rule(sender=SENDERS, actor=ACTORS, do=DOES, times=st.sampled_from([1, 1, 5]))
    def tell(self, sender: int, actor: int, do: Do, times: int) -> None:
        for _ in range(times):
            self.scripts[sender].append(("tell", actor, self.number(sender, do)))

    @rule(sender=SENDERS, actor=ACTORS, do=DOES, patience=st.none() | st.integers(0, 5))
    def ask(self, sender: int, actor: int, do: Do, patience: int | None) -> None:
        self.scripts[sender].append(("ask", actor, self.number(sender, do), patience))

    @rule(sender=SENDERS, actor=ACTORS)
    def stop(self, sender: int, actor: int) -> None:
        self.scripts[sender].append(("stop", actor))

    @rule(sender=SENDERS, actor=ACTORS)
    def retire(self, sender: int, actor: int) -> None:
        self.scripts[sender].append(("retire", actor))

    @rule(sender=SENDERS, steps=st.integers(1, 4), seconds=st.sampled_from([0.0, 0.0, 0.03, 1.0, 20.0]))
    def pause(self, sender: int, steps: int, seconds: float) -> None:
        self.scripts[sender].append(("pause", steps, seconds))

    @rule(sender=SENDERS)
    def replay(self, sender: int) -> None:
        self.scripts[sender].append(("replay",))

    def teardown(self) -> None:
        if self.cast:
            trio.run(self.play, clock=trio.testing.MockClock(autojump_threshold=0))

    async def play(self) -> None:
        journals = [Journal() for _ in self.cast]
        refs: list[ActorRef[Numbered]] = []
        async with open_supervisor(**self.options, report=Reports()) as supervisor:
            for index, (waits, restart, mailbox) in enumerate(self.cast):
                make: Any = Waiting if waits else Plain
                refs.append(
                    await supervisor.spawn(
                        make, journals[index], name=str(index), restart=restart, mailbox=mailbox
                    )
                )
            senders = [Sender(supervisor, refs) for _ in self.scripts]
            async with trio.open_nursery() as nursery:
                for sender, script in zip(senders, self.scripts, strict=True):
                    nursery.start_soon(perform, sender, refs, script)
            await trio.sleep(LONG)
            self.check_settled(supervisor, refs, journals, senders)
        for journal in journals:
            assert journal.started == journal.stopped, "each started has its stopped"
        assert {ref.is_alive for ref in refs} == {False}

    def check_settled(
        self,
        supervisor: Supervisor,
        refs: list[ActorRef[Numbered]],
        journals: list[Journal],
        senders: list[Sender],
    ) -> None:
        for sender in senders:
            assert len(sender.answers) == sender.asked, "every ask is answered once"
        letters = Counter((int(letter.actor), letter.message) for letter in supervisor.dead_letters)
        replayed = any(step[0] == "replay" for script in self.scripts for step in script)
        for index, (ref, journal) in enumerate(zip(refs, journals, strict=True)):
            assert journal.most_at_work <= 1, "one message at a time"
            if not replayed:
                for sender in range(4):
                    seen = [message.number for message in journal.begun if message.sender == sender]
                    assert seen == sorted(set(seen)), "order per sender"
            accepted, unsure = Counter[Numbered](), Counter[Numbered]()
            for sender in senders:
                accepted.update(sender.accepted[index])
                unsure.update(sender.unsure[index])
            found = Counter(journal.done)
            found.update({message: n for (actor, message), n in letters.items() if actor == index})
            assert not accepted - found, "no accepted message is lost"
            assert not found - accepted - unsure, "none is handled twice"
            assert ref.depth == 0, "no mail waits for nobody"
            self.check_restarts(index, ref, journal)

    def check_restarts(self, index: int, ref: ActorRef[Numbered], journal: Journal) -> None:
        restart = self.cast[index][1]
        if restart == "temporary":
            assert ref.restarts == 0
        elif ref.is_alive:
            assert ref.restarts == journal.started - 1
            if self.options.get("strategy", "one_for_one") == "one_for_one":
                ends = journal.crashes + (journal.finishes if restart == "permanent" else 0)
                assert ref.restarts == ends, "each crash has its restart"


async def perform(sender: Sender, refs: list[ActorRef[Numbered]], script: list[tuple[Any, ...]]) -> None:
    """Play one sender's script."""
    for name, *rest in script:
        call = {
            "ask": sender.ask,
            "pause": pause,
            "replay": sender.replay,
            "retire": lambda actor: refs[actor].retire_when_empty(),
            "stop": lambda actor: refs[actor].stop(),
            "tell": sender.tell,
        }[name]
        outcome: Any = partial(call, *rest)()
        if hasattr(outcome, "__await__"):
            await outcome


async def pause(steps: int, seconds: float) -> None:
    """Let others run, for a while."""
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    await trio.sleep(seconds)


TestActors = Actors.TestCase
TestActors.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
