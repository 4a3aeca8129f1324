"""Which parts of a session's id make a session of its own, as the operator has decided."""

from typing import Final

from ..persistence.ids import SessionID
from .config import Isolation

ANY: Final = "*"
"""Stands in an id for a part that makes no difference."""


def isolated(session: SessionID, isolation: Isolation) -> SessionID:
    """The session that an id means: a part that is not isolated becomes ``*``, a thread is dropped.

    What it answers it leaves alone: an id that came out of it means itself.
    """
    if isolation == Isolation():
        return session  # the common case, without building and checking another id
    return SessionID(
        session.agent_id if isolation.by_agent else ANY,
        session.channel_id if isolation.by_channel else ANY,
        session.peer_id if isolation.by_peer else ANY,
        session.thread_id if isolation.by_thread else "",
    )
