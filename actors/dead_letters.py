"""Messages that nobody handled: visible, bounded, and sent again on request."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

# A screenful per child and more; the oldest are dropped, and counted.
KEPT = 1000

Fate = Literal["poison", "cut off", "stopped", "quarantined", "refused"]


class DeadLetter:
    """One message that was not handled to its end.

    Attributes:
        actor: The name of the actor it was for.
        message: The message itself.
        fate: ``poison`` crashed its actor, ``cut off`` was in hand at the end, ``stopped`` waited then or
            came later, ``quarantined`` waited when the actor was laid to rest, ``refused`` is a timer's for
            which there was no room, or only an actor at rest.
        error: What it raised, if it is poison.
        answer: What whoever asked is answered.
        at: When, in monotonic seconds.
    """

    __slots__ = ("_letters", "_put", "actor", "answer", "at", "error", "fate", "message")

    def __init__(  # noqa: PLR0913 - a record
        self,
        letters: "DeadLetters",
        put: Callable[[object], None],
        *,
        actor: str,
        message: object,
        fate: Fate,
        error: Exception | None,
        answer: Exception,
        at: float,
    ) -> None:
        self._letters = letters
        self._put = put
        self.actor = actor
        self.message = message
        self.fate: Fate = fate
        self.error = error
        self.answer = answer
        self.at = at

    def replay(self) -> None:
        """Tell the message to its actor once more, and take the letter out of the list.

        Raises:
            MailboxFullError: There is no room; the letter stays.
            ActorStoppedError: The actor has ended; the letter stays.
            ActorQuarantinedError: It rests; the letter stays.
        """
        self._put(self.message)
        self._letters.discard(self)

    def __repr__(self) -> str:
        return f"<DeadLetter for {self.actor}: {self.fate}, {type(self.message).__name__}>"


class DeadLetters:
    """The last `KEPT` of them, oldest first.

    Args:
        tell: Called with each, if given; neither waits nor raises. A letter for which it answers True is not
            kept.

    Attributes:
        dropped: How many older ones were forgotten.
    """

    def __init__(self, tell: Callable[[DeadLetter], bool | None] | None = None) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=KEPT)
        self._tell = tell
        self.dropped = 0

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter, if nobody deals with it at once; the oldest goes if there is no room."""
        if self._tell is None or not self._tell(letter):
            self.dropped += len(self._kept) == KEPT
            self._kept.append(letter)

    def discard(self, letter: DeadLetter) -> None:
        """Forget a letter, if it is still here."""
        if letter in self._kept:
            self._kept.remove(letter)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))
