"""What cannot serve as a database is refused in one sentence and left as it was."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.errors import (
    StoreFormatError,
    StoreInUseError,
    StoreOpenError,
    StorePermissionError,
    StoreUnavailableError,
)
from greenroom.persistence.opening import refusal, require_setting
from sqlite_utils.utils import sqlite3

from . import hand


def whole(place: Path) -> bytes:
    SQLiteSessionStore(place).close()
    return place.read_bytes()


def altered(place: Path, *statements: str) -> None:
    whole(place)
    connection = sqlite3.connect(place)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def as_directory(place: Path) -> None:
    place.mkdir()


def as_foreign_log_database(place: Path) -> None:
    connection = sqlite3.connect(place)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


BAD: dict[str, tuple[Callable[[Path], object], type[StoreOpenError], str]] = {
    "a directory": (as_directory, StoreOpenError, "is a directory"),
    "an empty file": (lambda p: p.touch(), StoreFormatError, "is empty"),
    "garbage": (
        lambda p: p.write_bytes(b"hello world\n" * 400),
        StoreFormatError,
        "not a greenroom database",
    ),
    "a short file": (lambda p: p.write_bytes(b"x"), StoreFormatError, "not a greenroom database"),
    "a header alone": (lambda p: p.write_bytes(whole(p)[:100]), StoreFormatError, "has 100 bytes"),
    "half a page": (lambda p: p.write_bytes(whole(p)[:2048]), StoreFormatError, "damaged"),
    "a cut file": (lambda p: p.write_bytes(whole(p)[:6000]), StoreFormatError, "damaged"),
    "zeroed pages": (lambda p: p.write_bytes(whole(p)[:4096] + bytes(8192)), StoreFormatError, "damaged"),
    "a zeroed schema": (
        lambda p: p.write_bytes(whole(p)[:200] + bytes(3896) + p.read_bytes()[4096:]),
        StoreFormatError,
        "damaged",
    ),
    "another program's": (as_foreign_log_database, StoreFormatError, r"another program \(0x00000000\)"),
    "another application id": (
        lambda p: altered(p, "PRAGMA application_id = -2"),
        StoreFormatError,
        r"another program \(0xfffffffe\)",
    ),
    "a newer schema": (
        lambda p: altered(p, "PRAGMA user_version = 9"),
        StoreFormatError,
        r"schema 9 is newer than this program \(2\)",
    ),
    "an unfinished schema": (
        lambda p: altered(p, "PRAGMA user_version = 0"),
        StoreFormatError,
        r"schema 0 is older than this program \(2\)",
    ),
    "a missing table": (lambda p: altered(p, "DROP TABLE journal"), StoreFormatError, "journal"),
    "another table": (
        lambda p: altered(p, "ALTER TABLE session ADD COLUMN extra TEXT"),
        StoreFormatError,
        "'session' in the schema, met another",
    ),
    "a read-only file": (lambda p: (whole(p), p.chmod(0o444)), StorePermissionError, "is read-only"),
    "a second name": (lambda p: (whole(p), os.link(p, f"{p}.twin")), StoreOpenError, "one name"),
    "a pipe": (os.mkfifo, StoreOpenError, "not a regular file"),
    "a loop of links": (lambda p: p.symlink_to(p), StoreOpenError, "symbolic link|ymlink|symlink"),
}


def tree(directory: Path) -> dict[str, object]:
    """Everything under a directory that a refusal must leave alone."""
    return {
        found.name: (found.lstat().st_mode, found.read_bytes() if found.is_file() else b"")
        for found in directory.iterdir()
        if not found.name.endswith(".lock")
    }


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("readonly", [False, True])
def test_p8_a_bad_file_is_refused_and_not_modified(place: Path, what: str, readonly: bool) -> None:  # noqa: FBT001 - a parameter
    make, error, sentence = BAD[what]
    make(place)
    before = tree(place.parent)
    if readonly and what == "a read-only file":
        SQLiteSessionStore(place, readonly=True).close()
        return
    with pytest.raises(error, match=sentence) as caught:
        SQLiteSessionStore(place, readonly=readonly)
    assert "\n" not in str(caught.value)
    after = tree(place.parent)
    for side in ("-wal", "-shm"):  # SQLite's own, empty, where the header was ours
        after.pop(f"{place.name}{side}", None)
        before.pop(f"{place.name}{side}", None)
    assert after == before


def test_the_null_device_is_refused() -> None:
    with pytest.raises(StoreOpenError, match="not a regular file"):
        SQLiteSessionStore("/dev/null")


def test_a_path_that_cannot_be_is_refused(place: Path) -> None:
    with pytest.raises(StoreOpenError, match="no such directory"):
        SQLiteSessionStore(place.parent / "missing" / "x.db")
    place.write_text("a file")
    with pytest.raises(StoreOpenError, match="no such directory"):
        SQLiteSessionStore(place / "x.db")
    with pytest.raises(StoreOpenError, match="null byte"):
        SQLiteSessionStore("a\0b")
    with pytest.raises(StoreOpenError, match="too long"):
        SQLiteSessionStore(place.parent / ("x" * 300))


def test_a_read_only_directory_is_refused(place: Path) -> None:
    whole(place)
    place.parent.chmod(0o555)
    try:
        for path in (place, place.parent / "new.db"):
            with pytest.raises(StorePermissionError, match="must be writable"):
                SQLiteSessionStore(path)
    finally:
        place.parent.chmod(0o755)


def test_a_link_is_followed_and_the_real_place_locked(place: Path) -> None:
    link = place.parent / "link.db"
    link.symlink_to(place)
    with pytest.raises(StoreOpenError, match="no database at"):
        SQLiteSessionStore(link, readonly=True)
    store = SQLiteSessionStore(link)
    assert store.path == place.resolve()
    with pytest.raises(StoreInUseError):
        SQLiteSessionStore(place)
    store.close()
    assert link.is_symlink()


def test_a_new_file_is_its_owners_alone(sqlite_store: SQLiteSessionStore, place: Path) -> None:
    hand.write(sqlite_store, hand.facts(), "private")
    for found in place.parent.iterdir():
        assert stat.S_IMODE(found.stat().st_mode) == 0o600, found


def test_durable_settings_are_read_back(sqlite_store: SQLiteSessionStore, place: Path) -> None:
    connection = sqlite_store._db.conn

    def pragma(name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1
    assert pragma("mmap_size") == 0
    assert pragma("journal_size_limit") == 64 * 1024 * 1024
    with pytest.raises(StoreOpenError, match="expected synchronous 2, met 1"):
        require_setting(connection, place, "synchronous", "NORMAL", 2)


HOLDER = """
import sys
from greenroom.persistence import SQLiteSessionStore
store = SQLiteSessionStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_p6_a_second_process_is_refused_until_the_first_is_dead(place: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(place)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:  # noqa: S603 - our own words
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUseError, match=f"database in use by process {holder.pid}$"):
            SQLiteSessionStore(place)
        SQLiteSessionStore(place, readonly=True).close()
        holder.kill()
    SQLiteSessionStore(place).close()


def test_p6_a_second_store_in_one_process_is_refused(sqlite_store: SQLiteSessionStore, place: Path) -> None:
    with pytest.raises(StoreInUseError, match=f"process {os.getpid()}$"):
        SQLiteSessionStore(place)
    sqlite_store.close()
    SQLiteSessionStore(place).close()


def test_a_reader_reads_beside_the_writer_and_cannot_write(
    sqlite_store: SQLiteSessionStore, place: Path
) -> None:
    reader = SQLiteSessionStore(place, readonly=True)
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    assert reader.load(facts.id) == sqlite_store.load(facts.id)
    calls: list[Callable[[], object]] = [
        lambda: reader.commit([hand.append(facts)]),
        lambda: reader.archive(facts.id),
        lambda: reader.delete(facts.id),
    ]
    for call in calls:
        with pytest.raises(StorePermissionError, match="for reading only"):
            call()
    reader.close()
    assert hand.write(sqlite_store, facts, "still writing").head_seq == 2


def test_a_missing_file_is_not_created_for_reading(place: Path) -> None:
    with pytest.raises(StoreOpenError, match="no database at"):
        SQLiteSessionStore(place, readonly=True)
    assert list(place.parent.iterdir()) == []


def test_the_log_is_folded_in_when_the_store_closes(sqlite_store: SQLiteSessionStore, place: Path) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    sqlite_store.close()
    assert sorted(found.name for found in place.parent.iterdir()) == [place.name, f"{place.name}.lock"]
    with closing(SQLiteSessionStore(place)) as again:
        assert again.facts(facts.id) == facts


def test_damage_met_later_is_told_from_a_busy_disk() -> None:
    damage = sqlite3.DatabaseError("malformed")
    damage.sqlite_errorname = "SQLITE_CORRUPT_INDEX"
    assert isinstance(refusal(damage, "x"), StoreFormatError)
    assert isinstance(refusal(sqlite3.OperationalError("disk I/O error"), "x"), StoreUnavailableError)


def test_a_lock_that_cannot_be_a_lock_is_refused(place: Path) -> None:
    lock = Path(f"{place}.lock")
    lock.mkdir()
    with pytest.raises(StoreOpenError, match="cannot lock"):
        SQLiteSessionStore(place)
    lock.rmdir()
    lock.symlink_to(place.parent / "elsewhere")
    with pytest.raises(StoreOpenError, match="cannot lock"):
        SQLiteSessionStore(place)
    assert not place.exists()


def refused_to_nobody(act: Callable[[], object]) -> bool:
    """Whether `StorePermissionError` comes to a process without any rights."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setuid(65534)  # nobody
            act()
        except StorePermissionError:
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_what_belongs_to_another_user_is_refused(place: Path) -> None:
    whole(place)
    place.parent.chmod(0)
    try:
        assert refused_to_nobody(lambda: SQLiteSessionStore(place))
    finally:
        place.parent.chmod(0o700)


def test_an_opening_that_fails_halfway_keeps_nothing_open(place: Path) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    whole(place)
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = 0
    for spare in range(40):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + spare, hard))
        try:
            SQLiteSessionStore(place).close()
        except StoreOpenError:
            failures += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert descriptors() == before
    assert 5 < failures < 40
