"""The command line: ``greenroom serve``, ``greenroom chat``, ``greenroom sessions``.

Each command lives in a module of its own, imported when it is asked for: ``greenroom --help`` shall be fast.
Errors are one line, ``greenroom: SENTENCE``, and an exit code from `exits`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from . import exits
from .terminal import abandon_output, forgive_encodings

if TYPE_CHECKING:
    import cyclopts

DEBUG_FLAG = "--debug"

_SESSION_COMMANDS = {
    "list": ("sessions_cli:list_sessions", "List sessions, the newest activity first."),
    "show": ("sessions_cli:show_session", "Show one session and its newest messages."),
    "search": ("sessions_search_cli:search_sessions", "Find messages by their words, the newest first."),
    "export": ("sessions_transfer_cli:export_sessions", "Write sessions as lines of JSON."),
    "import": ("sessions_transfer_cli:import_sessions", "Store the sessions of an export, all or none."),
    "archive": ("sessions_end_cli:archive_sessions", "Archive sessions; their messages stay readable."),
    "delete": ("sessions_end_cli:delete_sessions", "Delete sessions and all their messages."),
}


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    forgive_encodings()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = DEBUG_FLAG in arguments
    tokens = [token for token in arguments if token != DEBUG_FLAG]
    try:
        return _carry_out(tokens)
    except BrokenPipeError:
        abandon_output()
        return exits.IN_OUT
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:  # noqa: BLE001  # the last place: told below
        if debug:
            sys.excepthook(type(exc), exc, exc.__traceback__)
        if isinstance(exc, OSError):
            abandon_output()  # it may be the output that failed, and would fail again when the process ends
        code, sentence = exits.explain(exc)
        return _fail(code, sentence) if code != exits.INTERRUPTED else code


def _carry_out(tokens: Sequence[str]) -> int:
    # Imported here because it takes a tenth of a second, in which an interrupt shall be an end as any other.
    import cyclopts  # noqa: PLC0415

    try:
        _app()(tokens, print_error=False, exit_on_error=False, result_action="return_value")
    except cyclopts.CycloptsError as exc:
        return _fail(exits.USAGE, " ".join(str(exc).split()))
    return _flush()


def _app() -> "cyclopts.App":
    """The commands, by the place of each one's function."""
    import cyclopts  # noqa: PLC0415 - as above

    app = cyclopts.App(
        name="greenroom",
        help="An actor-model runtime for conversations. With --debug, errors come with tracebacks.",
        version=_version,
        default_parameter=cyclopts.Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )
    app.command(
        f"{__package__}.serve_cli:serve", name="serve", help="Serve conversations until SIGTERM or SIGINT."
    )
    app.command(f"{__package__}.chat:chat", name="chat", help="Talk in one session from the terminal.")
    sessions = cyclopts.App(
        name="sessions",
        help="The sessions in a database. list, show, search and export read it, beside a server or without; "
        "import, archive and delete need it for themselves.",
    )
    for name, (place, text) in _SESSION_COMMANDS.items():
        sessions.command(f"{__package__}.{place}", name=name, help=text)
    app.command(sessions)
    return app


def _version() -> str:
    # Looking it up takes a tenth of what `--help` takes, and `--help` does not show it.
    from .version import VERSION  # noqa: PLC0415

    return VERSION


def _flush() -> int:
    """Write out what is buffered, where its failure can still be told."""
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when started without one
        sys.stdout.flush()
    return 0


def _fail(code: int, sentence: str) -> int:
    try:
        print("greenroom:", " ".join(sentence.splitlines()), file=sys.stderr)  # noqa: T201  # the command line's own
    except OSError:
        return code  # nobody reads standard error; the exit code still tells
    return code
