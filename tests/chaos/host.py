"""A program that embeds the runtime, as its own process that can be killed: ``python host.py DB TOLD AGENT``.

It carries out each `Order` that comes as a line on standard input and prints an `Answer` when it is done. Its
hook adds a `Told` to the file TOLD for each end it hears of. At the end of its input it stops cleanly.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from greenroom.actors.commands import Ack
from greenroom.actors.errors import SessionNotFoundError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Ending, EndReason, SessionFacts
from greenroom.runtime.config import Cleanup, Config
from greenroom.runtime.embedding import open_manager
from greenroom.runtime.manager import SessionManager
from greenroom.runtime.session_handle import AS_IT_IS
from sqlite_utils.utils import sqlite3

HOOK_SECONDS = 0.004  # at most, so that kills find ends that are told and not erased, and others behind them
READY = "ready"
MESSAGES = [*6 * ["words"], "/new", "/new", "/reset", "/archive"]
CALLS = ["new", "get_or_create", "update", *2 * ["reset", "archive", "delete"]]
ENDS = {"new", "reset", "archive", "delete"}


class Order(msgspec.Struct, frozen=True):
    """One thing to do; ``verb`` is a method of the manager, ``text`` what is said or the new title."""

    number: int
    verb: str
    session: str
    text: str = ""
    client_id: str = ""

    @property
    def reason(self) -> str | None:
        """Why the conversation ends by it, if it does."""
        name = self.text.removeprefix("/") if self.verb == "send" else self.verb
        return name if name in ENDS else None


class Answer(msgspec.Struct, frozen=True):
    """What came of an order, and the session's row afterwards (of a deletion: before).

    ``stored_as`` is the epoch and seq of a message's ack; of other words than commands, ``head`` is that seq.
    """

    number: int
    error: str = ""
    stored_as: tuple[str, int] | None = None
    duplicate: bool = False
    tag: str = ""
    epoch: int = 0
    head: int = 0
    archived_at: int | None = None


class Op(msgspec.Struct):
    """One thing that was done to a session; without an answer it may have taken effect or not."""

    order: Order
    attempts: int = 0
    answer: Answer | None = None


def op_of(what: str, number: int, session: str) -> Op:
    """One of `MESSAGES` or `CALLS` to be done; "words" are words of its own."""
    if what not in MESSAGES:
        return Op(Order(number, what, session, f"words {number}"))
    text = what if what.startswith("/") else f"words {number}"
    return Op(Order(number, "send", session, text, f"c{number}"))


class Told(msgspec.Struct, frozen=True):
    """One telling of an end: the row as the hook saw it, and a digest of everything it was given."""

    end_id: str
    session: str
    reason: str
    messages: int
    at: int
    tag: str
    created_at: int
    epoch: int
    head: int
    digest: str = ""


class Witness:
    """A hook that writes down what it is told, for good, before it returns."""

    def __init__(self, place: str) -> None:
        self._file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        facts, digest = ending.facts, hashlib.sha256(msgspec.json.encode(ending)).hexdigest()
        row = (facts.tag, facts.created_at, facts.epoch, facts.head_seq)
        told = Told(ending.end_id, str(ending.session), reason, len(ending.messages), ending.at, *row, digest)
        await trio.to_thread.run_sync(self._write, b"\n" + msgspec.json.encode(told) + b"\n")
        await trio.sleep(random.uniform(0, HOOK_SECONDS))  # noqa: S311 - no secret

    def _write(self, line: bytes) -> None:
        os.write(self._file, line)
        os.fsync(self._file)


class Row(msgspec.Struct):
    """One entry of a journal."""

    seq: int
    epoch: int
    client_id: str | None
    body: dict[str, Any]


class Stored(msgspec.Struct):
    """A session as it is stored."""

    tag: str
    epoch: int
    rows: list[Row] = []


class Tale(msgspec.Struct):
    """All that is known of one session: what was done to it and told of its ends, each in order."""

    ops: list[Op] = []
    told: list[Told] = []
    stored: Stored | None = None


def read_back(db: Path, told: Path, tales: dict[str, Tale]) -> None:
    """Fill in what was told and is stored, without the product's code; the outbox must be empty.

    A telling that a kill cut short is none: the next one begins with a line break of its own.
    """
    for line in told.read_bytes().split(b"\n"):
        if line.endswith(b"}"):
            one = msgspec.json.decode(line, type=Told)
            tales[one.session].told.append(one)
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM ending").fetchone() == (0,)
        keys: dict[int, Stored] = {}
        for key, name, tag, epoch in connection.execute("SELECT key, id, tag, epoch FROM session"):
            tales[name].stored = keys[key] = Stored(tag, epoch)
        query = "SELECT session, seq, epoch, client_id, body FROM journal ORDER BY session, seq"
        for key, seq, epoch, client_id, body in connection.execute(query):
            keys[key].rows.append(Row(seq, epoch, client_id, json.loads(body)))


async def carry_out(manager: SessionManager, order: Order) -> Answer:
    """Do what an order says.

    To ask for the row after an end or a message would be to wait for what was answered too soon.
    """
    session = SessionID.parse(order.session)
    try:
        if order.verb == "send":
            return _acked(order.number, await manager.send(session, order.text, client_id=order.client_id))
        if order.verb == "update":
            await manager.update(session, title=order.text)
        elif order.verb == "get_or_create":
            await manager.get_or_create(session)
        is_end = order.verb in ENDS  # `_end` is what the verbs call
        facts = await (manager._end(order.verb, session, AS_IT_IS) if is_end else manager.facts(session))
    except SessionNotFoundError as exc:
        return Answer(order.number, exc.name)
    return Answer(order.number, "", None, False, *_row(facts))  # noqa: FBT003 - a field of a record


def _acked(number: int, ack: Ack) -> Answer:
    epoch, _, tag = ack.epoch.partition("-")
    facts = ack.outcome.result if ack.outcome else None
    row = (tag, int(epoch), ack.seq, None) if facts is None else _row(facts)
    return Answer(number, "", (ack.epoch, ack.seq), ack.duplicate, *row)


def _row(facts: SessionFacts) -> tuple[str, int, int, int | None]:
    return facts.tag, facts.epoch, facts.head_seq, facts.archived_at


async def take_lines(stream: trio.abc.ReceiveStream, take: Callable[[bytes], None]) -> None:
    """Hand over the whole lines of a stream until its end."""
    rest = b""
    while piece := await stream.receive_some():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            take(line)


async def main(db: str, told: str, agent: str) -> None:
    """Serve the orders of one life."""
    config = Config(db=db, agent=agent, cleanup=Cleanup(enabled=False))
    async with open_manager(config, hooks=[Witness(told)]) as manager, trio.open_nursery() as nursery:

        async def serve(line: bytes) -> None:
            answer = await carry_out(manager, msgspec.json.decode(line, type=Order))
            print(msgspec.json.encode(answer).decode(), flush=True)  # noqa: T201 - its output

        print(READY, flush=True)  # noqa: T201 - its output
        await take_lines(trio.lowlevel.FdStream(os.dup(0)), partial(nursery.start_soon, serve))


class Host:
    """The program in one life after the other, all with one database, file of tellings and log of errors."""

    def __init__(self, folder: Path, agent: str) -> None:
        self.db, self.told, self.log = folder / "ends.db", folder / "told", folder / "host.log"
        self._command = [sys.executable, __file__, str(self.db), str(self.told), agent]
        self._process: trio.Process | None = None
        self._is_up, self._is_gone = trio.Event(), trio.Event()
        self._asking = trio.Lock()
        self._asked: dict[int, trio.Event] = {}
        self._answers: dict[int, Answer] = {}

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """One life, started when it takes orders; whoever waits at its end gets no answer."""
        self._is_gone = trio.Event()
        with self.log.open("ab") as log:
            process = await trio.lowlevel.open_process(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._process = process
        await take_lines(process.stdout, partial(self._hear, task_status))
        assert self._is_up.is_set(), self.log.read_text()
        self._is_up = trio.Event()
        for waiting in self._asked.values():
            waiting.set()
        self._asked.clear()
        await process.wait()
        await process.stdin.aclose()
        await process.stdout.aclose()
        self._is_gone.set()

    def _hear(self, task_status: trio.TaskStatus[None], line: bytes) -> None:
        if line == READY.encode():
            self._is_up.set()
            task_status.started()
        else:
            answer = msgspec.json.decode(line, type=Answer)
            self._answers[answer.number] = answer
            self._asked.pop(answer.number).set()

    async def ask(self, order: Order) -> Answer | None:
        """The answer to an order, None if the process died when it had been asked."""
        # An event for each attempt: a life that ended while the order was handed over has set the one before.
        while not await self._has_asked(order, waiting := trio.Event()):
            pass
        await waiting.wait()
        return self._answers.pop(order.number, None)

    async def _has_asked(self, order: Order, waiting: trio.Event) -> bool:
        """Hand an order over; False if the process died before it had the whole of it."""
        await self._is_up.wait()
        async with self._asking:
            if not self._is_up.is_set():
                return False
            self._asked[order.number] = waiting
            try:
                await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._asked.pop(order.number, None)
                await self._is_gone.wait()
                return False
        return True

    async def kill(self) -> None:
        """End it the hard way; returns when it is gone and all it had said was heard."""
        self.abandon()
        await self._is_gone.wait()

    async def stop(self) -> int:
        """End it cleanly; the answer is its exit code."""
        await self._process.stdin.aclose()
        await self._is_gone.wait()
        return await self._process.wait()

    def abandon(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None:
            self._process.kill()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
