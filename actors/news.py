"""What sessions tell those attached to them: what changed, in the words of events."""

from collections.abc import Callable, Sequence

from ..persistence.records import Ending, Entry, SessionEnded, SessionFacts
from .conversation import Conversation, epoch_string
from .events import Event, Live, QueueChanged, StateChanged
from .topics import Topics


class News:
    """Publishes the events of all sessions, which share it.

    Args:
        topics: Where they go.
        wall: The present time, in microseconds since the Unix epoch.
    """

    def __init__(self, topics: Topics, wall: Callable[[], int]) -> None:
        self._topics = topics
        self._wall = wall

    def changed(
        self, before: Conversation, after: Conversation, entries: Sequence[Entry], ending: Ending | None
    ) -> None:
        """Tell what a stored step changed: its entries first, then what follows from them."""
        if before.facts and after.facts is None and ending is not None:
            ended = SessionEnded(ending.reason, ending.end_id)
            self._publish(before.facts, ending.at, ended)
        if after.facts is None:
            return
        for entry in entries:
            event = Event(after.id, f"{entry.epoch}-{after.facts.tag}", entry.at, entry)
            self._topics.publish(event)
        if before.facts and before.facts.state != after.facts.state:
            reason = None if ending is None else str(ending.reason)
            self.tell(after.facts, StateChanged(str(after.facts.state), reason))
        if before.queue != after.queue:
            self.tell(after.facts, QueueChanged(after.queue))

    def tell(self, facts: SessionFacts | None, live: Live) -> None:
        """Tell something that is not stored, of a session that is."""
        if facts is not None:
            self._publish(facts, self._wall(), live)

    def _publish(self, facts: SessionFacts, at: int, live: Live) -> None:
        self._topics.publish(Event(facts.id, epoch_string(facts), at, live))
