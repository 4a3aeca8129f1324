"""Fault F22: signals while the server starts, migrates, serves and stops: no traceback, a sound database."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from greenroom.persistence import SQLiteSessionStore, migrations
from sqlite_utils import Database
from sqlite_utils.utils import sqlite3
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.chaos.journal import read_journals
from tests.persistence import hand
from tests.persistence.test_migrating import put
from tests.runtime.caller import Caller
from tests.runtime.processes import GREENROOM, PATIENCE

ROUNDS: Final = int(os.environ.get("TERMS", "1"))  # of each of the four kinds
MESSAGES: Final = 20  # acked before the signal
OLD_SESSIONS: Final = 1000
SOON: Final = 0.15  # seconds in which a server that was told to stop is gone, mostly

# Before `main` runs, and once it has returned, a process ends as the system ends one.
ENDS: Final = {0, -signal.SIGTERM, -signal.SIGINT}
SESSION: Final = "agent:web:ann"


class Subject:
    """Lives on one database, each ended by signals; ``acked`` is what each of them has to find.

    Attributes:
        chance: Draws the moments.
    """

    def __init__(self, folder: Path) -> None:
        self.db = folder / "greenroom.db"
        self.chance = random.Random(22)  # noqa: S311 - moments, no secrets
        self._folder = folder
        self._acked: dict[str, int] = {}
        self._sent = 0

    def start(self) -> subprocess.Popen[str]:
        places = ["--db", str(self.db), "--port", "0", "--http-port", "0", "--json"]
        return subprocess.Popen(  # noqa: S603 - our own program
            [GREENROOM, "serve", *places, "--agent", "none"],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def draw(self, most: float) -> None:
        """Let some time pass, at most so many seconds."""
        time.sleep(self.chance.uniform(0, most))

    def talk(
        self, process: subprocess.Popen[str], *, until_closed: bool = False, at: Callable[[], None]
    ) -> None:
        """Have messages acked; ``at`` is called when enough of them are."""
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["ws"]
        with suppress(ConnectionClosed), connect(url, proxy=None, close_timeout=1) as socket:
            caller, enough = Caller(socket), self._sent + MESSAGES
            while self._sent < enough or until_closed:
                self._sent += 1
                answer = caller.say(name := str(self._sent), SESSION)
                if "result" in answer:
                    self._acked[name] = answer["result"]["seq"]
                if self._sent == enough:
                    at()

    def check(self, process: subprocess.Popen[str]) -> None:
        """It has ended without a traceback, and whoever opens its database finds all that was acked."""
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode in ENDS, errors
        assert "Traceback" not in errors
        if self.db.exists():
            rows = read_journals(self.db).get(SESSION, [])  # which checks the integrity of the file
            stored = {row.client_id: row.seq for row in rows if row.client_id}
            assert stored.items() >= self._acked.items()
            assert len(rows) == len(stored)
            SQLiteSessionStore(self.db).close()


def during_start(subject: Subject) -> None:
    process = subject.start()
    subject.draw(0.8)
    process.terminate()
    subject.check(process)


def during_migration(subject: Subject) -> None:
    """The database is an old one for this life."""
    shutil.copy(subject.db.with_name("old.db"), subject.db)
    copy = Path(f"{subject.db}.before-2")
    copy.unlink(missing_ok=True)
    process = subject.start()
    deadline = time.monotonic() + PATIENCE
    while not (copy.exists() or Path(f"{copy}.creating").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.0005)  # the file's appearance is the only sign
    subject.draw(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode in ENDS
    assert "Traceback" not in errors
    with closing(sqlite3.connect(subject.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA user_version").fetchone() in {(1,), (2,)}
    with closing(SQLiteSessionStore(subject.db)) as store:
        assert store.stats().total_sessions == store.stats().total_messages == OLD_SESSIONS


def during_stop(subject: Subject) -> None:
    process = subject.start()
    subject.talk(process, at=lambda: None)
    process.terminate()
    for _ in range(3):
        subject.draw(SOON)
        process.terminate()
    subject.check(process)


def twice_interrupted(subject: Subject) -> None:
    def interrupt() -> None:
        subject.draw(0.05)
        process.send_signal(signal.SIGINT)
        subject.draw(SOON)
        process.send_signal(signal.SIGINT)

    process = subject.start()
    subject.talk(process, until_closed=True, at=interrupt)
    subject.check(process)


def test_f22_p18_signals_at_any_moment_leave_no_traceback_and_all_that_was_acked(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    for _ in range(ROUNDS):
        for moment in (during_stop, twice_interrupted, during_start):
            moment(subject)


def test_f22_p9_a_signal_during_a_migration_leaves_the_old_or_the_new_schema_whole(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    connection = sqlite3.connect(old)
    db = Database(connection, execute_plugins=False)
    db.enable_wal()
    migrations.MIGRATIONS.apply(db, stop_before="add_ends_and_search")
    for number in range(OLD_SESSIONS):
        row = hand.facts(f"peer{number}", message_count=1)
        put(connection, hand.append(row, hand.entry(1, f"hello {number}")))
    connection.commit()
    db.close()
    old.chmod(0o600)
    for _ in range(ROUNDS):
        for left in tmp_path.glob("greenroom.db*"):
            left.unlink()
        during_migration(Subject(tmp_path))


def test_f22_the_command_line_is_entered_before_anything_slow_is_imported() -> None:
    """An interrupt that comes earlier than `main` ends in a traceback that no code of ours can help."""
    script = "import sys\nfrom greenroom.runtime import cli\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    assert not set(done.stdout.split()) & {"cyclopts", "rich", "trio", "msgspec", "sqlite3"}
