"""Stand-ins for what a host brings to compaction: language models, and a place where memory goes."""

from collections.abc import Sequence

import trio
from greenroom.persistence.records import Message


class Scribe:
    """A language model: gives the answer it was made with, and remembers what it was asked."""

    def __init__(self, answer: str = "They spoke of tea.") -> None:
        self.answer = answer
        self.asked: list[tuple[str, tuple[Message, ...], int]] = []

    async def __call__(self, prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
        await trio.lowlevel.checkpoint()
        self.asked.append((prompt, tuple(messages), max_tokens))
        return self.answer


async def failing(prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
    await trio.lowlevel.checkpoint()
    raise OSError(f"{prompt} {messages} {max_tokens}")


async def endless(prompt: str, messages: Sequence[Message], max_tokens: int) -> str:
    await trio.sleep_forever()
    return f"{prompt} {messages} {max_tokens}"


class Notebook:
    """Where memory goes."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, str]] = []

    async def refresh_memory(self, extracted: str, session_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.pages.append((session_id, extracted))
