"""The table of a session's life: what it holds, and that nothing else happens."""

import itertools

import pytest
from greenroom.actors.errors import ConflictError
from greenroom.actors.life import TRANSITIONS, Turning, after_message, require_transition
from greenroom.persistence.records import SessionState

ACTIVE, IDLE, COMPACTING, SUSPENDED, ARCHIVED = SessionState

SETTABLE = {
    (IDLE, ACTIVE),
    (SUSPENDED, ACTIVE),
    (ARCHIVED, ACTIVE),
    (ACTIVE, IDLE),
    (IDLE, SUSPENDED),
    (ACTIVE, COMPACTING),
    (IDLE, COMPACTING),
    (COMPACTING, ACTIVE),
    (COMPACTING, IDLE),
    (ACTIVE, ARCHIVED),
    (IDLE, ARCHIVED),
    (COMPACTING, ARCHIVED),
    (SUSPENDED, ARCHIVED),
}


@pytest.mark.parametrize(("before", "after"), [*itertools.product(SessionState, repeat=2)])
def test_a_state_is_set_only_as_a_row_of_the_table_says(before: SessionState, after: SessionState) -> None:
    if (before, after) in SETTABLE:
        require_transition(before, after)
    else:
        with pytest.raises(ConflictError, match=f"met {before} to {after}") as caught:
            require_transition(before, after)
        assert caught.value.field == "state"


@pytest.mark.parametrize("state", SessionState)
def test_a_message_makes_every_session_active_but_a_compacting_one(state: SessionState) -> None:
    assert after_message(state) is (COMPACTING if state is COMPACTING else ACTIVE)


@pytest.mark.parametrize("state", SessionState)
def test_a_new_epoch_begins_active_from_every_state(state: SessionState) -> None:
    assert (state, Turning.NEW_EPOCH, ACTIVE) in TRANSITIONS


def test_states_are_numbered_and_printed_as_they_are_stored_and_shown() -> None:
    assert [int(state) for state in SessionState] == [0, 1, 2, 3, 4]
    assert [str(state) for state in SessionState] == ["active", "idle", "compacting", "suspended", "archived"]
