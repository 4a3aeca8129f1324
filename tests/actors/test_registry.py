"""One place per live session: never two for an id, never more than the limit, no more bytes than need be."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
import trio.testing
from greenroom.actors import open_supervisor
from greenroom.actors.actor import Actor
from greenroom.actors.commands import Barrier
from greenroom.actors.errors import ActorStoppedError, BusyError
from greenroom.actors.ref import ActorRef
from greenroom.actors.registry import LOOKED_AT, Place, Registry
from greenroom.actors.reply import ReplySlot
from greenroom.actors.supervision import Supervisor

from tests.actors.hand import sid

BYTES = 1_000_000


class Guest(Actor[Any]):
    """A session's stand-in: quiet or not, and slow to answer a `Barrier` if it is told to wait for a gate."""

    def __init__(self, place: Place, gate: trio.Event, *, is_quiet: bool) -> None:
        self._place = place
        self._gate = gate
        self.is_quiet = is_quiet

    async def started(self) -> None:
        await self._gate.wait()
        self._place.actor = self  # type: ignore[assignment]  # what a registry looks at is the same

    async def receive(self, message: Any) -> None:  # noqa: ANN401 - a Barrier
        await self._gate.wait()
        message.reply.resolve(None)


class House:
    """A registry, and the actors of its places."""

    def __init__(self, supervisor: Supervisor, limit: int, max_bytes: int = BYTES) -> None:
        self.registry = Registry(limit, max_bytes)
        self._supervisor = supervisor
        self.gate = trio.Event()
        self.gate.set()

    def open(self, number: int, *, is_quiet: bool = True) -> Place:
        def start(place: Place) -> ActorRef[Any]:
            def make() -> Guest:
                return Guest(place, self.gate, is_quiet=is_quiet)

            return self._supervisor.spawn_soon(make, name=str(place.id))

        return self.registry.open(sid(number), start)

    async def fill(self, *numbers: int, is_quiet: bool = True) -> list[Place]:
        places = [self.open(number, is_quiet=is_quiet) for number in numbers]
        await trio.testing.wait_all_tasks_blocked()
        return places

    @property
    def live(self) -> list[str]:
        return [place.id.peer_id for place in self.registry]


@pytest.fixture
async def supervisor() -> AsyncGenerator[Supervisor]:
    async with open_supervisor() as opened:
        yield opened


async def test_a_place_is_found_by_its_id_until_it_is_removed(supervisor: Supervisor) -> None:
    house = House(supervisor, 10)
    assert house.registry.get(sid(1)) is None
    (place,) = await house.fill(1)
    assert house.registry.get(sid(1)) is place
    assert len(house.registry) == 1
    assert house.registry.put_away(place)
    assert house.registry.get(sid(1)) is None
    assert place.actor is None
    with pytest.raises(ActorStoppedError):
        place.ref.tell(Barrier(ReplySlot()))


async def test_removing_a_place_a_second_time_leaves_the_one_that_followed_it(supervisor: Supervisor) -> None:
    house = House(supervisor, 10)
    (first,) = await house.fill(1)
    assert house.registry.put_away(first)
    (second,) = await house.fill(1)
    house.registry.weigh(second, 100)
    house.registry.remove(first)
    house.registry.weigh(first, 1000)
    assert house.registry.get(sid(1)) is second
    assert house.registry.bytes == 100


async def test_the_least_recently_used_quiet_session_is_put_away_for_a_new_one(
    supervisor: Supervisor,
) -> None:
    house = House(supervisor, 3)
    places = await house.fill(0, 1, 2)
    house.registry.get(sid(0))
    house.open(3)
    assert house.live == ["peer2", "peer0", "peer3"]
    assert not places[1].ref.is_alive


async def test_sessions_that_are_at_work_or_start_or_have_mail_are_never_put_away(
    supervisor: Supervisor,
) -> None:
    house = House(supervisor, 4)
    await house.fill(0, is_quiet=False)
    _, working = await house.fill(1, 2)
    house.gate = trio.Event()
    working_gate, slot = house.gate, ReplySlot[None]()
    house.open(3)  # it starts: there is no actor yet
    assert working.actor is not None
    working.actor._gate = working_gate  # type: ignore[attr-defined]
    working.ref.tell(Barrier(slot))
    await trio.testing.wait_all_tasks_blocked()
    house.open(4)
    assert sorted(house.live) == ["peer0", "peer2", "peer3", "peer4"]
    with pytest.raises(BusyError):
        house.open(5)
    working_gate.set()
    await slot.wait()


async def test_p15_with_nobody_quiet_the_answer_is_busy_and_nothing_changes(supervisor: Supervisor) -> None:
    house = House(supervisor, 2)
    await house.fill(0, 1, is_quiet=False)
    with pytest.raises(BusyError, match="expected at most 2 live sessions") as caught:
        house.open(2)
    assert caught.value.retry_after == 1.0
    assert sorted(house.live) == ["peer0", "peer1"]


async def test_many_busy_sessions_do_not_hide_the_quiet_ones_behind_them(supervisor: Supervisor) -> None:
    house = House(supervisor, LOOKED_AT + 10)
    await house.fill(*range(LOOKED_AT), is_quiet=False)
    await house.fill(*range(LOOKED_AT, LOOKED_AT + 10))
    with pytest.raises(BusyError):
        house.open(1000)
    for number in range(1000, 1010):
        house.open(number)
    assert len(house.registry) == LOOKED_AT + 10


async def test_p16_who_was_used_least_recently_leaves_when_all_together_hold_too_many_bytes(
    supervisor: Supervisor,
) -> None:
    house = House(supervisor, 10, max_bytes=1000)
    places = await house.fill(0, 1, 2)
    for place in places:
        house.registry.weigh(place, 300)
    assert len(house.registry) == 3
    house.registry.get(sid(0))
    house.registry.weigh(places[2], 500)
    assert house.live == ["peer2", "peer0"]
    assert house.registry.bytes == 800
    house.registry.weigh(places[0], 100)
    assert house.registry.bytes == 600


async def test_a_session_larger_than_the_budget_puts_the_others_away_and_stays(
    supervisor: Supervisor,
) -> None:
    house = House(supervisor, 10, max_bytes=1000)
    places = await house.fill(0, 1, 2)
    for place in places:
        house.registry.weigh(place, 10)
    house.registry.weigh(places[1], 5000)
    assert house.live == ["peer1"]
    assert house.registry.bytes == 5000


async def test_bytes_never_put_away_who_is_at_work(supervisor: Supervisor) -> None:
    house = House(supervisor, 10, max_bytes=1000)
    busy = await house.fill(0, 1, is_quiet=False)
    (quiet,) = await house.fill(2)
    for place in (quiet, *busy):
        house.registry.weigh(place, 600)
    assert sorted(house.live) == ["peer0", "peer1"]
    assert house.registry.bytes == 1200
