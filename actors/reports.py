"""What the actors tell their operator: frozen records to one injected callable; logs render them."""

import traceback
from collections.abc import Callable
from typing import cast

import msgspec

from ..persistence.ids import SessionID


class SessionCrashed(msgspec.Struct, frozen=True):
    """A session's actor failed and is started again from the store."""

    session: SessionID
    error: str
    where: str


class SessionQuarantined(msgspec.Struct, frozen=True):
    """A session's actor failed too often and is left alone for ``seconds``."""

    session: SessionID
    seconds: float


class SessionDamaged(msgspec.Struct, frozen=True):
    """What is stored of a session cannot be trusted; it is not served."""

    session: SessionID


class AgentFailed(msgspec.Struct, frozen=True):
    """An agent raised; its turn was finished with an error."""

    session: SessionID
    turn_id: str
    error: str
    where: str


class AgentWouldNotStop(msgspec.Struct, frozen=True):
    """An agent was told to stop and has not ended; whatever it says now is dropped."""

    session: SessionID
    turn_id: str
    agent: str


class CommitFailed(msgspec.Struct, frozen=True):
    """The store refused a batch; nothing of it was acked."""

    appends: int
    error: str


Reporter = Callable[[msgspec.Struct], None]


def describe(error: BaseException) -> tuple[str, str]:
    """An error's class, and the file and line that raised it; never its text: it may repeat what people said.

    A group, as a nursery raises it, is described by its first error.
    """
    root = error
    while isinstance(root, BaseExceptionGroup):
        members: tuple[BaseException, ...] = cast("BaseExceptionGroup[BaseException]", root).exceptions
        root = members[0]
    frames = traceback.extract_tb(root.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return type(root).__name__, where
