"""Which session an id means, as the operator decides it."""

import pytest
from greenroom.persistence.ids import SessionID
from greenroom.runtime.config import Isolation
from greenroom.runtime.isolation import isolated
from hypothesis import given
from hypothesis import strategies as st

FULL = SessionID("agent", "channel", "peer", "thread")


@pytest.mark.parametrize(
    ("isolation", "session"),
    [
        (Isolation(), "agent:channel:peer:thread"),
        (Isolation(by_agent=False), "*:channel:peer:thread"),
        (Isolation(by_channel=False), "agent:*:peer:thread"),
        (Isolation(by_peer=False), "agent:channel:*:thread"),
        (Isolation(by_thread=False), "agent:channel:peer"),
        (Isolation(by_agent=False, by_channel=False, by_peer=False, by_thread=False), "*:*:*"),
    ],
)
def test_a_part_that_is_not_isolated_makes_no_difference(isolation: Isolation, session: str) -> None:
    assert isolated(FULL, isolation) == SessionID.parse(session)


PARTS = st.sampled_from(["a", "b", "*", "ä:%"])


@given(
    st.builds(SessionID, PARTS, PARTS, PARTS, st.just("") | PARTS),
    st.builds(
        Isolation,
        by_agent=st.booleans(),
        by_channel=st.booleans(),
        by_peer=st.booleans(),
        by_thread=st.booleans(),
    ),
)
def test_what_an_id_means_means_itself_and_can_be_written_down(
    session: SessionID, isolation: Isolation
) -> None:
    meant = isolated(session, isolation)
    assert isolated(meant, isolation) == meant
    assert SessionID.parse(str(meant)) == meant
