"""Random senders against random actors under seeded scheduling: what must hold whatever happens."""

from collections import Counter
from functools import partial
from typing import Any, Literal

import trio
import trio.testing
from greenroom.actors import Supervisor, open_supervisor
from greenroom.actors.cell import Restart
from greenroom.actors.dead_letters import DeadLetter
from greenroom.actors.mending import Strategy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.actors.core.cast import Reports
from tests.actors.core.play import (
    Batching,
    BeyondRepairError,
    Do,
    Journal,
    Lane,
    Numbered,
    Plain,
    Role,
    Sender,
    Start,
    Waiting,
)

Kind = Literal["plain", "waiting", "batching"]
Part = tuple[Kind, Restart, int, bool, list[Start]]  # what it is, and how it is spawned

SENDERS = st.integers(0, 3)
ACTORS = st.integers(0, 3)
DOES = st.sampled_from(["count", "count", "count", "count", "pause", "long", "crash", "finish"])
LANES = st.sampled_from(["mail", "mail", "mail", "sure", "control"])
STARTS = st.lists(st.sampled_from(["well", "well", "slowly", "fails", "beyond repair"]), max_size=4)
PART = st.tuples(
    st.sampled_from(["plain", "waiting", "batching"]),
    st.sampled_from(["permanent", "permanent", "transient", "temporary"]),
    st.sampled_from([1, 3, 256]),
    st.booleans(),
    STARTS,
)
MAKES: dict[Kind, Any] = {"plain": Plain, "waiting": Waiting, "batching": Batching}
LONG = 5000.0  # seconds, longer than any quarantine and all messages


class Actors(RuleBasedStateMachine):
    """The rules write a script for each of four senders; `teardown` plays it in one run of Trio."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[list[tuple[Any, ...]]] = [[], [], [], []]
        self.numbers = 0
        self.cast: list[Part] = []
        self.options: dict[str, Any] = {}
        self.is_alone = False

    @initialize(
        cast=st.lists(PART, min_size=4, max_size=4),
        strategy=st.sampled_from(["one_for_one", "quarantine", "one_for_all", "rest_for_one"]),
    )
    def open(self, cast: list[Part], strategy: str) -> None:
        self.cast = cast
        self.is_alone = strategy in {"one_for_one", "quarantine"}
        if strategy == "quarantine":
            self.options = {"quarantine": True, "intensity": 2}
        else:
            name: Strategy = strategy  # type: ignore[assignment]  # one of the three
            self.options = {"strategy": name, "intensity": 10_000}

    def number(self, sender: int, do: Do, lane: Lane = "mail") -> Numbered:
        self.numbers += 1
        return Numbered(sender, self.numbers, do, lane)

    @rule(sender=SENDERS, actor=ACTORS, do=DOES, lane=LANES, times=st.sampled_from([1, 1, 5]))
    def tell(self, sender: int, actor: int, do: Do, lane: Lane, times: int) -> None:
        for _ in range(times):
            self.scripts[sender].append(("tell", actor, self.number(sender, do, lane)))

    @rule(sender=SENDERS, actor=ACTORS, do=DOES, patience=st.none() | st.integers(0, 5))
    def ask(self, sender: int, actor: int, do: Do, patience: int | None) -> None:
        self.scripts[sender].append(("ask", actor, self.number(sender, do), patience))

    @rule(sender=SENDERS, actor=ACTORS)
    def stop(self, sender: int, actor: int) -> None:
        self.scripts[sender].append(("stop", actor))

    @rule(sender=SENDERS, actor=ACTORS)
    def retire(self, sender: int, actor: int) -> None:
        self.scripts[sender].append(("retire", actor))

    @rule(sender=SENDERS, actor=ACTORS)
    def wear_out_and_retire(self, sender: int, actor: int) -> None:
        """Often at rest by then, if there is a quarantine."""
        self.tell(sender, actor, "crash", "sure", 3)
        self.pause(sender, 1, 1.0)
        self.retire(sender, actor)

    @rule(sender=SENDERS, actor=ACTORS, part=PART)
    def spawn(self, sender: int, actor: int, part: Part) -> None:
        """Have the part played by a new actor, if the last one has ended."""
        self.scripts[sender].append(("spawn", actor, part))

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
        roles = [Role() for _ in self.cast]
        letters: list[DeadLetter] = []

        def unhandled(letter: DeadLetter) -> None:
            letters.append(letter)
            roles[int(letter.actor)].forget(letter)

        async with open_supervisor(**self.options, report=Reports(), unhandled=unhandled) as supervisor:
            for index, part in enumerate(self.cast):
                await self.begin(supervisor, roles, index, part)
            senders = [Sender(supervisor, roles) for _ in self.scripts]
            with trio.move_on_after(LONG) as scope:
                async with trio.open_nursery() as nursery:
                    for sender, script in zip(senders, self.scripts, strict=True):
                        nursery.start_soon(self.perform, supervisor, sender, roles, script)
            assert not scope.cancelled_caught, "nobody waits for ever"
            await trio.sleep(LONG)
            self.check_settled(supervisor, roles, senders, letters)
        for role in roles:
            for journal in role.journals:
                assert journal.started == journal.stopped, "each started has its stopped"
            assert {ref.is_alive for ref in role.refs} == {False}

    async def begin(self, supervisor: Supervisor, roles: list[Role], index: int, part: Part) -> None:
        """Spawn an actor, unless the name is taken."""
        kind, restart, mailbox, soon, starts = part
        if supervisor.find(str(index)) is not None:
            return
        options: Any = {"name": str(index), "restart": restart, "mailbox": mailbox}
        if soon:
            journal = Journal(list(starts))
            ref = supervisor.spawn_soon(MAKES[kind], journal, **options, beyond_repair=(BeyondRepairError,))
            roles[index].play(ref, journal)
        elif not roles[index].refs:
            journal = Journal(["well", *(start for start in starts if start != "beyond repair")])
            roles[index].play(await supervisor.spawn(MAKES[kind], journal, **options), journal)

    async def perform(
        self, supervisor: Supervisor, sender: Sender, roles: list[Role], script: list[tuple[Any, ...]]
    ) -> None:
        """Play one sender's script."""
        for name, *rest in script:
            call = {
                "ask": sender.ask,
                "pause": pause,
                "replay": sender.replay,
                "retire": lambda actor: roles[actor].ref.retire_when_empty(),
                "spawn": partial(self.begin, supervisor, roles),
                "stop": lambda actor: roles[actor].ref.stop(),
                "tell": sender.tell,
            }[name]
            outcome: Any = partial(call, *rest)()
            if hasattr(outcome, "__await__"):
                await outcome

    def check_settled(
        self, supervisor: Supervisor, roles: list[Role], senders: list[Sender], letters: list[DeadLetter]
    ) -> None:
        kept = list(supervisor.dead_letters)
        replays = sum(sender.replayed for sender in senders)
        assert len(letters) == len(kept) + replays, "each dead letter is told of once"
        answers = {(letter.message, type(letter.answer)) for letter in letters}
        for sender in senders:
            assert len(sender.answers) == sender.asked, "every ask is answered once"
            for error in sender.errors:
                assert error in answers, "a dead letter carries what its asker was told"
        for index, role in enumerate(roles):
            if not replays:
                self.check_order([message for journal in role.journals for message in journal.begun])
            accepted, unsure = Counter[Numbered](), Counter[Numbered]()
            for sender in senders:
                accepted.update(sender.accepted[index])
                unsure.update(sender.unsure[index])
            found = Counter(message for journal in role.journals for message in journal.done)
            found.update(letter.message for letter in kept if letter.actor == str(index))  # type: ignore[misc]
            assert not accepted - found, "no accepted message is lost"
            assert not found - accepted - unsure, "none is handled twice"
            for number, journal in enumerate(role.journals):
                assert journal.most_at_work <= 1, "one message at a time"
                assert replays or not journal.overtaken, "no mail before a control message"
                assert role.refs[number].depth == 0, "no mail waits for nobody"
                self.check_restarts(role, number)

    def check_order(self, begun: list[Numbered]) -> None:
        """Each sender's mail in the order it was sent, and so its control messages."""
        for sender in range(4):
            for urgent in (False, True):
                seen = [
                    message.number
                    for message in begun
                    if message.sender == sender and (message.lane == "control") == urgent
                ]
                assert seen == sorted(set(seen)), "order per sender"

    def check_restarts(self, role: Role, number: int) -> None:
        ref, journal = role.refs[number], role.journals[number]
        restart: str = ref._cell.restart
        ends = journal.crashes + journal.failed + (journal.finishes if restart == "permanent" else 0)
        if restart == "temporary":
            assert ref.restarts == 0
        elif ref.is_alive:
            assert ref.restarts == journal.started + journal.failed - 1
            if self.is_alone:
                assert ref.restarts == ends, "each crash has its restart"
        elif self.is_alone:
            assert ends - 1 <= ref.restarts <= ends, "only the last crash may have none"


async def pause(steps: int, seconds: float) -> None:
    """Let others run, for a while."""
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    await trio.sleep(seconds)


TestActors = Actors.TestCase
TestActors.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
