"""The life of a session as a table: which event leads from which state to which.

Everything that changes a session's state looks here: what the table does not hold does not happen.
"""

import enum
from typing import Final

from ..persistence.records import EndReason, SessionState
from .commands import EndVerb
from .errors import ConflictError


class Turning(enum.Enum):
    """What can change a session's state."""

    MESSAGE = enum.auto()
    SILENCE = enum.auto()
    COMPACTION_STARTS = enum.auto()
    COMPACTION_ENDS = enum.auto()
    ARCHIVING = enum.auto()
    NEW_EPOCH = enum.auto()


_ACTIVE, _IDLE, _COMPACTING, _SUSPENDED, _ARCHIVED = SessionState

TRANSITIONS: Final[frozenset[tuple[SessionState, Turning, SessionState]]] = frozenset(
    {
        (_IDLE, Turning.MESSAGE, _ACTIVE),
        (_SUSPENDED, Turning.MESSAGE, _ACTIVE),
        (_ARCHIVED, Turning.MESSAGE, _ACTIVE),
        (_ACTIVE, Turning.SILENCE, _IDLE),
        (_IDLE, Turning.SILENCE, _SUSPENDED),
        (_ACTIVE, Turning.COMPACTION_STARTS, _COMPACTING),
        (_IDLE, Turning.COMPACTION_STARTS, _COMPACTING),
        (_COMPACTING, Turning.COMPACTION_ENDS, _ACTIVE),
        (_COMPACTING, Turning.COMPACTION_ENDS, _IDLE),
        *((state, Turning.ARCHIVING, _ARCHIVED) for state in SessionState if state is not _ARCHIVED),
        *((state, Turning.NEW_EPOCH, _ACTIVE) for state in SessionState),
    }
)
"""Leaving a state by deletion is possible from each: delete() from any, by silence from archived only."""

END_REASONS: Final[dict[EndVerb, EndReason]] = {
    "new": EndReason.NEW,
    "reset": EndReason.RESET,
    "archive": EndReason.ARCHIVE,
    "delete": EndReason.DELETE,
}

_SETTABLE: Final = frozenset(
    (before, after) for before, turning, after in TRANSITIONS if turning is not Turning.NEW_EPOCH
)


def after_message(state: SessionState) -> SessionState:
    """The state of a session once a message has come, from the state before."""
    return _ACTIVE if (state, Turning.MESSAGE, _ACTIVE) in TRANSITIONS else state


def require_transition(before: SessionState, after: SessionState) -> None:
    """Refuse a change of state that no row of the table without a change of epoch stands for.

    Raises:
        ConflictError: There is no such row.
    """
    if (before, after) not in _SETTABLE:
        raise ConflictError(
            f"state: expected a transition of the table, met {before} to {after}", field="state"
        )
