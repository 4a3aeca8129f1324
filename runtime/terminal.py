"""What may be shown on a terminal, and what became of it."""

import os
import re
import sys

# Escape sequences in a message could rewrite what the reader sees or answer in his name.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    r"""``text`` with every control character but tab and line feed shown as ``\xNN``."""
    return _CONTROLS.sub(_escape, text)


def one_line(text: str) -> str:
    """``text`` with every control character and line break shown as an escape."""
    return _LINE_CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return ascii(match.group())[1:-1]


def forgive_encodings() -> None:
    """Show what the terminal's encoding cannot as escapes; by default that would be an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Send what is still buffered for standard output nowhere, since nobody can take it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
