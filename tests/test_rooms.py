"""The shape of the code: who may import what, how long a file is, and whether the README tells the truth."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "bench", "persistence", "runtime")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 400  # lines
README = ROOT / "README.md"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the rooms that Python finds from ``folder``."""
    tool = Path(sys.executable).with_name("lint-imports")
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    return subprocess.run(  # noqa: S603 - our own tool
        [tool, *config], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_rooms_keep_every_import_contract() -> None:
    linted = lint_imports(ROOT)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("persistence/ids.py", "from ..actors import events", "Imports go one way"),
        ("actors/events.py", "from ..runtime import config", "Imports go one way"),
        ("runtime/config.py", "from ..bench import sessions", "Imports go one way"),
        ("persistence/ids.py", "import trio", "persistence knows no Trio"),
        ("actors/events.py", "import os", "actors reaches the world through runtime only"),
        ("persistence/ids.py", "import sqlite3", "sqlite3 is the one that sqlite_utils uses"),
        ("runtime/config.py", "import sqlite_utils", "persistence is the door to SQLite"),
        ("runtime/config.py", "import trio_websocket", "runtime.websocket is the door to trio-websocket"),
        ("runtime/config.py", "import wsproto", "runtime.websocket is the door to trio-websocket"),
        ("runtime/config.py", "import h11", "runtime.handshake is the door to h11"),
        ("runtime/config.py", "import starlette.routing", "runtime.http is the door to the HTTP server"),
        ("runtime/config.py", "import tiktoken", "runtime.tokens is the door to the tokenizer"),
        ("runtime/config.py", "import rich", "The terminal libraries stay in the command line"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    module: str, line: str, contract: str, tmp_path: Path
) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / "greenroom" / room)
    with (tmp_path / "greenroom" / module).open("a") as file:
        file.write(f"\n{line}\n")
    linted = lint_imports(tmp_path)
    assert linted.returncode != 0
    assert f"{contract} BROKEN" in linted.stdout


def test_every_package_the_rooms_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    homes = packages_distributions()
    # Each peer of the benchmark runs in an environment of its own, where its library is installed.
    ours = [path for path in MODULES if path.parent.name != "peers"]
    imported = {name for path in ours for name in outside(ast.parse(path.read_text()))}
    assert "trio" in imported
    undeclared = {
        name for name in imported if not declared & {canonicalize_name(home) for home in homes.get(name, ())}
    }
    assert undeclared == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def test_every_make_target_the_readme_names_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(README)))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_every_command_line_the_readme_shows_is_understood() -> None:
    commands = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?greenroom ([^\n#|>&]*)", code_of(README), re.MULTILINE)
    assert commands
    for command in commands:
        words = re.match(r"(?:[a-z]+\s*)*", command)[0].split()
        known = help_of(*words[:1])
        for flag in re.findall(r"--[a-z-]+", command):
            assert flag in known or flag in help_of(*words), f"greenroom {command}"


def test_every_python_snippet_in_the_readme_compiles() -> None:
    for snippet in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        compile(snippet, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def outside(tree: ast.Module) -> set[str]:
    """The packages that a module imports and that are neither Python's nor ours."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"greenroom"}


def code_of(page: Path) -> str:
    """Everything a page sets as code, one piece per line."""
    text = page.read_text()
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join(blocks + spans)


def help_of(*words: str) -> str:
    """What ``greenroom WORDS --help`` prints."""
    command = [Path(sys.executable).with_name("greenroom"), *words, "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our program
    return finished.stdout
