"""``greenroom chat``: a conversation in the terminal, or through a pipe."""

import errno
import getpass
import os
import sys
import uuid
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Self

import trio

from ..persistence.ids import SessionID
from .chat_screen import Screen
from .client import Client, open_client
from .client_conversation import Conversation
from .client_errors import RequestError
from .client_events import Ack, Notice, Snapshot, TurnEnded
from .exits import UsageError
from .terminal import one_line

LINE_LIMIT = 1024 * 1024  # bytes; a longer line is cut into several, which no server would take whole anyway


def chat(session: str | None = None, /, *, url: str = "ws://127.0.0.1:8765/v1") -> None:
    """Talk in one session from the terminal.

    Each line is a message; /quit or the end of input ends, the latter after the last answer has come. /help
    tells what other commands there are. Through a pipe only the answers are written.

    Args:
        session: The session's id. Default echo:terminal:YOUR-NAME
        url: The server's WebSocket address.
    """
    name = session or _default_session()
    try:
        SessionID.parse(name)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    # At checkpoints of the main task only: raised in the midst of a library's C code it may be lost there.
    trio.run(_chat, name, url, restrict_keyboard_interrupt_to_checkpoints=True)


def _default_session() -> str:
    try:
        return str(SessionID("echo", "terminal", getpass.getuser()))
    except (KeyError, OSError, ValueError):  # no entry for this user id, or a name that no id may hold
        return "echo:terminal:somebody"


async def _chat(session: str, url: str) -> None:
    plain = not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty())
    screen = Screen(_write, plain=plain)
    link = open_client(url, name="greenroom-chat", on_connection=_ConnectionNews())
    async with link as client, client.attach(session) as conversation, trio.open_nursery() as nursery:
        if not plain:
            _warn(f"in {session} at {url}; /quit ends")
        unanswered = _Unanswered()
        nursery.start_soon(_listen, conversation, screen, unanswered)
        await _speak(client, session, screen, unanswered, plain=plain)
        nursery.cancel_scope.cancel(reason="the chat has ended")


async def _listen(conversation: Conversation, screen: Screen, unanswered: "_Unanswered") -> None:
    async for event in conversation:
        screen.show(event)
        if isinstance(event, TurnEnded) and not event.will_retry:
            unanswered.ended(event.message_seqs)
        elif isinstance(event, Notice) and event.type == "queue.removed":
            unanswered.ended(tuple(event.data.get("seqs", ())))
        elif isinstance(event, Snapshot) and not event.turn and not event.queue:
            unanswered.nothing_runs()


async def _speak(
    client: Client, session: str, screen: Screen, unanswered: "_Unanswered", *, plain: bool
) -> None:
    """Send what is typed until it ends, then wait for the answers."""
    async for line in _Lines():
        if line == "/quit":
            return
        client_id = uuid.uuid4().hex
        screen.expect(client_id)
        try:
            with unanswered.sending():
                ack = await client.send(session, line, client_id=client_id)
                unanswered.sent(ack)
            screen.answered(ack)
        except RequestError as exc:
            if plain:
                raise
            _warn(one_line(str(exc)))
    await unanswered.none()


class _Lines:
    """The lines of standard input, without blank ones.

    Read below Python's own buffer, whose lock a thread waiting in it would hold when the interpreter ends.
    """

    def __init__(self) -> None:
        self._whole: deque[bytes] = deque()
        self._rest = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            while self._whole:
                if line := self._whole.popleft().strip(b"\r\n"):
                    text = line.decode(errors="replace")
                    if text.strip():
                        return text
            await self._read()

    async def _read(self) -> None:
        """Take in what is there; the end of input ends an unfinished line, and after that the lines."""
        data = await trio.to_thread.run_sync(_read_some, abandon_on_cancel=True)
        if not data and not self._rest:
            raise StopAsyncIteration
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._whole.extend(whole)
        if not data or len(self._rest) >= LINE_LIMIT:
            self._whole.append(self._rest)
            self._rest = b""


def _read_some() -> bytes:
    try:
        return os.read(0, 65536)
    except OSError as exc:
        if exc.errno == errno.EBADF:  # started without a standard input
            return b""
        raise


class _Unanswered:
    """The messages sent from here that no turn has answered yet."""

    def __init__(self) -> None:
        self._seqs: set[int] = set()
        self._early: set[int] | None = None  # while sending: turns may end before the ack is looked at
        self._waiter = trio.lowlevel.ParkingLot()

    @contextmanager
    def sending(self) -> Generator[None]:
        self._early = set()
        try:
            yield
        finally:
            self._early = None

    def sent(self, ack: Ack) -> None:
        # Where nobody answers, a message is accepted without a turn.
        is_settled = ack.status in {"done", "command", "removed"}
        will_be_answered = not is_settled and (ack.status != "accepted" or ack.turn_id is not None)
        if will_be_answered and ack.seq not in (self._early or ()):
            self._seqs.add(ack.seq)

    def ended(self, seqs: tuple[int, ...]) -> None:
        self._seqs.difference_update(seqs)
        if self._early is not None:
            self._early.update(seqs)
        self._waiter.unpark_all()

    def nothing_runs(self) -> None:
        self._seqs.clear()
        self._waiter.unpark_all()

    async def none(self) -> None:
        while self._seqs:
            await self._waiter.park()


def _write(text: str) -> None:
    print(text, end="", flush=True)  # noqa: T201  # the chat itself


def _warn(text: str) -> None:
    print(f"greenroom: {text}", file=sys.stderr, flush=True)  # noqa: T201


class _ConnectionNews:
    """Tells losses and returns, not the first connection."""

    def __init__(self) -> None:
        self._was_lost = False

    def __call__(self, standing: bool) -> None:  # noqa: FBT001  # as `open_client` calls it
        if not standing:
            _warn("the connection is gone; coming back as soon as possible")
        elif self._was_lost:
            _warn("connected again")
        self._was_lost = not standing
