"""Stores to act on, and one token counter for all runtimes: loading its ranks takes a fifth of a second."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.runtime.tokens import TokenCounter

COUNTER = TokenCounter()


@pytest.fixture(autouse=True)
def one_token_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.wiring.TokenCounter", lambda: COUNTER)


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SessionStore]]:
    """Opens the same stored sessions each time; what is in memory survives a runtime that closes it."""
    memory = KeptInMemory()
    opened: list[SessionStore] = []

    def make() -> SessionStore:
        opened.append(memory if request.param == "memory" else SQLiteSessionStore(tmp_path / "greenroom.db"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: Callable[[], SessionStore]) -> SessionStore:
    return make_store()


@pytest.fixture
def memory() -> SessionStore:
    return KeptInMemory()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteSessionStore]:
    store = SQLiteSessionStore(tmp_path / "greenroom.db")
    yield store
    store.close()


class KeptInMemory(InMemorySessionStore):
    """Survives its closing, as a file does."""

    def close(self) -> None:
        """Keep everything."""
