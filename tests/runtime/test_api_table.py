"""Every name of the API beside the call that shows that it works, against a real manager on a file."""

import inspect
from pathlib import Path

import greenroom.actors
import greenroom.persistence
import greenroom.runtime
import msgspec
import pytest
from greenroom.persistence import SessionStore
from greenroom.runtime import (
    CompactionResult,
    CompactionSettings,
    CompactorMemoryIntegration,
    EndReason,
    HookManager,
    MemoryRefreshConfig,
    MemoryRefresher,
    Message,
    Session,
    SessionCompactor,
    SessionFilter,
    SessionHook,
    SessionID,
    SessionInfo,
    SessionManager,
    SessionManagerStats,
    SessionMetadata,
    SessionState,
    ToolCall,
)
from greenroom.runtime.config import Cleanup, ConfigError, Isolation
from greenroom.runtime.config_sources import load_config

from . import api_managing, api_memory, api_sessions, api_stores
from .api_place import Row, open_place

TABLE = [*api_sessions.ROWS, *api_stores.ROWS, *api_managing.ROWS, *api_memory.ROWS]
CLASSES = [
    *[SessionID, Message, ToolCall, SessionMetadata, SessionInfo, SessionFilter, SessionManagerStats],
    *[Session, SessionManager, SessionHook, HookManager, SessionState, EndReason, Cleanup, Isolation],
    *[SessionCompactor, CompactionResult, CompactionSettings, CompactorMemoryIntegration],
    *[MemoryRefresher, MemoryRefreshConfig],
]
NOT_FOR_HOSTS = {"HookManager.listeners", "HookManager.tell", "HookManager.watch", "Message.partial"}
SIX_OF_THE_STORE = {"archive", "close", "delete", "list", "load", "save"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.published.split()[0])
async def test_the_name_has_a_working_counterpart(row: Row, tmp_path: Path) -> None:
    async with open_place(tmp_path) as place:
        came = row.call(place)
        if inspect.isawaitable(came):
            came = await came
    if callable(row.expected):
        assert row.expected(came), came
    else:
        assert came == row.expected


def test_every_published_name_stands_beside_its_counterpart() -> None:
    for row in TABLE:
        assert len(row.published.split()) == len(row.here.split()), row.published


def test_every_exported_name_has_a_row() -> None:
    rows = {name for row in TABLE for name in row.here.split()}
    for room in (greenroom.actors, greenroom.persistence, greenroom.runtime):
        assert set(room.__all__) - rows == set()
        assert all(getattr(room, name) is not None for name in room.__all__)


def test_every_public_attribute_has_a_row() -> None:
    rows = {name for row in TABLE for name in row.here.split()}
    public = {f"{kind.__name__}.{name}" for kind in CLASSES for name in _public(kind)}
    assert public - rows == NOT_FOR_HOSTS
    assert {f"SessionStore.{name}" for name in SIX_OF_THE_STORE} <= rows
    assert _public(SessionStore) >= SIX_OF_THE_STORE


def _public(kind: type) -> set[str]:
    names = set(kind.__dict__) | set(kind.__annotations__)
    if issubclass(kind, msgspec.Struct):
        names |= set(kind.__struct_fields__)
    return {name for name in names if not name.startswith("_")}


def test_a_room_has_no_other_names() -> None:
    for room in (greenroom.actors, greenroom.runtime):
        with pytest.raises(AttributeError, match=r"has no attribute 'Sessoin'$"):
            room.Sessoin  # noqa: B018 - asking is the test


@pytest.mark.parametrize(("line", "name"), api_memory.NOT_YET.items())
def test_a_setting_for_what_sessions_do_not_do_yet_is_refused_by_name(
    line: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "greenroom.toml"
    file.write_text(line)
    with pytest.raises(ConfigError, match=f"no setting '{name}'"):
        load_config(file, {}, {})
