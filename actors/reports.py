"""What the actors tell their operator: frozen records to one injected callable; logs render them."""

import logging
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


class WriterDied(msgspec.Struct, frozen=True):
    """The thread that writes died of something else than a refusal of the store; another takes over, once."""

    error: str
    where: str


class IndexingFailed(msgspec.Struct, frozen=True):
    """Messages could not be put into the search index; a search finds them all the same, but slower."""

    error: str


class HookFailed(msgspec.Struct, frozen=True):
    """A hook raised, or was cut off after its time, when it was told of an end; the others were told."""

    session: SessionID
    end_id: str
    hook: str
    error: str
    where: str


class HookWouldNotStop(msgspec.Struct, frozen=True):
    """A hook was cut off and has not ended; nobody waits for it any longer, the others are told."""

    session: SessionID
    end_id: str
    hook: str


class HookSkipped(msgspec.Struct, frozen=True):
    """A hook was not told of an end, because too many of its earlier calls would not stop."""

    session: SessionID
    end_id: str
    hook: str


class EndsDelayed(msgspec.Struct, frozen=True):
    """The store refused to read or erase an end in the outbox; it is asked again until it does."""

    error: str


class EndsDamaged(msgspec.Struct, frozen=True):
    """Damage in the outbox: the ends numbered above ``after``, up to ``upto``, are told to nobody."""

    after: int
    upto: int


class EndNotErased(msgspec.Struct, frozen=True):
    """An end was told but will not leave the outbox; the next start of the runtime tells it again."""

    end_id: str
    error: str


Reporter = Callable[[msgspec.Struct], None]

_log = logging.getLogger("greenroom")


def guarded(report: Reporter) -> Reporter:
    """A reporter that never raises: who reports has more to do, and a host's own failure must not end it."""

    def tell(record: msgspec.Struct) -> None:
        try:
            report(record)
        except Exception as exc:  # noqa: BLE001 - the host's code
            _log.error("report: expected a reporter that takes a record, met %s at %s", *describe(exc))

    return tell


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
