"""Reading an export line by line, believing nothing: every error names its line."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import BinaryIO

import msgspec

from ..persistence.journal import live_context
from ..persistence.records import Entry, Message, QueueRemoved, SessionFacts, SessionImport, TurnFinished
from .terminal import one_line
from .transfer_lines import (
    DIGEST_BYTES,
    FORMAT,
    EndLine,
    EntryLine,
    HeaderLine,
    Line,
    SessionLine,
    WithdrawnLine,
    entry_of_line,
    facts_of_line,
)

_PROBLEM = 200  # characters of what the decoder says, which may repeat a word of the line

_decode_header = msgspec.json.Decoder(HeaderLine).decode
_decode_line = msgspec.json.Decoder(Line).decode


class BadImportError(Exception):
    """Lines cannot be imported as they are; nothing of them was stored. The text names the line, from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")


def lines_of_file(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """The lines of a file; of one that is too long so much that the reader refuses it, and no more."""
    return iter(partial(file.readline, longest + 1), b"")


class ImportReader:
    """Makes sessions of lines.

    Attributes:
        session_line: The number of the line that began the session given out last.
    """

    def __init__(self, lines: Iterable[bytes], longest: int, new_tag: Callable[[], str]) -> None:
        """Read ``lines``, each with its line feed, of at most ``longest`` bytes; ``new_tag`` draws tags."""
        self.session_line = 0
        self._lines = iter(lines)
        self._longest = longest
        self._new_tag = new_tag
        self._number = 0
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._begun: dict[str, int] = {}

    def sessions(self) -> Iterator[SessionImport]:
        """Give out one session after the other; after the last one, every line was read and found right.

        Raises:
            BadImportError: A line is not what has to stand there.
        """
        self._read_header()
        line = self._read_line()
        while isinstance(line, SessionLine):
            number = self._number
            with self._naming(number):
                facts = self._begin(line)
            entries = _Entries(facts)
            while isinstance(following := self._read_line(), EntryLine):
                with self._naming(self._number):
                    entries.add(following)
            if isinstance(following, WithdrawnLine):
                del self._begun[line.id]
                line = self._read_line()
                continue
            with self._naming(self._number):
                entries.require_all()
            with self._naming(number):
                entries.require_pending()
            self.session_line = number
            yield entries.session()
            line = following
        with self._naming(self._number):
            self._end(line)

    @contextmanager
    def _naming(self, number: int) -> Generator[None]:
        try:
            yield
        except ValueError as error:
            raise BadImportError(number, str(error)) from error

    def _read_header(self) -> None:
        raw = self._read_raw("the first line of an export")
        with self._naming(self._number):
            try:
                met = _decode_header(raw).format
            except (ValueError, RecursionError) as error:
                raise ValueError(f"expected the first line of an export, met {_shown(error)}") from error
            if met != FORMAT:
                raise ValueError(f"expected format {FORMAT} of an export, met {met}")
        self._digest.update(raw)

    def _read_line(self) -> Line:
        raw = self._read_raw("the end line")
        try:
            line = _decode_line(raw)
        except (ValueError, RecursionError) as error:
            problem = f"expected a session, an entry or the end line, met {_shown(error)}"
            raise BadImportError(self._number, problem) from error
        if not isinstance(line, EndLine):
            self._digest.update(raw)
        return line

    def _read_raw(self, expected: str) -> bytes:
        self._number += 1
        raw = next(self._lines, b"")
        if not raw:
            raise BadImportError(self._number, f"expected {expected}, met the end of the file")
        if len(raw) > self._longest:
            raise BadImportError(self._number, f"expected at most {self._longest} bytes, met more")
        if not raw.endswith(b"\n"):
            problem = "expected a line feed at its end, met the end of the file: it was cut off"
            raise BadImportError(self._number, problem)
        return raw

    def _begin(self, line: SessionLine) -> SessionFacts:
        facts = facts_of_line(line, self._new_tag())
        if line.id in self._begun:
            raise ValueError(
                f"expected a new session, met {line.id} again, as in line {self._begun[line.id]}"
            )
        _require_no_nul("session", line.title, line.summary, line.system_prompt, *line.tags)
        _require_no_nul("custom_data", *line.custom_data, *line.custom_data.values())
        self._begun[line.id] = self._number
        return facts

    def _end(self, line: Line) -> None:
        if not isinstance(line, EndLine):
            met = "an entry" if isinstance(line, EntryLine) else "a withdrawal"
            raise ValueError(f"expected a session or the end line, met {met} without its session")  # noqa: TRY004 - the file's type is wrong, not the program's
        if line.sessions != len(self._begun):
            raise ValueError(f"expected {line.sessions} sessions above, met {len(self._begun)}")
        if line.digest not in {"", self._digest.hexdigest()}:
            raise ValueError("expected the lines that its digest was made of above, met others")
        if next(self._lines, b""):
            raise BadImportError(self._number + 1, "expected nothing after the end line, met more")


class _Entries:
    """The entries of one session, checked as they come; each check raises ValueError."""

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._entries: list[Entry] = []
        self._client_ids: set[str] = set()

    def session(self) -> SessionImport:
        """The whole session, with the counts that its entries make: wrong ones would be told on and on."""
        spoken = (entry for entry in reversed(self._entries) if entry.epoch == self._facts.epoch)
        context = live_context(spoken, sys.maxsize)
        facts = msgspec.structs.replace(
            self._facts, message_count=len(context), token_count=sum(entry.tokens for entry in context)
        )
        return SessionImport(facts, tuple(self._entries))

    def add(self, line: EntryLine) -> None:
        entry = entry_of_line(line)
        seq, head = len(self._entries) + 1, self._facts.head_seq
        if seq > head:
            raise ValueError(f"expected {head} entries of {self._facts.id}, met one more")
        if entry.seq != seq:
            raise ValueError(f"expected entry {seq} of {self._facts.id}, met {entry.seq}")
        self._require_epoch(entry)
        _require_no_nul("client_id", entry.client_id or "")
        if isinstance(entry.body, Message) and entry.body.role == "user":
            _require_no_nul("content", entry.body.content)
        if entry.client_id is not None:
            if entry.client_id in self._client_ids:
                raise ValueError(f"expected a new client_id in {self._facts.id}, met one a second time")
            self._client_ids.add(entry.client_id)
        self._entries.append(entry)

    def _require_epoch(self, entry: Entry) -> None:
        earliest = self._entries[-1].epoch if self._entries else 1
        if not earliest <= entry.epoch <= self._facts.epoch:
            raise ValueError(f"expected an epoch from {earliest} to {self._facts.epoch}, met {entry.epoch}")

    def require_all(self) -> None:
        met, head = len(self._entries), self._facts.head_seq
        if met < head:
            raise ValueError(f"expected entry {met + 1} of {head} of {self._facts.id}, met another line")

    def require_pending(self) -> None:
        pending, turn = self._facts.pending, self._facts.turn
        if list(pending) != sorted(set(pending)):
            raise ValueError("pending: expected rising seqs, met others")
        used = {seq for entry in self._entries for seq in _used_up(entry)}
        for seq in pending:
            entry = self._entries[seq - 1] if seq <= len(self._entries) else None
            if entry is None or not isinstance(entry.body, Message) or entry.body.role != "user":
                raise ValueError(f"pending: expected seqs of user messages, met {seq}")
            if entry.epoch != self._facts.epoch:
                raise ValueError(f"pending: expected messages of epoch {self._facts.epoch}, met {seq}")
            if seq in used:
                raise ValueError(f"pending: expected messages that nothing has used up, met {seq}")
        if turn is not None and not set(turn.message_seqs) <= set(pending):
            raise ValueError(f"turn: expected pending messages, met {list(turn.message_seqs)}")


def _used_up(entry: Entry) -> Sequence[int]:
    """The messages that wait no longer since this entry."""
    body = entry.body
    if isinstance(body, TurnFinished) and not body.will_retry:
        return body.message_seqs
    return body.seqs if isinstance(body, QueueRemoved) else ()


def _require_no_nul(what: str, *texts: str) -> None:
    if any("\0" in text for text in texts):
        raise ValueError(f"{what}: expected text without NUL, met one")


def _shown(error: Exception) -> str:
    return f"one that does not fit: {one_line(str(error))[:_PROBLEM]}"
