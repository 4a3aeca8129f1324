"""The server under test: a ``greenroom serve`` of its own process, on a database of its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

READY_SECONDS = 30.0
EXIT_SECONDS = 15.0

PROGRAM = Path(sys.executable).with_name("greenroom")


class ServerFailedError(Exception):
    """The server did not start, or did not end as it should."""


class BenchServer:
    """A running server.

    Attributes:
        url: Where clients connect.
        ready_seconds: From starting the process to its ready line.
    """

    def __init__(self, process: trio.Process, url: str, ready_seconds: float) -> None:
        self._process = process
        self.url = url
        self.ready_seconds = ready_seconds

    def rss(self) -> float:
        """Resident memory in MB of 10^6 bytes; Linux only.

        Raises:
            ServerFailedError: The system has no ``/proc``, or the server is gone.
        """
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError as exc:
            raise ServerFailedError(f"memory: expected {exc.filename}, met {exc.strerror}") from exc
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kilobytes * 1024 / 1e6


@asynccontextmanager
async def running_server(db: Path, *, agent: str) -> AsyncGenerator[BenchServer]:
    """Start a server; it is ended politely when the block ends.

    Raises:
        ServerFailedError: It did not become ready, or its exit code was not 0.
    """
    places = ["--db", str(db), "--port", "0", "--http-port", "0"]
    command = [str(PROGRAM), "serve", *places, "--agent", agent, "--json"]
    began = time.perf_counter()
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    stdout = process.stdout
    if stdout is None:
        raise ServerFailedError("server: expected its standard output, met none")
    try:
        url = await _ready(stdout)
        yield BenchServer(process, url, time.perf_counter() - began)
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(EXIT_SECONDS):
            await process.wait()
        if process.returncode != 0:
            raise ServerFailedError(f"server: expected exit code 0, met {process.returncode}")
    finally:
        process.kill()
        with trio.move_on_after(EXIT_SECONDS, shield=True):
            await process.wait()
            await stdout.aclose()


async def _ready(stdout: trio.abc.ReceiveStream) -> str:
    line = b""
    with trio.move_on_after(READY_SECONDS):
        while not line.endswith(b"\n") and (piece := await stdout.receive_some()):
            line += piece
    if not line.endswith(b"\n"):
        raise ServerFailedError(f"server: expected its ready line within {READY_SECONDS:.0f} s, met {line!r}")
    return str(json.loads(line)["ws"])
