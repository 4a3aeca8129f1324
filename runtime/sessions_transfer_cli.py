"""``greenroom sessions export`` and ``import``: sessions as lines of JSON."""

import errno
import os
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..persistence.migrating import flush
from ..persistence.sqlite import SQLiteSessionStore
from .config import Limits
from .config_sources import load_config
from .exits import UsageError
from .sessions_cli import Source, counted, missing, reading, session_id
from .terminal import one_line
from .transfer import every_session, export_lines, import_lines
from .transfer_lines import LINE_BYTES, EndLine
from .transfer_reading import lines_of_file

MEMORY = ":memory:"  # the database without a file, which is gone with the process
_BESIDE_DATABASE = ("", "-wal", "-shm", ".lock")


def export_sessions(
    *session: str,
    all: bool = False,  # noqa: A002  # the option's name
    db: str | None = None,
    output: Path | None = None,
    force: bool = False,
) -> None:
    """Write sessions as lines of JSON: every message of every conversation, and all that is stored of them.

    A running server is not disturbed; each session is written as it is met.

    Args:
        session: Their ids; exit code 65 if the database has no such session.
        all: All sessions instead.
        db: The SQLite file. Default ./greenroom.db
        output: A new file; it appears when it is whole, readable by its owner. Default: standard output
        force: Replace that file if it exists.
    """
    if bool(session) == all:
        raise UsageError("expected ids of sessions or --all, met " + ("both" if all else "neither"))
    if force and output is None:
        raise UsageError("--force: expected --output with it, met none")
    names = list(dict.fromkeys(map(session_id, session)))
    with reading(db) as (store, limits):
        for name in names:
            if store.facts(name) is None:
                raise missing(name, store)
        expected = store.stats().total_sessions if all else len(names)
        lines = export_lines(store, every_session(store) if all else names, _longest_line(limits))
        if output is None:
            written = _write(lines, sys.stdout.buffer)
        else:
            with _new_file(output, store.path, replaces=force) as file:
                written = _write(lines, file)
            print(f"exported {counted(written)} to {output}")  # noqa: T201
    if written < expected:
        why = "the others were deleted meanwhile, or their rows are damaged"
        print(f"greenroom: exported {written} of {counted(expected)}: {why}", file=sys.stderr)  # noqa: T201


def import_sessions(file: Source, /, *, db: str | None = None) -> None:
    """Store the sessions of an export in a database, all or none.

    The database is created if missing, and removed again if the import fails. Exit code 65 if a line
    is wrong or a session is stored already, 75 if a server runs on the database. Clients that knew the
    sessions load them afresh.

    Args:
        file: What export wrote; - for standard input.
        db: The SQLite file. Default ./greenroom.db
    """
    if file.startswith("-") and file != "-":
        raise UsageError(f"expected a file or -, met the unknown option {one_line(file)}")
    config = load_config(None, os.environ, {"db": db})
    if config.db == MEMORY:
        raise UsageError(f"--db: expected a file, met {MEMORY}, which keeps nothing")
    with _opened(file) as source:
        is_new = not Path(config.db).exists()
        longest = _longest_line(config.limits)
        with closing(SQLiteSessionStore(config.db, max_tokens=config.limits.max_tokens)) as store:
            try:
                stored = import_lines(store, lines_of_file(source, longest), longest)
            except BaseException:
                if is_new:
                    _take_back(store)
                raise
    print(f"imported {counted(len(stored))}")  # noqa: T201


def _take_back(store: SQLiteSessionStore) -> None:
    """Remove a database that was made for an import which failed.

    The store is still open, so no other process can open it for writing; but one may have made it after it
    was found missing, and put something there. The log goes first: found alone, it would be somebody's.
    """
    if store.stats().total_sessions == 0 and not store.endings(0, 1):
        for end in ("-wal", "-shm", ""):
            Path(f"{store.path}{end}").unlink(missing_ok=True)


def _longest_line(limits: Limits) -> int:
    return max(LINE_BYTES, 8 * limits.content_bytes)  # JSON makes six bytes of one at most


def _write(lines: Iterable[bytes], file: BinaryIO) -> int:
    """Write all lines; how many sessions these are."""
    line = b""
    for line in lines:
        file.write(line)
    return msgspec.json.decode(line, type=EndLine).sessions


@contextmanager
def _opened(file: str) -> Generator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as opened:
            yield opened


@contextmanager
def _new_file(output: Path, database: Path, *, replaces: bool) -> Generator[BinaryIO]:
    """A file that comes to stand at ``output`` when it was written without an error, and not before."""
    place = Path(os.path.realpath(output))
    _require_place(place, database, replaces=replaces)
    number, name = tempfile.mkstemp(dir=place.parent, prefix=".export-")  # of mode 0600
    draft = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        flush(draft)
        _require_place(place, database, replaces=replaces)  # it may have been taken meanwhile
        draft.rename(place)
        flush(place.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _require_place(place: Path, database: Path, *, replaces: bool) -> None:
    if not place.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place.parent))
    if place in {Path(f"{database}{end}") for end in _BESIDE_DATABASE}:
        raise UsageError(f"--output: expected a file beside the database, met {place}, which is part of it")
    if place.exists() and not (replaces and place.is_file()):
        way = "--force replaces it" if place.is_file() else "it is no file that could be replaced"
        raise UsageError(f"--output: expected a new file, met {place}: {way}")
