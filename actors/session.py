"""The session actor: owns one conversation's state and carries out what its rules decide.

Contract.
- Start: reads the session from the store and finishes a turn that a crash cut off; commands that come
  meanwhile wait in the mailbox, in order.
- Commands are taken in batches and stepped into a new state; the state is adopted, and anybody answered,
  only after the COMMIT of the entries that led to it. Replies go out before events, in one synchronous step.
  Commands that end or change more than a message does have a commit of their own.
- A refused commit refuses the batch's commands and changes nothing; a turn's end is offered until stored.
- Crash: commands in hand are dead letters, answered "outcome unknown"; those still in the mailbox stay there
  for the next instance, which knows what is stored and nothing else.
- One command at a time, and no other task touches this state: a turn only says text and posts its end.
"""

from collections.abc import Sequence

import msgspec
import trio

from ..persistence.errors import DuplicateClientIdError
from ..persistence.records import Append, Entry, SessionFacts, SessionState, TurnFinished
from .actor import Actor
from .backlog import find_backlog
from .commands import Age, Attach, Attached, Command, Look, Open, Stepped
from .committing import Committed
from .conversation import Conversation, Step, facts_of, with_facts
from .effects import (
    Answer,
    AnswerFacts,
    AnswerWhenDone,
    AnswerWhenTold,
    Begin,
    Dropped,
    Finished,
    Refuse,
    RefuseUnlessKnown,
)
from .errors import DamagedError, SessionNotFoundError, UnavailableError
from .events import Live
from .fairness import BATCH, give_way
from .grouping import grouped
from .recall import Recall
from .registry import Place, Registry
from .reply import ReplySlot
from .reports import SessionDamaged
from .stepping import step_all
from .surroundings import Surroundings
from .turn_slot import TurnSlot
from .turning import recover
from .waiters import Waiters, answer_from_store, find_known

BYTES = 1900  # of a session with its actor and its place, without what it recalls and is told; by tracemalloc
_AT_REST = frozenset({SessionState.SUSPENDED, SessionState.ARCHIVED})


class Session(Actor[Command]):
    """One live conversation.

    Args:
        place: Where it is found; holds it while it is up.
        registry: The live sessions, which it leaves when there is nothing to live for.
        surroundings: What all of them share.
    """

    __slots__ = (
        "_around",
        "_place",
        "_recall",
        "_registry",
        "_state",
        "_turn",
        "_waiters",
        "_was_asked",
        "id",
    )

    def __init__(self, place: Place, registry: Registry, surroundings: Surroundings) -> None:
        self.id = place.id
        self._place = place
        self._registry = registry
        self._around = surroundings
        self._state = Conversation(self.id)
        self._recall = Recall(surroundings.context_tokens)
        self._waiters = Waiters()
        self._turn = TurnSlot(surroundings.turns, surroundings.content_bytes)
        self._was_asked = False

    @property
    def is_quiet(self) -> bool:
        """No turn runs, and nobody waits for the end of one."""
        return not (self._turn or self._waiters)

    @property
    def _may_leave(self) -> bool:
        """Nothing speaks for keeping it in memory: it is not stored, rests, or only a clock looked at it."""
        facts = self._state.facts
        return facts is None or facts.state in _AT_REST or not self._was_asked

    @property
    def _bytes(self) -> int:
        facts = self._state.facts
        texts = () if facts is None else (facts.summary, facts.system_prompt, *facts.custom_data.values())
        return BYTES + self._recall.bytes + sum(map(len, texts))

    def stop_turn(self, turn_id: str | None) -> None:
        """Tell the running turn to stop, if it is the one that is meant; its end is stored later."""
        self._turn.stop(turn_id)

    async def started(self) -> None:
        """Read the session from the store and finish what a crash cut off.

        Raises:
            UnavailableError: The store could not be read or written.
            DamagedError: What it holds of the session is damaged.
        """
        try:
            await self._recover()
        except (UnavailableError, DamagedError) as exc:
            # No await from here to the actor's end: a command that comes after opens another place.
            self._registry.remove(self._place)
            if isinstance(exc, DamagedError):
                self._around.report(SessionDamaged(self.id))
            else:
                self._around.refused()
            raise
        self._place.actor = self
        self._registry.weigh(self._place, self._bytes)
        if self.is_quiet and not self.ref.depth:
            self.ref.tell(Look(ReplySlot()))

    async def _recover(self) -> None:
        record = await self._around.reads(self._around.reads.store.load, self.id)
        if record is None:
            return
        facts = msgspec.structs.replace(record.facts, id=self.id)  # equal, but one object instead of two
        self._state = found = Conversation(self.id, facts, record.pending)
        for entry in record.context:
            self._remember(entry)
        if facts.state is SessionState.COMPACTING:  # nobody goes on with what a former process began
            found = with_facts(found, msgspec.structs.replace(facts, state=SessionState.ACTIVE))
        recovered = recover(found, self._around.wall(), self._around.rules)
        self._adopt(recovered, await self._append(recovered))

    async def receive(self, command: Command) -> None:
        """Carry out a command and those that wait behind it."""
        began = trio.current_time()
        try:
            await self._process([command, *self.take_waiting(BATCH - 1)])
            if self.ref.depth:
                await give_way(began, self._around.writer.calm_at)
        except BaseException:
            self.give_up()
            raise
        if not (self._may_leave and self._registry.put_away(self._place)):
            self._registry.weigh(self._place, self._bytes)

    async def _process(self, commands: Sequence[Command]) -> None:
        self._was_asked = self._was_asked or not all(isinstance(one, Age | Look) for one in commands)
        for group in grouped(commands, self._around.rules):
            if isinstance(group, Attach):
                await self._attach(group)
            else:
                await self._store(group)

    async def _store(self, commands: Sequence[Stepped]) -> None:
        while commands:
            taken = self._step_all(commands)
            let_go = self._turn.hold(self._state.turn, taken.state.turn)
            try:
                committed = await self._append(taken)
            except DuplicateClientIdError as exc:
                # An older message than we keep at hand: step again, knowing it. Each round learns one more.
                self._recall.know(exc.entry)
                continue
            except UnavailableError as exc:
                await self._refuse(commands, exc)
                return
            finally:
                let_go()
            self._adopt(taken, committed)
            await self._look_up(taken)
            return

    async def _refuse(self, commands: Sequence[Stepped], error: UnavailableError) -> None:
        """Refuse what cannot be stored; what needs no storing is answered all the same."""
        for command in commands:
            one = self._step_all([command])
            if one.state is self._state:
                self._adopt(one, None)
                await self._look_up(one)
            else:
                command.reply.reject(error)

    async def _look_up(self, taken: Step) -> None:
        """Give the answers that only the store knows."""
        refused: list[RefuseUnlessKnown] = []
        for effect in taken.effects:
            if isinstance(effect, AnswerWhenDone) and effect.ack.status == "done":
                await answer_from_store(self._around.reads, self.id, effect)
            elif isinstance(effect, RefuseUnlessKnown):
                refused.append(effect)
        if refused:
            for known in await find_known(self._around.reads, self.id, refused):
                self._recall.know(known)
            await self._store([e.command for e in refused if self._recall.sent(e.command.client_id)])

    def _step_all(self, commands: Sequence[Stepped]) -> Step:
        at, rules = self._around.wall(), self._around.rules
        return step_all(self._state, commands, self._recall.sent, self._turn.said, at, rules)

    async def _append(self, taken: Step) -> Committed | None:
        """Make a step durable; None if it changes nothing that is stored."""
        before, after = self._state.facts, taken.state.facts
        ending = taken.ending
        if ending is not None:
            messages = self._recall.context.with_last(taken.entries)
            ending = msgspec.structs.replace(ending, messages=messages)
        if taken.removes and before is not None:
            removal = Append(before, before.head_seq, taken.entries, ending, removes=True)
            return await self._around.writer.append(removal)
        if after is None or after is before:
            return None
        base = before.head_seq if before else 0
        append = Append(after, base, taken.entries, ending)
        return await self._around.writer.append(append, is_last=self.ref.depth == 0)

    def _adopt(self, taken: Step, committed: Committed | None) -> None:
        """Make the new state ours and tell everyone: replies first, events second, in one step."""
        before, self._state = self._state, taken.state
        if committed is not None and not taken.removes:
            stored = {entry.seq: entry for entry in committed.entries}
            pending = tuple(stored.get(entry.seq, entry) for entry in taken.state.pending)
            self._state = Conversation(self.id, committed.facts, pending)
            for entry in committed.entries:
                self._remember(entry)
        elif taken.removes:
            self._recall.clear()
            self._turn.empty()
        self._answer(taken)
        if taken.ending is not None:
            self._around.ends.added()
        self._around.news.changed(before, self._state, committed.entries if committed else (), taken.ending)
        for effect in taken.effects:
            if isinstance(effect, Begin) and effect.mark == self._state.turn:
                self._turn.begin(effect, self._state, self._recall.context, self.ref, self._tell)

    def _answer(self, taken: Step) -> None:
        for effect in taken.effects:
            match effect:
                case Answer(reply, value):
                    reply.resolve(value)
                case AnswerFacts(reply, value):
                    reply.resolve(value(facts_of(self._state)))
                case AnswerWhenTold(reply, value) if taken.ending is not None:
                    self._around.ends.answer_when_told(taken.ending.end_id, reply, value)
                case Refuse(reply, error):
                    reply.reject(error)
                case Finished(entry, text):
                    self._waiters.settle(entry, text)
                case Dropped(entry):
                    self._waiters.settle(entry)
                case AnswerWhenDone(ack=ack) if ack.status != "done":
                    self._waiters.add(effect)
                case _:
                    pass  # a turn to begin, or an answer to be looked up: both come after the events

    async def _attach(self, command: Attach) -> None:
        opened: ReplySlot[SessionFacts] = ReplySlot()
        if command.create or self._state.facts is not None:
            await self._store([Open(opened)])
        else:
            opened.reject(SessionNotFoundError(f"session {self.id}: expected it to exist, met none"))
        try:
            facts = await opened.wait()
            backlog = await find_backlog(self._around.reads, facts, command.after)
        except (SessionNotFoundError, DamagedError, UnavailableError) as exc:
            command.reply.reject(exc)
            return
        # No await from here on: no delta can fall between the turn's text and the subscription.
        self._around.topics.subscribe(self.id, command.subscriber)
        command.reply.resolve(
            Attached(facts=facts, queue=self._state.queue, turn=self._turn.running(), backlog=backlog)
        )

    def _tell(self, live: Live) -> None:
        self._around.news.tell(self._state.facts, live)

    def _remember(self, entry: Entry) -> None:
        self._recall.add(entry)
        if isinstance(entry.body, TurnFinished):
            self._turn.empty()

    def give_up(self) -> None:
        """Leave nobody waiting for an actor that is at its end; returns at once."""
        self._place.actor = None
        self._waiters.reject(
            UnavailableError("session: expected an answer, met its end; outcome unknown", retry_after=1.0)
        )
        self._turn.give_up()
