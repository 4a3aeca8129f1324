"""The session actor: owns one conversation's state and carries out what its rules decide.

Contract.
- Start: `recover` reads the session from the store and finishes a turn that a crash cut off; commands that
  come meanwhile wait in the mailbox, in order.
- Commands are taken in batches and stepped into a new state; the state is adopted, and anybody answered,
  only after the COMMIT of the entries that led to it. Replies go out before events, in one synchronous step.
- A refused commit refuses the batch's commands and changes nothing; a turn's end is offered until stored.
- Cancellation and crash: commands in flight are answered "outcome unknown"; those still in the mailbox stay
  there for the next run.
- One command at a time, and no other task touches this state: a turn only says text and posts its end.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import msgspec

from ..persistence.errors import DuplicateClientIdError
from ..persistence.ids import SessionID
from ..persistence.records import Append, Entry, Message, SessionFacts, TurnFinished
from .backlog import find_backlog
from .commands import Ack, Attach, Attached, Command, Open, RunningTurn, Send, Stepped
from .context import LiveContext
from .conversation import Conversation, Step, content, epoch_string, recover, step, unanswered
from .effects import Answer, AnswerWhenDone, Begin, Finished, Refuse
from .errors import DamagedError, MailboxClosedError, SessionNotFoundError, UnavailableError
from .events import Event, Live, QueueChanged, StateChanged, TurnDelta, TurnStarted
from .mailbox import Mailbox
from .reply import Reply, ReplySlot
from .surroundings import Surroundings, now
from .turn import Turn
from .writer import Committed

BATCH = 64  # commands a wake-up takes; bounds how long the first waits for its commit
# Characters of messages that share a commit: their events reach every subscriber in one step, which a client
# that reads must survive.
BATCH_CHARACTERS = 256 * 1024
REMEMBERED = 64  # client ids kept at hand; older ones are found by the store's unique index


class Session:
    """One live conversation."""

    def __init__(self, session: SessionID, mailbox: Mailbox[Command], surroundings: Surroundings) -> None:
        self.id = session
        self._mailbox = mailbox
        self._around = surroundings
        self._state = Conversation(session)
        self._in_flight: Sequence[Command] = ()
        self._known: dict[str, Entry] = {}
        self._context = LiveContext(surroundings.context_tokens)
        self._turn: Turn | None = None
        self._waiters: dict[int, list[tuple[Reply[Ack], Ack]]] = {}

    @property
    def is_quiet(self) -> bool:
        """Nothing is waiting, running or being stored: the actor may be put away in this very step."""
        return not (self._mailbox.depth or self._in_flight or self._turn or self._waiters)

    @property
    def is_working(self) -> bool:
        """Commands have been taken and not yet answered."""
        return bool(self._in_flight)

    @property
    def is_unborn(self) -> bool:
        """Nothing of the session is stored."""
        return self._state.facts is None

    async def recover(self) -> None:
        """Read the session from the store and finish what a crash cut off.

        Raises:
            UnavailableError: The store could not be read or written.
            DamagedError: What it holds of the session is damaged.
        """
        record = await self._around.reads(self._around.reads.store.load, self.id)
        if record is None:
            return
        self._state = Conversation(self.id, record.facts, record.pending)
        for entry in record.context:
            self._learn(entry)
            self._remember(entry)
        recovered = recover(self._state, now(), self._around.rules)
        self._adopt(recovered, await self._append(recovered))

    async def run(self, *, retire: Callable[[], None]) -> None:
        """Live until the mailbox is closed.

        Args:
            retire: Called when nothing of the session is stored and nothing waits: takes the actor out of
                the registry and closes the mailbox, in one step.

        Raises:
            Exception: A crash; whoever waits in the mailbox is served by the next actor on it.
        """
        try:
            while True:
                if self.is_unborn and self.is_quiet:
                    retire()
                self._in_flight = await self._mailbox.take(BATCH)
                await self._process(self._in_flight)
                self._in_flight = ()
        except MailboxClosedError:
            return
        finally:
            self._give_up()

    async def _process(self, commands: Sequence[Command]) -> None:
        """Carry commands out in order; those that only step share one commit."""
        batch: list[Stepped] = []
        size = 0
        for command in commands:
            if isinstance(command, Attach):
                await self._store(batch)
                batch, size = [], 0
                await self._attach(command)
                continue
            batch.append(command)
            size += len(command.content) if isinstance(command, Send) else 0
            if size >= BATCH_CHARACTERS:
                await self._store(batch)
                batch, size = [], 0
        await self._store(batch)

    async def _store(self, commands: Sequence[Stepped]) -> None:
        while commands:
            taken = self._step_all(commands)
            try:
                committed = await self._append(taken)
            except DuplicateClientIdError as exc:
                # An older message than we keep at hand: step again, knowing it. Each round learns one more.
                self._learn(exc.entry)
                continue
            except UnavailableError as exc:
                for command in commands:
                    command.reply.reject(exc)
                return
            self._adopt(taken, committed)
            for effect in taken.effects:
                if isinstance(effect, AnswerWhenDone) and effect.ack.status == "done":
                    await self._answer_from_store(effect)
            return

    def _step_all(self, commands: Sequence[Stepped]) -> Step:
        taken = Step(self._state)
        fresh: dict[str, Entry] = {}
        for command in commands:
            known = None
            if isinstance(command, Send):
                known = fresh.get(command.client_id) or self._known.get(command.client_id)
            try:
                one = step(taken.state, command, known, now(), self._around.rules)
            except SessionNotFoundError as exc:
                one = Step(taken.state, (), (Refuse(command.reply, exc),))
            for entry in one.entries:
                if entry.client_id is not None:
                    fresh[entry.client_id] = entry
            taken = Step(one.state, taken.entries + one.entries, taken.effects + one.effects)
        return taken

    async def _append(self, taken: Step) -> Committed | None:
        """Make a step durable; None if it changes nothing that is stored."""
        before, after = self._state.facts, taken.state.facts
        if after is None or after is before:
            return None
        base = before.head_seq if before else 0
        return await self._around.writer.append(Append(after, base, taken.entries))

    def _adopt(self, taken: Step, committed: Committed | None) -> None:
        """Make the new state ours and tell everyone: replies first, events second, in one step."""
        before, self._state = self._state, taken.state
        if committed is not None:
            self._state = msgspec.structs.replace(taken.state, facts=committed.facts)
            for entry in committed.entries:
                self._learn(entry)
                self._remember(entry)
        self._answer(taken)
        for entry in committed.entries if committed else ():
            self._publish(entry)
        if before.facts and self._state.facts and before.facts.state != self._state.facts.state:
            self._publish(StateChanged(str(self._state.facts.state)))
        if before.queue != self._state.queue:
            self._publish(QueueChanged(self._state.queue))
        for effect in taken.effects:
            if isinstance(effect, Begin):
                self._begin(effect)

    def _answer(self, taken: Step) -> None:
        for effect in taken.effects:
            if isinstance(effect, Answer):
                effect.reply.resolve(effect.value)
            elif isinstance(effect, Refuse):
                effect.reply.reject(effect.error)
            elif isinstance(effect, Finished):
                self._answer_waiters(effect)
            elif isinstance(effect, AnswerWhenDone) and effect.ack.status != "done":
                self._waiters.setdefault(effect.ack.seq, []).append((effect.reply, effect.ack))

    def _answer_waiters(self, finished: Finished) -> None:
        body = finished.entry.body
        if not isinstance(body, TurnFinished) or body.will_retry:
            return
        for seq in body.message_seqs:
            for reply, ack in self._waiters.pop(seq, ()):
                reply.resolve(_done(ack, finished.entry, finished.text))

    async def _answer_from_store(self, effect: AnswerWhenDone) -> None:
        try:
            found = await self._around.reads(self._around.reads.store.outcome, self.id, effect.ack.seq)
        except (DamagedError, UnavailableError) as exc:
            if effect.until_done:
                effect.reply.reject(exc)
            else:  # that it is stored is certain, and all that was asked
                effect.reply.resolve(effect.ack)
            return
        if found is None:  # stored while nobody answered here
            effect.reply.resolve(unanswered(effect.ack, until_done=effect.until_done))
            return
        finished, messages = found
        effect.reply.resolve(_done(effect.ack, finished, "".join(map(content, messages))))

    async def _attach(self, command: Attach) -> None:
        opened: ReplySlot[SessionFacts] = ReplySlot()
        if command.create or not self.is_unborn:
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
        mark, turn = self._state.turn, None
        if mark is not None and self._turn is not None:
            text = self._turn.text
            turn = RunningTurn(mark.turn_id, text, len(text))
        command.reply.resolve(Attached(facts=facts, queue=self._state.queue, turn=turn, backlog=backlog))

    def _begin(self, effect: Begin) -> None:
        messages = tuple(e.body for e in effect.entries if isinstance(e.body, Message))
        seqs = effect.mark.message_seqs
        head = self._state.facts.head_seq if self._state.facts else 0
        pending = frozenset(entry.seq for entry in self._state.pending)
        self._turn = Turn(
            self.id,
            effect.mark.turn_id,
            effect.mark.attempt,
            messages,
            # Its own messages come last: they may lie before the answer to the one ahead of them.
            context=lambda: (*self._context.before(head, pending), *messages),
            tell=lambda offset, text: self._publish(TurnDelta(effect.mark.turn_id, offset, text)),
            max_bytes=self._around.content_bytes,
        )
        self._publish(TurnStarted(effect.mark.turn_id, seqs))
        self._around.turns.start(self._turn, self._mailbox)

    def _learn(self, entry: Entry) -> None:
        if entry.client_id is not None:
            self._known[entry.client_id] = entry
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]

    def _remember(self, entry: Entry) -> None:
        self._context.add(entry)
        if self._turn is not None and isinstance(entry.body, TurnFinished):
            self._turn = None

    def _publish(self, data: Entry | Live) -> None:
        facts = self._state.facts
        if facts is None:
            return
        if isinstance(data, Entry):
            event = Event(self.id, f"{data.epoch}-{facts.tag}", data.at, data)
        else:
            event = Event(self.id, epoch_string(facts), now(), data)
        self._around.topics.publish(event)

    def _give_up(self) -> None:
        """Leave nobody waiting for an actor that has ended; synchronous, for it also runs when cancelled."""
        unknown = UnavailableError(
            "session: expected an answer, met its end; outcome unknown", retry_after=1.0
        )
        for command in self._in_flight:
            command.reply.reject(unknown)
        for reply, _ in chain.from_iterable(self._waiters.values()):
            reply.reject(unknown)
        self._in_flight = ()
        self._waiters.clear()
        if self._turn is not None:
            self._turn.close()
            self._turn.stop("interrupted")


def _done(ack: Ack, finished: Entry, text: str) -> Ack:
    reason = finished.body.stop_reason if isinstance(finished.body, TurnFinished) else None
    return msgspec.structs.replace(
        ack, status="done", turn_id=finished.turn_id, stop_reason=reason, text=text
    )
