"""What every session of one runtime shares."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .conversation import Rules
from .ends import Ends
from .news import News
from .reads import Reads
from .reports import Reporter
from .topics import Topics
from .turn_host import TurnHost
from .writer import Writer


@dataclass(slots=True)
class Surroundings:
    """What every session of one runtime shares.

    Attributes:
        writer: Makes appends durable.
        ends: Tells who wants to know of the ends of conversations.
        reads: Reads the store off the loop.
        topics: Who listens.
        rules: What the conversation's rules depend on; replaced when the runtime drains.
        turns: Where turns run.
        report: Told of failures.
        context_tokens: Token budget of the live context.
        content_bytes: Limit on one message's content, UTF-8 bytes.
        wall: The present time, in microseconds since the Unix epoch.
        news: Tells those who listen.
        refused: Told that the store refused to let a session start, which may have work left to do.
    """

    writer: Writer
    ends: Ends
    reads: Reads
    topics: Topics
    rules: Rules
    turns: TurnHost
    report: Reporter
    context_tokens: int
    content_bytes: int
    wall: Callable[[], int]
    news: News = field(init=False)
    refused: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.news = News(self.topics, self.wall)


def now() -> int:
    """Wall time in microseconds since the Unix epoch."""
    return time.time_ns() // 1000
