"""A process that can be denied threads: RLIMIT_NPROC binds no superuser, who runs it under another id."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.runtime.processes import PATIENCE

PROGRAM = Path(__file__).with_name("threadless.py")
NOBODY = 54321  # an id that owns nothing else, whose threads would count too
ENOUGH = 1000  # threads and processes
_CAPABILITIES = "+dac_override,+dac_read_search"  # to read a Python that only the superuser can reach

requires_prlimit = pytest.mark.skipif(
    shutil.which("prlimit") is None or shutil.which("setpriv") is None,
    reason="expected prlimit and setpriv (util-linux), met none",
)


def as_nobody() -> list[str]:
    """What a command begins with, to be run by somebody whose threads are counted."""
    if os.geteuid() != 0:
        return []
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *who, f"--inh-caps={_CAPABILITIES}", f"--ambient-caps={_CAPABILITIES}", "--"]


@contextmanager
def own_folder() -> Generator[Path]:
    """A folder that the server's user owns; pytest's own lie where nobody else may go."""
    with tempfile.TemporaryDirectory(prefix="greenroom-threads-") as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


class DeprivedServer:
    """A ``greenroom serve`` whose threads can be counted out; killed at the latest at the end of its context.

    Args:
        cwd: Where it runs; see `own_folder`.
        arguments: More than the places to listen on.
        threads: What it may have from the beginning.

    Attributes:
        errors: Its standard error.
    """

    def __init__(self, cwd: Path, *arguments: str, threads: int = ENOUGH) -> None:
        self.errors = cwd / "errors"
        places = ["--db", str(cwd / "greenroom.db"), "--port", "0", "--http-port", "0", "--json"]
        program = [sys.executable, str(PROGRAM), str(threads), "serve", *places, *arguments]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [*as_nobody(), *program], cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def listening(self) -> str:
        """Where clients connect, once they can."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        return str(json.loads(line)["ws"])

    def allow_threads(self, count: int) -> None:
        """Let it have so many threads in all; those that it has stay."""
        limit = ["prlimit", f"--pid={self.process.pid}", f"--nproc={count}:"]
        subprocess.run([*as_nobody(), *limit], check=True)  # noqa: S603 - a tool of the system

    def threads(self) -> int:
        """How many it has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("Threads:")[2].split()[0])

    def stop(self) -> int:
        """End it politely; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)
