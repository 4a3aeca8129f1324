"""The page of promises against the tests: whatever either names, the other has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS / "PROMISES.md"
NUMBERS = [f"P{number}" for number in range(1, 37)] + [f"F{number}" for number in range(1, 45)]


def items(page: str) -> list[tuple[str, str, list[str]]]:
    """Each item's number, sentence, and what is listed under it."""
    parts = re.split(r"^- \*\*([PF]\d+)\*\* ", page, flags=re.MULTILINE)[1:]
    return [
        (number, text.partition("\n")[0], re.findall(r"^  - (.+)$", text, re.MULTILINE))
        for number, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def defined(folder: Path) -> Iterator[tuple[str, str]]:
    """Each test of a folder: its file, seen from there, and its name."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            names: list[str] = []
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):  # a state machine's test case
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            yield from ((path.relative_to(folder).as_posix(), name) for name in names if is_test(name))


def is_test(name: str) -> bool:
    """Whether pytest takes a name for a test's."""
    return name.startswith(("test_", "Test"))


def numbers_of(test: str) -> list[str]:
    """The promises and faults that a test is named after, one or several."""
    leading = re.match(r"test_((?:[pf]\d+_)*)", test)
    return leading[1].upper().split("_")[:-1] if leading else []


def faults_of(page: str, tests: set[tuple[str, str]]) -> list[str]:
    """What is wrong with a page, one sentence each."""
    found = items(page)
    faults = [f"{number} is not there" for number in NUMBERS if number not in [item[0] for item in found]]
    faults += [f"{item[0]} comes twice or is unknown" for item in found if item[0] not in NUMBERS]
    listed: set[tuple[str, str]] = set()
    for number, sentence, lines in found:
        if not re.fullmatch(r"[A-Z][^.]*\.", sentence):
            faults.append(f"{number} is not one sentence")
        if not lines:
            faults.append(f"{number} lists neither a test nor 'not yet'")
        for line in lines:
            reference = re.fullmatch(r"`([\w/]+\.py)::(\w+)`", line)
            if reference and reference.groups() in tests:
                listed.add((number, "::".join(reference.groups())))
            elif not re.fullmatch(r"not yet(: .+)?", line):
                faults.append(f"{number} lists what is not there: {line}")
    for path, name in sorted(tests):
        for number in numbers_of(name):
            if (number, f"{path}::{name}") not in listed:
                faults.append(f"{number} lacks `{path}::{name}`")
    return faults


def test_every_promise_and_fault_is_listed_with_the_tests_that_show_it() -> None:
    assert faults_of(PAGE.read_text(), set(defined(TESTS))) == []


def test_each_number_comes_once_and_in_order() -> None:
    assert [number for number, _, _ in items(PAGE.read_text())] == NUMBERS


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("- **P4** ", "- **P99** ", "P4 is not there"),
        ("::test_p5_", "::test_p5_not_", "P5 lists what is not there"),
        ("  - not yet\n", "\n", "lists neither"),
        ("- **P1** A", "- **P1** Yes. A", "P1 is not one sentence"),
        (
            "  - `actors/test_writer.py::test_p1_nobody_is_answered_before_the_commit_has_returned`\n",
            "",
            "P1 lacks `actors/test_writer.py::test_p1_nobody",
        ),
    ],
)
def test_a_page_that_says_something_else_is_found_out(before: str, after: str, fault: str) -> None:
    page = PAGE.read_text()
    assert before in page
    damaged = page.replace(before, after, 1)
    assert any(fault in one for one in faults_of(damaged, set(defined(TESTS))))
