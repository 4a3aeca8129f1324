"""The one turn that a session may have running: begun, held, stopped and forgotten by the session actor."""

from collections.abc import Callable

from ..persistence.records import Message, TurnMark
from .commands import Command, RunningTurn
from .context import LiveContext
from .conversation import Conversation
from .effects import Begin
from .events import Live, TurnDelta, TurnStarted
from .ref import ActorRef
from .turn import Turn
from .turn_host import TurnHost


class TurnSlot:
    """Empty, or holds the running turn.

    Args:
        host: Where turns run.
        max_bytes: What one turn may say.
    """

    __slots__ = ("_host", "_max_bytes", "_turn")

    def __init__(self, host: TurnHost, max_bytes: int) -> None:
        self._host = host
        self._max_bytes = max_bytes
        self._turn: Turn | None = None

    def __bool__(self) -> bool:
        return self._turn is not None

    @property
    def said(self) -> str:
        """All that the running turn has said so far."""
        return "" if self._turn is None else self._turn.text

    def running(self) -> RunningTurn | None:
        """The running turn as one who attaches sees it."""
        if self._turn is None:
            return None
        text = self._turn.text
        return RunningTurn(self._turn.turn_id, text, len(text))

    def begin(
        self,
        effect: Begin,
        state: Conversation,
        context: LiveContext,
        session: ActorRef[Command],
        tell: Callable[[Live], None],
    ) -> None:
        """Run a turn on the conversation as it is.

        Args:
            effect: Which turn.
            state: The conversation as it is.
            context: Its messages.
            session: Told of the turn's end.
            tell: Takes live news of the turn; the slot keeps it no longer than the turn.
        """
        messages = tuple(e.body for e in effect.entries if isinstance(e.body, Message))
        head = state.facts.head_seq if state.facts else 0
        pending = frozenset(entry.seq for entry in state.pending)
        turn_id = effect.mark.turn_id
        self._turn = Turn(
            state.id,
            turn_id,
            effect.mark.attempt,
            messages,
            # Its own messages come last: they may lie before the answer to the one ahead of them.
            context=lambda: (*context.before(head, pending), *messages),
            tell=lambda offset, text: tell(TurnDelta(turn_id, offset, text)),
            max_bytes=self._max_bytes,
            is_waiting=effect.mark.is_waiting,
        )
        tell(TurnStarted(turn_id, effect.mark.message_seqs))
        self._host.start(self._turn, session)

    def stop(self, turn_id: str | None) -> None:
        """Tell the turn to stop, if it is the one that is meant."""
        turn = self._turn
        if turn is not None and not turn.is_closed and turn_id in (None, turn.turn_id):
            self._host.cancel(turn)

    def hold(self, now: TurnMark | None, then: TurnMark | None) -> Callable[[], None]:
        """Make a turn that a step cuts off wait: it may say no more than what is being stored.

        Returns:
            What lets it go on, or find itself closed.
        """
        turn = self._turn
        if turn is None or turn.is_closed or now == then:
            return lambda: None
        turn.hold()
        return turn.release

    def empty(self) -> None:
        """Forget the turn, whose end is stored; an agent still at work is cut off, its words are dropped."""
        if self._turn is not None:
            self._host.cancel(self._turn)
            self._turn.close()
            self._turn = None

    def give_up(self) -> None:
        """Leave the turn, whose end nobody will store, to itself."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close()
            turn.stop("interrupted")
