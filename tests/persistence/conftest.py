"""Both stores, freshly opened."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "greenroom.db"


@pytest.fixture
def sqlite_store(place: Path) -> Iterator[SQLiteSessionStore]:
    store = SQLiteSessionStore(place)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., SessionStore]]:
    made: list[SessionStore] = []

    def make(**options: int) -> SessionStore:
        if request.param == "memory":
            made.append(InMemorySessionStore(**options))
        else:
            made.append(SQLiteSessionStore(tmp_path / f"{len(made)}.db", **options))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., SessionStore]) -> SessionStore:
    return make_store()
