"""What is installed is what is meant: one name in site-packages, and locked, hashed dependencies."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "bench", "persistence", "runtime")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def locked() -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by name."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    packages = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            pin, *hashes = line.split(" --hash=")
            name, version = pin.split(";")[0].split("==")
            packages[name] = (version.strip(), [text.strip() for text in hashes])
    return packages


def test_everything_declared_is_locked_at_a_version_it_allows(project: dict, locked: dict) -> None:
    declared = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ]
    for requirement in map(Requirement, declared):
        version, _ = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_every_locked_package_has_sha256_hashes_and_nothing_else(locked: dict) -> None:
    for name, (_, hashes) in locked.items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes), name


def test_the_lock_names_no_index_and_no_place() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|(^|\s)/", text)


def test_the_wheel_holds_every_module_under_one_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path, source]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)  # noqa: S603 - pip on our own files
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"greenroom"}
    modules = {
        f"greenroom/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
