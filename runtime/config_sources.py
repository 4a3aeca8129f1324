"""Where settings come from, the first that names one wins.

1. The command line.
2. The environment: ``GREENROOM_PORT``, ``GREENROOM_LIMITS_MAILBOX``, ``GREENROOM_CLEANUP_IDLE_AFTER``.
3. A TOML file: ``port = 8765``, ``[limits]`` with ``mailbox = 256``, ``[cleanup]`` with ``idle_after = 300``.
4. The defaults of `Config`.
"""

import difflib
import functools
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .config import Config, ConfigError

ENVIRONMENT_PREFIX = "GREENROOM_"


def load_config(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Gather the settings from all their sources.

    Args:
        file: A TOML file, or None.
        environ: The environment; only names that begin with ``GREENROOM_`` are looked at.
        flags: Command-line values by setting name; None stands for "not given".

    Raises:
        ConfigError: A source cannot be read, names an unknown setting, or holds a value that cannot be used.
    """
    found: dict[str, Any] = {}
    if file is not None:
        for key, value in _file_settings(file).items():
            found[key] = _read(key, value, strict=True, source=str(file))
    for name, text in _environment_settings(environ).items():
        key = _keys_by_variable()[name]
        value = [part.strip() for part in text.split(",") if part.strip()] if key == "origins" else text
        found[key] = _read(key, value, strict=False, source=name)
    for key, value in flags.items():
        if value is not None:
            found[key] = _read(key, value, strict=False, source=f"--{key.replace('_', '-')}")
    plain = {key: value for key, value in found.items() if "." not in key}
    for name, table in _tables().items():
        start = f"{name}."
        plain[name] = table(**{k.removeprefix(start): v for k, v in found.items() if k.startswith(start)})
    return Config(**plain)


@functools.cache
def _tables() -> dict[str, type[msgspec.Struct]]:
    """The settings that are tables of settings, by name."""
    return {name: kind for name, kind in typing.get_type_hints(Config).items() if _is_table(kind)}


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@functools.cache
def _types() -> dict[str, Any]:
    """The type of each setting by its dotted name."""
    types = typing.get_type_hints(Config, include_extras=True)
    for name, table in _tables().items():
        del types[name]
        inner = typing.get_type_hints(table, include_extras=True)
        types |= {f"{name}.{key}": kind for key, kind in inner.items()}
    return types


@functools.cache
def _keys_by_variable() -> dict[str, str]:
    return {ENVIRONMENT_PREFIX + key.replace(".", "_").upper(): key for key in _types()}


def _file_settings(file: Path) -> dict[str, object]:
    """The file's settings by dotted name."""
    table = _parse(file)
    dotted: dict[str, object] = {}
    for name in _tables():
        inner = table.pop(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{name}: expected a table, met {_shown(inner)} (from {file})")
        dotted |= {f"{name}.{key}": value for key, value in typing.cast("dict[str, object]", inner).items()}
    for key in [*table, *dotted]:
        if key not in _types():
            raise ConfigError(f"{file}: no setting {key!r}{_suggestion(key, _types())}")
    return table | dotted


def _parse(file: Path) -> dict[str, object]:
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file}: expected UTF-8 text, met byte 0x{exc.object[exc.start]:02x}") from exc
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        message = str(exc)
        # Python 3.11 tells the place only inside the text: "(at line 3, column 7)" or "(at end of document)".
        place = re.search(r" \(at line (\d+), column (\d+)\)\Z", message)
        lines = text.split("\n")
        line, column = place.groups() if place else (len(lines), len(lines[-1]) + 1)
        reason = re.sub(r" \(at [^()]+\)\Z", "", message)
        raise ConfigError(f"{file}:{line}:{column}: {reason}") from exc


def _environment_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment's settings by variable name."""
    mine = {name: text for name, text in environ.items() if name.startswith(ENVIRONMENT_PREFIX)}
    for name in mine:
        if name not in _keys_by_variable():
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            for table in _tables():
                key = re.sub(rf"\A{table}_", f"{table}.", key)
            raise ConfigError(f"environment: no setting {name}{_suggestion(key, _types())}")
    return mine


def _read(key: str, value: object, *, strict: bool, source: str) -> Any:  # noqa: ANN401  # the setting's own type
    kind = _types()[key]
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as exc:
        expected = kind.__metadata__[0].description
        raise ConfigError(f"{key}: expected {expected}, met {_shown(value)} (from {source})") from exc


def _suggestion(met: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(met, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(value: object) -> str:
    """A value as an error may show it: short, on one line, quoted where a reader could miss its edges."""
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[!-~]+", text):
        text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  # two thirds of a terminal line
