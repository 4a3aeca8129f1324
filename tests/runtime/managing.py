"""A manager for a test: on a file or in memory, with limits that end soon."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import trio
from greenroom.actors.hooks import SessionHook
from greenroom.actors.turn import Agent
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Ending, EndReason
from greenroom.runtime.config import Cleanup, Config, Isolation, Limits
from greenroom.runtime.embedding import open_manager
from greenroom.runtime.manager import SessionManager

from .serving import ECHO

ADA = SessionID("echo", "app", "ada")
BOB = SessionID("echo", "app", "bob")
Opened = Callable[..., AbstractAsyncContextManager[SessionManager]]


class Ears:
    """A hook that remembers the ends it is told of, in order."""

    def __init__(self) -> None:
        self.heard: list[Ending] = []

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        await trio.lowlevel.checkpoint()
        assert reason is ending.reason
        self.heard.append(ending)

    @property
    def reasons(self) -> list[EndReason]:
        return [ending.reason for ending in self.heard]


def opener(db: str) -> Opened:
    """Opens a manager on this database with these limits."""

    def open_one(
        agent: Agent = ECHO,
        *,
        hooks: Sequence[SessionHook] = (),
        isolation: Isolation | None = None,
        cleanup: Cleanup | None = None,
        reports: list[msgspec.Struct] | None = None,
        **limits: float,
    ) -> AbstractAsyncContextManager[SessionManager]:
        config = Config(
            db=db,
            limits=msgspec.convert({"drain": 0.2, "stop_grace": 0.2} | limits, Limits),
            isolation=isolation or Isolation(),
            cleanup=cleanup or Cleanup(),
        )
        told = [] if reports is None else reports
        return open_manager(config, agent=agent, hooks=hooks, report=told.append)

    return open_one


def on_file(folder: Path) -> Opened:
    """Opens a manager on one file in this folder."""
    return opener(str(folder / "greenroom.db"))
