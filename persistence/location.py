"""Where a database lies: what the file system says before SQLite is asked, and the lock beside the file."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from .errors import StoreFormatError, StoreInUseError, StoreOpenError, StorePermissionError

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_PID_BYTES = 32
_SMALLEST_BYTES = 512  # SQLite's smallest page


def locate(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """Resolve every symbolic link and look whether a database can lie there.

    Returns:
        The real place, and whether a file is there already.

    Raises:
        StoreOpenError: It is not a regular file with one name, or its directory is missing.
        StoreFormatError: The file is empty or too short.
        StorePermissionError: The way to it is closed to this user.
    """
    try:
        place = Path(os.path.realpath(path))
        status = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            raise StoreOpenError(f"cannot open {path}: no such directory: {place.parent}") from None
        return place, False
    except PermissionError as error:
        raise StorePermissionError(f"cannot open {path}: {error.strerror}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise StoreOpenError(f"cannot open {path}: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise StoreOpenError(f"cannot open {place}: is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise StoreOpenError(f"cannot open {place}: not a regular file")
    if status.st_nlink > 1:
        # Two names mean two write-ahead logs for one database.
        raise StoreOpenError(f"cannot open {place}: expected one name for the file, met {status.st_nlink}")
    if status.st_size == 0:
        raise StoreFormatError(f"not a greenroom database: {place} is empty")
    if status.st_size < _SMALLEST_BYTES:  # SQLite takes a file of one byte for an empty one
        raise StoreFormatError(f"not a greenroom database: {place} has {status.st_size} bytes")
    return place, True


def require_writable(place: Path, *, exists: bool) -> None:
    """Refuse a place where a commit would fail; missing write bits count for root too.

    Raises:
        StorePermissionError: The file or its directory is read-only.
    """
    if exists and not _is_writable(place):
        raise StorePermissionError(f"{place} is read-only")
    if not _is_writable(place.parent):
        raise StorePermissionError(
            f"directory {place.parent} must be writable: the write-ahead log lies there"
        )


def _is_writable(place: Path) -> bool:
    return bool(place.stat().st_mode & _WRITE_BITS) and os.access(place, os.W_OK)


class ProcessLock:
    """Held while a store writes: an exclusive ``flock`` on ``PLACE.lock``, which names the holder.

    The kernel frees it when the process dies. The file stays: to remove it would let two processes
    each lock a file of that name.
    """

    def __init__(self, place: Path) -> None:
        """Take the lock at once or not at all.

        Raises:
            StoreInUseError: Another store, here or in another process, holds it.
            StorePermissionError: The lock file may not be written.
            StoreOpenError: The lock file cannot be opened.
        """
        name = f"{place}.lock"
        try:
            self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except PermissionError as error:
            raise StorePermissionError(f"cannot lock {place}: {name}: {error.strerror}") from error
        except OSError as error:
            raise StoreOpenError(f"cannot lock {place}: {name}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            holder = os.pread(self._file, _PID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            if error.errno != errno.EWOULDBLOCK:
                raise StoreOpenError(f"cannot lock {place}: {error.strerror}") from error
            raise StoreInUseError(f"{place}: database in use by process {holder or 'unknown'}") from None

    def release(self) -> None:
        """Let the next writer in."""
        os.close(self._file)
