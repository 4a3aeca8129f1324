"""Reports as log lines: one JSON object each, ids and sizes only, never what people said."""

import logging

import msgspec

from ..actors.reports import SessionQuarantined

_log = logging.getLogger("greenroom")


def log_report(report: msgspec.Struct) -> None:
    """Log a report as one line of JSON, which escapes every line break and control character."""
    level = logging.ERROR if isinstance(report, SessionQuarantined) else logging.WARNING
    _log.log(level, "%s", msgspec.json.encode(report, enc_hook=str).decode())
