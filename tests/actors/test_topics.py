"""Subscriptions outlive actors and never disturb a session."""

from greenroom.actors.events import Event, Resync
from greenroom.actors.topics import Topics

from tests.actors.hand import ANN, BOB, Ear


def event(session: object = ANN) -> Event:
    return Event(session, "1-t", 0, Resync())  # type: ignore[arg-type]


def test_a_subscriber_gets_the_events_of_its_sessions_only() -> None:
    topics, ear = Topics(), Ear()
    topics.subscribe(ANN, ear)
    topics.publish(event(ANN))
    topics.publish(event(BOB))
    assert [e.session for e in ear.events] == [ANN]


def test_subscribing_twice_gives_each_event_once() -> None:
    topics, ear = Topics(), Ear()
    topics.subscribe(ANN, ear)
    topics.subscribe(ANN, ear)
    topics.publish(event())
    assert len(ear.events) == 1


def test_unsubscribing_ends_it_and_is_idempotent() -> None:
    topics, ear, other = Topics(), Ear(), Ear()
    topics.unsubscribe(ANN, ear)
    topics.subscribe(ANN, ear)
    topics.subscribe(ANN, other)
    topics.unsubscribe(ANN, ear)
    topics.unsubscribe(ANN, ear)
    topics.publish(event())
    assert (ear.events, len(other.events)) == ([], 1)
    topics.unsubscribe(ANN, other)
    assert topics._subscribers == {}


def test_a_dropped_subscriber_leaves_nothing_behind() -> None:
    topics, ear = Topics(), Ear()
    topics.subscribe(ANN, ear)
    topics.subscribe(BOB, ear)
    topics.drop(ear)
    topics.drop(ear)
    topics.publish(event())
    assert ear.events == []
    assert (topics._subscribers, topics._sessions) == ({}, {})


def test_a_subscriber_may_drop_itself_while_it_is_offered_an_event() -> None:
    topics, last = Topics(), Ear()

    class Leaves(Ear):
        def offer(self, event: Event, /) -> None:
            super().offer(event)
            topics.drop(self)

    leaving = Leaves()
    topics.subscribe(ANN, leaving)
    topics.subscribe(ANN, last)
    topics.publish(event())
    topics.publish(event())
    assert (len(leaving.events), len(last.events)) == (1, 2)
