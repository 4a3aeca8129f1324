"""News of a deletion waits behind its answer on the connection that asked for it, and nowhere else."""

from greenroom.actors.events import Event, QueueChanged
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import EndReason, SessionEnded
from greenroom.runtime.deletions import MAX_HELD, Deletions

A, B = SessionID("a", "b", "a"), SessionID("a", "b", "b")


def ended(session: SessionID = A, at: int = 0) -> Event:
    return Event(session, "1-x", at, SessionEnded(EndReason.DELETE, "e"))


def news(at: int, session: SessionID = A) -> Event:
    return Event(session, "1-y", at, QueueChanged(()))


def test_what_nobody_asked_for_is_told_at_once() -> None:
    deletions = Deletions()
    assert deletions.pass_on(ended()) == (ended(),)
    deletions.asked(A)
    assert deletions.pass_on(ended(B)) == (ended(B),)


def test_all_from_the_deletion_on_waits_for_the_answer_and_what_was_before_does_not() -> None:
    deletions = Deletions()
    deletions.asked(A)
    assert deletions.pass_on(news(1)) == (news(1),)
    for event in (ended(), news(2), news(3)):
        assert deletions.pass_on(event) == ()
    assert deletions.pass_on(news(4, B)) == (news(4, B),)
    assert list(deletions.answered(A)) == [ended(), news(2), news(3)]
    assert deletions.pass_on(news(5)) == (news(5),)


def test_each_answer_lets_out_what_came_before_the_next_deletion() -> None:
    deletions = Deletions()
    deletions.asked(A)
    deletions.asked(A)
    for event in (ended(at=1), news(2), ended(at=3), news(4)):
        assert deletions.pass_on(event) == ()
    assert list(deletions.answered(A)) == [ended(at=1), news(2)]
    assert list(deletions.answered(A)) == [ended(at=3), news(4)]
    assert deletions.pass_on(news(5)) == (news(5),)


def test_a_refused_deletion_holds_nothing() -> None:
    deletions = Deletions()
    deletions.asked(A)
    assert list(deletions.answered(A)) == []
    assert deletions.pass_on(ended()) == (ended(),)


def test_a_new_subscription_hears_nothing_of_what_waited_for_the_old_one() -> None:
    deletions = Deletions()
    deletions.asked(A)
    deletions.pass_on(ended())
    deletions.forget(A)
    assert deletions.pass_on(news(1)) == (news(1),)
    assert list(deletions.answered(A)) == []


def test_no_more_waits_than_may() -> None:
    deletions = Deletions()
    deletions.asked(A)
    told = [piece for at in range(MAX_HELD + 5) for piece in deletions.pass_on(news(at) if at else ended())]
    assert [event.at for event in told] == list(range(MAX_HELD + 5))
    assert list(deletions.answered(A)) == []
