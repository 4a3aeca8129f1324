"""Reports as log lines: one JSON object each, ids and sizes only, never what people said."""

import logging
import os
import select
import sys
from contextlib import suppress

import msgspec

from ..actors.reports import SessionQuarantined
from ..persistence.ids import SessionID

_log = logging.getLogger("greenroom")


def log_report(report: msgspec.Struct) -> None:
    """Log a report as one line of JSON, which escapes every line break and control character."""
    level = logging.ERROR if isinstance(report, SessionQuarantined) else logging.WARNING
    _log.log(level, "%s", _line(report))


def tell_at_once(report: msgspec.Struct) -> None:
    """Write a report as such a line to standard error, or not at all if that takes nothing now.

    For a thread beside the event loop: one that waits inside the logging library, for a pipe that nobody
    reads, holds a lock there that the end of the process waits for.
    """
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]  # None when started without one
        return  # and its descriptor may be the database's by now
    line = _line(report).encode() + b"\n"
    with suppress(OSError, ValueError):  # it was closed meanwhile
        descriptor = sys.stderr.fileno()
        # A pipe that takes anything takes as much as this in one piece.
        if len(line) <= select.PIPE_BUF and select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, line)


def _line(report: msgspec.Struct) -> str:
    facts = {
        key: str(value) if isinstance(value, SessionID) else value
        for key, value in msgspec.structs.asdict(report).items()
    }
    return msgspec.json.encode({"event": type(report).__name__, **facts}).decode()


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


# Trio logs each failing accept with its traceback, ten a second while no descriptor is free: a line will do.
logging.getLogger("trio.serve_listeners").addFilter(_without_traceback)
