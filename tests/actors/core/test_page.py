"""The page of semantics against the tests: each sentence has its tests, each test its sentence."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from greenroom.actors import actor

FOLDER = Path(__file__).parent
PAGE = Path(actor.__file__).with_name("ACTORS.md").read_text()


def defined() -> set[str]:
    """Every test of this folder but these."""
    names: set[str] = set()
    for path in FOLDER.glob("test_*.py"):
        if path != Path(__file__):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    names |= {f"{path.name}::{node.name}"} if node.name.startswith("test_") else set()
                elif isinstance(node, ast.Assign):  # a state machine's test case
                    names |= {
                        f"{path.name}::{target.id}"
                        for target in node.targets
                        if isinstance(target, ast.Name) and target.id.startswith("Test")
                    }
    return names


def promises() -> str:
    """The part of the page where each sentence is shown by tests."""
    return PAGE[PAGE.index("## Messages") : PAGE.index("## Not promised")]


def test_the_page_lists_every_test_and_no_other() -> None:
    assert set(re.findall(r"^  - `(.+)`$", promises(), re.MULTILINE)) == defined()


def test_every_sentence_has_a_test() -> None:
    sentences = re.split(r"^- ", promises(), flags=re.MULTILINE)[1:]
    assert len(sentences) > 50
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z`].*\.\n(  - `.+`\n)+(\n(## .+\n\n)?)?", sentence), sentence


def test_the_example_runs(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    script = tmp_path / "example.py"
    script.write_text(example[1])
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert ran.stdout == "2\n"
