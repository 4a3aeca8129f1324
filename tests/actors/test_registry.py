"""One place per live session: never two for an id, never more than the limit."""

from typing import Any

import pytest
from greenroom.actors.commands import Barrier
from greenroom.actors.errors import BusyError, MailboxClosedError
from greenroom.actors.registry import LOOKED_AT, Place, Registry
from greenroom.actors.reply import ReplySlot

from tests.actors.hand import sid


class Actor:
    """The two things about an actor that a registry looks at."""

    def __init__(self, *, is_quiet: bool = True, is_working: bool = False) -> None:
        self.is_quiet = is_quiet
        self.is_working = is_working


def opened(registry: Registry, number: int, actor: Any = None) -> Place:  # noqa: ANN401 - stands for a Session
    place = registry.open(sid(number))
    place.actor = actor
    return place


def live(registry: Registry) -> list[str]:
    return [place.id.peer_id for place in registry]


def test_a_place_is_found_by_its_id_until_it_is_removed() -> None:
    registry = Registry(10, 10)
    assert registry.get(sid(1)) is None
    place = registry.open(sid(1))
    assert registry.get(sid(1)) is place
    assert len(registry) == 1
    registry.remove(place)
    assert registry.get(sid(1)) is None


def test_a_removed_place_takes_nothing_and_gives_back_what_waited() -> None:
    registry = Registry(10, 10)
    place = registry.open(sid(1))
    command = Barrier(ReplySlot())
    place.mailbox.put(command)
    assert registry.remove(place) == [command]
    with pytest.raises(MailboxClosedError):
        place.mailbox.put(command)


def test_removing_a_place_a_second_time_leaves_the_one_that_followed_it() -> None:
    registry = Registry(10, 10)
    first = registry.open(sid(1))
    registry.remove(first)
    second = registry.open(sid(1))
    assert registry.remove(first) == []
    assert registry.get(sid(1)) is second


def test_the_least_recently_used_quiet_session_is_put_away_for_a_new_one() -> None:
    registry = Registry(3, 10)
    places = [opened(registry, number, Actor()) for number in range(3)]
    registry.get(sid(0))
    opened(registry, 3)
    assert live(registry) == ["peer2", "peer0", "peer3"]
    assert places[1].mailbox.is_closed


def test_sessions_that_are_at_work_or_start_are_never_put_away() -> None:
    registry = Registry(3, 10)
    opened(registry, 0, Actor(is_quiet=False))
    opened(registry, 1)  # it starts: there is no actor yet
    opened(registry, 2, Actor())
    opened(registry, 3)
    assert sorted(live(registry)) == ["peer0", "peer1", "peer3"]


def test_a_session_in_quarantine_may_be_put_away() -> None:
    registry = Registry(1, 10)
    opened(registry, 0).rest()
    opened(registry, 1)
    assert live(registry) == ["peer1"]


def test_p15_with_nobody_quiet_the_answer_is_busy_and_nothing_changes() -> None:
    registry = Registry(2, 10)
    for number in range(2):
        opened(registry, number, Actor(is_quiet=False))
    with pytest.raises(BusyError, match="expected at most 2 live sessions") as caught:
        registry.open(sid(2))
    assert caught.value.retry_after == 1.0
    assert sorted(live(registry)) == ["peer0", "peer1"]


def test_many_busy_sessions_do_not_hide_the_quiet_ones_behind_them() -> None:
    registry = Registry(LOOKED_AT + 10, 10)
    for number in range(LOOKED_AT):
        opened(registry, number, Actor(is_quiet=False))
    for number in range(LOOKED_AT, LOOKED_AT + 10):
        opened(registry, number, Actor())
    with pytest.raises(BusyError):
        registry.open(sid(1000))
    for number in range(1000, 1010):
        registry.open(sid(number))
    assert len(registry) == LOOKED_AT + 10


def test_a_place_works_while_its_actor_starts_acts_or_has_mail() -> None:
    registry = Registry(10, 10)
    place = opened(registry, 1)
    assert place.is_working
    place.actor = Actor(is_working=True)  # type: ignore[assignment]
    assert place.is_working
    place.actor = Actor()  # type: ignore[assignment]
    assert not place.is_working
    place.mailbox.put(Barrier(ReplySlot()))
    assert place.is_working
    place.actor = None
    registry.remove(place)
    assert not place.is_working


def test_a_resting_place_hands_over_its_mail_and_takes_more_for_its_next_actor() -> None:
    place = opened(Registry(10, 10), 1)
    before, command = place.mailbox, Barrier(ReplySlot())
    before.put(command)
    assert place.rest() == [command]
    assert (place.is_resting, place.is_working, before.is_closed) == (True, False, True)
    place.mailbox.put(command)
    assert place.mailbox.depth == 1
