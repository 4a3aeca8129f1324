"""Which exit code and which sentence an error becomes; the codes are those of ``sysexits.h``."""

import errno
import traceback
from collections.abc import Iterator
from typing import Final, cast

USAGE: Final = 2  # what shells and argument parsers use
DATA: Final = 65
UNAVAILABLE: Final = 69
BEYOND_REPAIR: Final = 70
IN_OUT: Final = 74
IN_USE: Final = 75
PERMISSION: Final = 77
CONFIGURATION: Final = 78
INTERRUPTED: Final = 130  # what shells report for SIGINT


class UsageError(Exception):
    """The command line cannot be followed; the text is one sentence."""


class MissingError(Exception):
    """What was asked for is not in the database."""


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for an error, of which a group shows the one that says most."""
    explained = [_explain_one(leaf) for leaf in _leaves(error)]
    return next((pair for pair in explained if pair[0] != BEYOND_REPAIR), explained[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(part)
    else:
        yield error


def _explain_one(error: BaseException) -> tuple[int, str]:
    code = _code(error)
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        place = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return code, f"{place}{error.strerror or error}"
    if code == BEYOND_REPAIR and not str(type(error).__module__).startswith("greenroom."):
        # The text of a foreign exception may quote what somebody wrote; its kind and place do not.
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        return code, f"unexpected {type(error).__name__}{place} (--debug shows all of it)"
    if _is_failed_supervisor(error) and error.__cause__ is not None:
        return code, f"{error}: {explain(error.__cause__)[1]}"
    return code, str(error)


def _is_failed_supervisor(error: BaseException) -> bool:
    from ..actors.errors import SupervisorFailedError  # noqa: PLC0415 - as below

    return isinstance(error, SupervisorFailedError)


def _code(error: BaseException) -> int:
    # Imported here because only a failure needs them, and `--help` shall not pay for them.
    from ..actors.errors import DamagedError, SessionNotFoundError, UnavailableError  # noqa: PLC0415
    from ..persistence import errors as store  # noqa: PLC0415
    from .agents import AgentNotFoundError  # noqa: PLC0415
    from .bind import AddressInUseError, BindError  # noqa: PLC0415
    from .client_errors import ClientClosedError, RequestError  # noqa: PLC0415
    from .config import ConfigError  # noqa: PLC0415
    from .dial import ConnectError  # noqa: PLC0415
    from .transfer import TooLongToExportError  # noqa: PLC0415
    from .transfer_reading import BadImportError  # noqa: PLC0415

    codes: list[tuple[int, tuple[type[BaseException], ...]]] = [
        (INTERRUPTED, (KeyboardInterrupt,)),
        (USAGE, (UsageError,)),
        (CONFIGURATION, (ConfigError, AgentNotFoundError)),
        (DATA, (MissingError, SessionNotFoundError, DamagedError, store.StoreFormatError)),
        (DATA, (BadImportError, TooLongToExportError)),
        (IN_USE, (store.StoreInUseError,)),
        (PERMISSION, (store.StorePermissionError,)),
        (IN_OUT, (store.StoreOpenError, store.StoreUnavailableError, UnavailableError)),
        (UNAVAILABLE, (AddressInUseError, ConnectError, ClientClosedError)),
    ]
    for code, kinds in codes:
        if isinstance(error, kinds):
            return code
    if isinstance(error, RequestError):
        return PERMISSION if error.name in {"unauthorized", "forbidden"} else DATA
    if isinstance(error, BindError):
        return PERMISSION if error.is_forbidden else CONFIGURATION
    if isinstance(error, OSError):
        return PERMISSION if error.errno in {errno.EACCES, errno.EPERM} else IN_OUT
    return BEYOND_REPAIR
