"""``greenroom`` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE = 30  # seconds; a loaded machine is no failure


def greenroom(
    *arguments: str | bytes, cwd: Path, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [GREENROOM, *arguments],
        cwd=cwd,
        input=stdin,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class RunningServer:
    """A ``greenroom serve`` on free ports; as a context it is killed at the latest at the end."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.db = cwd / "greenroom.db"
        command = [GREENROOM, "serve", "--db", str(self.db), "--port", "0", "--http-port", "0", "--json"]
        arguments = (*command, *arguments)
        self.process = subprocess.Popen(  # noqa: S603  # our own program
            arguments, cwd=cwd, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        self.addresses = json.loads(self.first_line)
        self.port = int(self.addresses["ws"].removesuffix("/v1").rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("greenroom: ")
    for word in words:
        assert word in lines[0]
