"""The built-in agents, and the way to a host's own."""

import importlib
import inspect
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

from ..actors.turn import Agent, Turn

_WORD = re.compile(r"\s*\S+\s*")


class AgentNotFoundError(Exception):
    """No agent goes by this name."""


async def echo(turn: Turn) -> None:
    """Answer with the text itself, word by word, each with the white space after it."""
    for message in turn.messages:
        for word in words(message.content):
            await turn.say(word)


def words(text: str) -> list[str]:
    """The words of a text, each with the white space after it; joined they are the text."""
    return _WORD.findall(text) or [text]


def find_agent(name: str) -> Agent:
    """The agent that a configuration names: ``echo``, ``none`` or ``module:function``.

    A host's function is ``async def agent(turn: Turn) -> None``. It is taken to have effects, so that a turn
    cut off by a crash is reported and not run again, unless the function has an attribute
    ``on_interrupt = "retry"``. Its module may also lie in the working directory, and so may what that module
    imports while it is loaded, behind everything that is installed.

    Raises:
        AgentNotFoundError: The module cannot be imported, or has no such async function.
    """
    if name == "none":
        return Agent("none", None)
    if name == "echo":
        return Agent("echo", echo, on_interrupt="retry")
    module, _, attribute = name.partition(":")
    try:
        with _working_directory():
            function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as exc:
        raise AgentNotFoundError(f"agent: expected module:function to import, met {name} ({exc})") from exc
    if not inspect.iscoroutinefunction(function):
        raise AgentNotFoundError(f"agent: expected an async function, met {name}")
    retries = getattr(function, "on_interrupt", "finish") == "retry"
    return Agent(name, function, on_interrupt="retry" if retries else "finish")


@contextmanager
def _working_directory() -> Generator[None]:
    """Let modules be found in the working directory too; last, so that a file there replaces no package."""
    is_searched = "" in sys.path
    if not is_searched:
        sys.path.append("")
    try:
        yield
    finally:
        if not is_searched and "" in sys.path:
            sys.path.remove("")
