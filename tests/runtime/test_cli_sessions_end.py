"""``greenroom sessions archive`` and ``delete`` as processes, on a database that no server uses."""

import os
import pty
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.records import (
    Ending,
    EndReason,
    Message,
    SessionFacts,
    SessionFilter,
    SessionState,
    TurnMark,
)
from greenroom.runtime import open_manager
from greenroom.runtime.config import Cleanup, Config

from tests.persistence import hand
from tests.runtime.processes import GREENROOM, PATIENCE, RunningServer, assert_refused, greenroom

ANN, BOB = "echo:web:ann", "echo:web:bob"


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> Path:
    """Ann's session, in which nothing was said for long, and Bob's."""
    place = tmp_path / "greenroom.db"
    store = SQLiteSessionStore(place)
    for peer in ("ann", "bob"):
        hand.write(store, hand.facts(peer, at=1), "hello", message_count=1, token_count=10)
    store.close()
    return place


def rows(place: Path) -> dict[str, SessionFacts]:
    store = SQLiteSessionStore(place, readonly=True)
    found = {str(facts.id): facts for facts in store.list(SessionFilter())}
    store.close()
    return found


def test_sessions_are_archived_and_no_other_is_touched(tmp_path: Path, database: Path) -> None:
    before = rows(database)[BOB]
    done = greenroom("sessions", "archive", ANN, ANN, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"archived {ANN}\n", "")
    after = rows(database)
    assert (after[ANN].state, after[ANN].message_count) == (SessionState.ARCHIVED, 1)
    assert after[BOB] == before
    shown = greenroom("sessions", "show", ANN, cwd=tmp_path)
    assert "hello" in shown.stdout


def left(place: Path) -> list[tuple[str, EndReason, tuple[Message, ...]]]:
    """The ends that nobody was told of."""
    store = SQLiteSessionStore(place, readonly=True)
    found = [(str(end.session), end.reason, end.messages) for _, end in store.endings(0, 99)]
    store.close()
    return found


class Ears:
    def __init__(self) -> None:
        self.heard: list[tuple[str, EndReason, tuple[Message, ...]]] = []
        self.more = trio.Event()

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        self.heard.append((str(ending.session), reason, ending.messages))
        await trio.lowlevel.checkpoint()
        self.more.set()


async def test_the_end_of_a_session_that_is_archived_here_is_told_to_the_hooks_of_the_next_host(
    tmp_path: Path, database: Path
) -> None:
    done = await trio.to_thread.run_sync(partial(greenroom, "sessions", "archive", ANN, cwd=tmp_path))
    assert done.returncode == 0
    expected = [(ANN, EndReason.ARCHIVE, (Message("user", "hello"),))]
    assert left(database) == expected
    ears = Ears()
    async with open_manager(Config(db=str(database), cleanup=Cleanup(enabled=False))) as manager:
        manager.register_hook(ears)  # as late as a host can
        with trio.fail_after(PATIENCE):
            await ears.more.wait()
    assert ears.heard == expected
    assert left(database) == []


def test_of_a_session_that_is_deleted_here_nothing_stays_and_the_ends_of_others_do(
    tmp_path: Path, database: Path
) -> None:
    assert greenroom("sessions", "archive", ANN, BOB, cwd=tmp_path).returncode == 0
    before = left(database)
    assert [session for session, *_ in before] == [ANN, BOB]
    done = greenroom("sessions", "delete", "--yes", ANN, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"deleted {ANN}\n")
    assert left(database) == before[1:]
    assert set(rows(database)) == {BOB}


@pytest.mark.parametrize("command", [["archive"], ["delete", "--yes"]])
def test_ending_one_session_wakes_no_other_that_a_crash_left_with_work_to_do(
    tmp_path: Path, database: Path, command: list[str]
) -> None:
    store = SQLiteSessionStore(database)
    mark = TurnMark("t1", 1, (1,))
    waiting = hand.write(store, hand.facts("eve", turn=mark), "answer me", pending=(1,))
    store.close()
    assert greenroom("sessions", *command, ANN, cwd=tmp_path).returncode == 0
    assert rows(database)["echo:web:eve"] == waiting


def test_archiving_an_archived_session_changes_nothing(tmp_path: Path, database: Path) -> None:
    for _ in range(2):
        assert greenroom("sessions", "archive", ANN, cwd=tmp_path).returncode == 0
    assert rows(database)[ANN].head_seq == 2


def test_deleted_sessions_are_gone(tmp_path: Path, database: Path) -> None:
    done = greenroom("sessions", "delete", "--yes", ANN, BOB, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"deleted {ANN}\ndeleted {BOB}\n")
    assert rows(database) == {}


@pytest.mark.parametrize("command", [["archive"], ["delete", "--yes"]])
def test_one_session_that_is_not_stored_exits_65_before_anything_is_done(
    tmp_path: Path, database: Path, command: list[str]
) -> None:
    before = rows(database)
    done = greenroom("sessions", *command, ANN, "no:such:one", cwd=tmp_path)
    assert_refused(done, 65, "no session no:such:one")
    assert rows(database) == before


@pytest.mark.parametrize("command", [["archive"], ["delete", "--yes"]])
def test_p6_ending_sessions_of_a_running_server_exits_75(
    tmp_path: Path, database: Path, command: list[str]
) -> None:
    with RunningServer(tmp_path) as running:
        done = greenroom("sessions", *command, ANN, cwd=tmp_path)
        assert_refused(done, 75, "in use", str(running.process.pid))
        assert running.stop() == 0
    assert set(rows(database)) == {ANN, BOB}


def test_without_a_terminal_a_deletion_asks_for_yes(tmp_path: Path, database: Path) -> None:
    assert_refused(greenroom("sessions", "delete", ANN, cwd=tmp_path, stdin="y\n"), 2, "--yes")
    assert set(rows(database)) == {ANN, BOB}


@pytest.mark.parametrize(
    ("answer", "says", "left"),
    [
        ("y", f"deleted {ANN}\n", {BOB}),
        ("n", "nothing was deleted\n", {ANN, BOB}),
        ("", "nothing", {ANN, BOB}),
    ],
)
def test_on_a_terminal_a_deletion_asks_first(
    tmp_path: Path, database: Path, answer: str, says: str, left: set[str]
) -> None:
    typing, terminal = pty.openpty()
    process = subprocess.Popen(  # noqa: S603  # our own program
        [GREENROOM, "sessions", "delete", ANN],
        cwd=tmp_path,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(typing, f"{answer}\n".encode())
    said, asked = process.communicate(timeout=PATIENCE)
    os.close(typing)
    os.close(terminal)
    assert process.returncode == 0
    assert f"Delete {ANN} and all messages for good? [y/N]" in asked
    assert said.startswith(says)
    assert set(rows(database)) == left


def test_settings_for_a_server_do_not_make_an_id_mean_another_session(tmp_path: Path, database: Path) -> None:
    env = {"GREENROOM_ISOLATION_BY_PEER": "false", "GREENROOM_CLEANUP_ARCHIVE_AFTER": "1"}
    env |= {"GREENROOM_CLEANUP_DELETE_AFTER": "0.001", "GREENROOM_CLEANUP_INTERVAL": "0.001"}
    done = greenroom("sessions", "archive", ANN, cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (0, f"archived {ANN}\n")
    found = {name: facts.state for name, facts in rows(database).items()}
    assert found == {ANN: SessionState.ARCHIVED, BOB: SessionState.ACTIVE}
