"""Who listens to which session; outlives the session's actor, so that a socket stays attached."""

from ..persistence.ids import SessionID
from .events import Event, Subscriber


class Topics:
    """Subscriptions by session. Every call returns at once."""

    def __init__(self) -> None:
        self._subscribers: dict[SessionID, dict[Subscriber, None]] = {}
        self._sessions: dict[Subscriber, set[SessionID]] = {}

    def subscribe(self, session: SessionID, subscriber: Subscriber) -> None:
        """Send the session's events to the subscriber from now on; a second time changes nothing."""
        self._subscribers.setdefault(session, {})[subscriber] = None
        self._sessions.setdefault(subscriber, set()).add(session)

    def unsubscribe(self, session: SessionID, subscriber: Subscriber) -> None:
        """Send it no more; unknown subscriptions are ignored."""
        listeners = self._subscribers.get(session, {})
        listeners.pop(subscriber, None)
        if not listeners:
            self._subscribers.pop(session, None)
        sessions = self._sessions.get(subscriber, set())
        sessions.discard(session)
        if not sessions:
            self._sessions.pop(subscriber, None)

    def drop(self, subscriber: Subscriber) -> None:
        """Forget a subscriber altogether."""
        for session in tuple(self._sessions.get(subscriber, ())):
            self.unsubscribe(session, subscriber)

    def publish(self, event: Event) -> None:
        """Offer an event to everyone who listens to its session."""
        listeners = self._subscribers.get(event.session)
        if listeners:
            # A copy: a subscriber that overflows may drop itself while it is offered the event.
            for subscriber in tuple(listeners):
                subscriber.offer(event)
