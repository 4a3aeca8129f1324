"""A greenroom server as its own process, on a port that stays when it is killed and started again."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import trio

READY_SECONDS = 20.0
EXIT_SECONDS = 15.0  # the promise is 10

REAL = [str(Path(sys.executable).with_name("greenroom"))]
MUTANTS = Path(__file__).with_name("mutants.py")


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Starts, kills and ends ``greenroom serve`` on one database.

    Attributes:
        url: Where clients connect, in every life.
        log: Standard error of all lives.
    """

    def __init__(self, folder: Path, *, agent: str, mutant: str | None = None) -> None:
        self.db = folder / "chaos.db"
        self.log = folder / "server.log"
        port = free_port()
        self.url = f"ws://127.0.0.1:{port}/v1"
        program = REAL if mutant is None else [sys.executable, str(MUTANTS), mutant]
        places = ["--db", str(self.db), "--port", str(port), "--http-port", "0"]
        self._command = [*program, "serve", *places, "--agent", agent, "--json"]
        self._process: trio.Process | None = None

    async def start(self) -> None:
        """Start one life; returns when it accepts."""
        with self.log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                self._command, stdout=subprocess.PIPE, stderr=log
            )
        line = b""
        with trio.move_on_after(READY_SECONDS):
            while not line.endswith(b"\n") and (piece := await self._alive.stdout.receive_some()):
                line += piece
        if not line.endswith(b"\n") or json.loads(line)["event"] != "listening":
            self._alive.kill()
            raise AssertionError(f"expected the listening line, met {line!r} and {self.log.read_text()}")

    async def kill(self) -> None:
        """End it the hard way: no handler of its own runs."""
        self._alive.send_signal(signal.SIGKILL)
        await self._gone()

    async def stop(self) -> int:
        """End it the polite way; the answer is its exit code."""
        self._alive.send_signal(signal.SIGTERM)
        with trio.move_on_after(EXIT_SECONDS):
            return await self._gone()
        await self.kill()
        raise AssertionError(f"expected an end within {EXIT_SECONDS} s, met {self.log.read_text()}")

    async def close(self) -> None:
        """Leave no process behind, however the test ends."""
        if self._process is not None:
            await self.kill()

    async def _gone(self) -> int:
        process = self._alive
        code = await process.wait()
        await process.stdout.aclose()
        self._process = None
        return code

    @property
    def _alive(self) -> trio.Process:
        if self._process is None:
            raise AssertionError("expected a running server, met none")
        return self._process

    def abandon(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None:
            self._process.kill()
