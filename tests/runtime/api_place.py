"""Where the rows of the API table are tried: a real manager on a file, with one conversation in it."""

import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from greenroom.actors.compactor import ContextView
from greenroom.persistence.records import Ending
from greenroom.runtime import (
    CompactionSettings,
    CompactorMemoryIntegration,
    Config,
    EndReason,
    Message,
    Session,
    SessionCompactor,
    SessionID,
    SessionManager,
    default_memory_refresh_config,
    open_manager,
)

from tests.actors.scribe import Notebook

from .serving import ECHO

ADA = SessionID("echo", "app", "ada", "tea")
NOBODY = SessionID("echo", "app", "nobody")
T = TypeVar("T")


class Ears:
    """A hook that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[EndReason, str, int]] = []

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append((reason, ending.facts.title, len(ending.messages)))


@dataclasses.dataclass
class Place:
    """What a row may use; ``session`` is a handle on ADA."""

    folder: Path
    manager: SessionManager
    session: Session
    ears: Ears
    notebook: Notebook = dataclasses.field(default_factory=Notebook)

    @property
    def compactor(self) -> SessionCompactor:
        settings = CompactionSettings(threshold=0.75, strategy="truncate", preserve_recent=2)
        return SessionCompactor(settings, count_words, summarize=summarize, report=ignore)

    @property
    def integration(self) -> CompactorMemoryIntegration:
        config = default_memory_refresh_config()
        return CompactorMemoryIntegration(self.compactor, self.notebook, summarize, config)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        published: The names of the API, space between them.
        here: What they are called in this program, in the same order.
        call: Uses them.
        expected: What comes of it; a function is asked whether it is right.
    """

    published: str
    here: str
    call: Callable[[Place], Any]
    expected: object


@asynccontextmanager
async def open_place(folder: Path) -> AsyncGenerator[Place]:
    ears = Ears()
    async with open_manager(Config(db=str(folder / "api.db")), agent=ECHO, hooks=[ears]) as manager:
        session = await manager.get_or_create(ADA)
        prompt = {"system_prompt": "Be brief.", "summary": "They met."}
        await manager.update(ADA, title="Tea", tags=["green"], custom_data={"cup": "blue"}, **prompt)
        await session.send("hello world", client_id="m1", wait="done")
        yield Place(folder, manager, session, ears)


async def after(change: Awaitable[object], read: Awaitable[T]) -> T:
    """What is read once a change is made."""
    await change
    return await read


async def refusal(of: Awaitable[object]) -> str:
    """The class of the error that something is refused with."""
    try:
        await of
    except Exception as exc:  # noqa: BLE001 - whichever it is
        return type(exc).__name__
    return "nothing"


async def summarize(prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
    """A language model."""
    await trio.lowlevel.checkpoint()
    return f"Likes tea. {prompt.split(maxsplit=1)[0]} {len(messages)} {max_tokens}"


def ignore(_: object) -> None:
    """A reporter for those with nothing to tell."""


def count_words(text: str) -> int:
    return len(text.split())


def context(count: int) -> ContextView:
    """Messages of a hundredth of the budget each."""
    messages = (Message("user", "?"),) * count
    return ContextView(messages=messages, tokens=(1,) * count, budget=100, session_id=str(ADA))
