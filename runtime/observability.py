"""Reports as log lines: one JSON object each, ids and sizes only, never what people said."""

import logging

import msgspec

from ..actors.reports import SessionQuarantined
from ..persistence.ids import SessionID

_log = logging.getLogger("greenroom")


def log_report(report: msgspec.Struct) -> None:
    """Log a report as one line of JSON, which escapes every line break and control character."""
    level = logging.ERROR if isinstance(report, SessionQuarantined) else logging.WARNING
    facts = {
        key: str(value) if isinstance(value, SessionID) else value
        for key, value in msgspec.structs.asdict(report).items()
    }
    _log.log(level, "%s", msgspec.json.encode({"event": type(report).__name__, **facts}).decode())


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


# Trio logs each failing accept with its traceback, ten a second while no descriptor is free: a line will do.
logging.getLogger("trio.serve_listeners").addFilter(_without_traceback)
