"""A live session is small, and one that was put away is freed at once, without the collector of cycles."""

import gc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Generic

import msgspec
import pytest
import trio
import trio.testing
from greenroom.actors.commands import End, RemoveQueued
from greenroom.actors.context import LiveContext
from greenroom.actors.conversation import Conversation
from greenroom.actors.errors import IdConflictError, SessionNotFoundError
from greenroom.actors.recall import Recall
from greenroom.actors.reply import ReplySlot
from greenroom.actors.session import Session
from greenroom.actors.turn import Turn
from greenroom.actors.turn_slot import TurnSlot
from greenroom.actors.waiters import Waiters
from greenroom.persistence import records
from greenroom.persistence.ids import SessionID
from greenroom.persistence.store import SessionStore
from greenroom.runtime.core import Core

from tests.actors.hand import ECHO, Ear, Puppet, attach, done, running, send, settle, sid

LIVE = 4  # as many may also be held, each by a task that served it last and has nothing to do
PUT_AWAY = 40
OF_A_SESSION = (Session, Recall, LiveContext, Turn)
RECORDS = [
    *(kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)),
    Conversation,
]


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def counted() -> Counter[type]:
    """How many objects there are of each kind of which every live session has one, or may."""
    return Counter(type(thing) for thing in gc.get_objects() if type(thing) in OF_A_SESSION)


@pytest.mark.usefixtures("no_collector")
async def test_sessions_put_away_for_want_of_room_leave_nothing_to_the_collector(
    store: SessionStore,
) -> None:
    before = counted()
    async with running(store, ECHO, live_sessions=LIVE) as core:
        for number in range(PUT_AWAY):
            await talk(core, sid(number))
        await trio.testing.wait_all_tasks_blocked()
        assert more(before) <= LIVE


@pytest.mark.usefixtures("no_collector")
async def test_sessions_that_come_to_rest_leave_nothing_to_the_collector(store: SessionStore) -> None:
    before = counted()
    async with running(store, ECHO) as core:
        for number in range(PUT_AWAY):
            await talk(core, sid(number))
            await core.router.ask(sid(number), partial(End, "archive"))
        await trio.testing.wait_all_tasks_blocked()
        assert more(before) <= LIVE


@pytest.mark.usefixtures("no_collector")
async def test_a_refused_command_leaves_nothing_of_its_session_to_the_collector(store: SessionStore) -> None:
    before = counted()
    async with running(store, ECHO, live_sessions=LIVE) as core:
        for number in range(PUT_AWAY):
            await done(core, sid(number), "a")
            with pytest.raises(IdConflictError):
                await send(core, sid(number), "a", "another content")
            with pytest.raises(SessionNotFoundError):
                await core.router.ask(sid(-1 - number), RemoveQueued)
        await trio.testing.wait_all_tasks_blocked()
        assert more(before) <= LIVE


@pytest.mark.usefixtures("no_collector")
async def test_a_stopped_turn_leaves_nothing_of_its_session_to_the_collector(store: SessionStore) -> None:
    before = counted()
    puppet = Puppet()
    async with running(store, puppet.agent(), live_sessions=LIVE) as core:
        for number in range(PUT_AWAY):
            await send(core, sid(number), "a")
            turn = await puppet.turn()
            await turn.say("half an answer")
            slot: ReplySlot[tuple[str, ...]] = ReplySlot()
            core.router.cancel(sid(number), None, slot)
            await slot.wait()
        del turn
        await trio.testing.wait_all_tasks_blocked()
        assert more(before) <= LIVE


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_nothing_for_the_collector(kind: type[msgspec.Struct]) -> None:
    """Frozen and made of plain data, it can be part of no cycle; many sessions keep very many."""
    assert kind.__struct_config__.frozen
    assert not kind.__struct_config__.gc


@pytest.mark.parametrize("kind", [Session, Recall, LiveContext, Waiters, TurnSlot])
def test_what_every_session_has_keeps_no_dict_of_attributes(kind: type) -> None:
    assert all("__slots__" in vars(one) for one in kind.__mro__ if one not in {object, Generic})


def test_parsed_ids_share_the_names_of_agent_and_channel() -> None:
    ann, bob = (SessionID.parse(f"support:telegram:{peer}") for peer in ("ann", "bob"))
    assert ann.agent_id is bob.agent_id
    assert ann.channel_id is bob.channel_id


async def talk(core: Core, session: SessionID) -> None:
    """Attach, send, have it answered, repeat, leave."""
    ear = Ear()
    await attach(core, session, ear)
    await done(core, session, "a")
    await send(core, session, "a")
    core.topics.drop(ear)
    await settle(core, session)


def more(before: Counter[type]) -> int:
    """The most objects of one kind that have come and not gone."""
    found = counted() - before
    return max(found.values(), default=0)
