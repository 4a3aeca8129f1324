"""Messages that are commands, over the wire: done once, in order, and told to everybody."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio
from greenroom.persistence import SQLiteSessionStore
from greenroom.runtime.bind import bind, port_of
from greenroom.runtime.config import Config
from greenroom.runtime.gateway import Gateway
from greenroom.runtime.wiring import open_core

from .peer import Peer, peer
from .serving import ECHO, Gated, Serving, serving

S = "echo:test:ann"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as one:
        yield one


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Peer]:
    async with peer(server.url) as one:
        yield one


async def test_new_as_a_message_is_a_durable_command_and_a_repeat_does_nothing_again(client: Peer) -> None:
    old = (await client.call("session.attach", session=S))["epoch"]
    await client.say(S, "hello", "1", wait="done")
    answer = await client.say(S, "/new", "2")
    assert set(answer) == {"seq", "epoch", "status", "duplicate", "command", "result"}
    assert (answer["seq"], answer["epoch"], answer["status"], answer["command"]) == (4, old, "command", "new")
    info = await client.call("session.info", session=S)
    del info["epochs"]
    assert answer["result"] == info
    command = await client.event("command")
    assert (command["seq"], command["epoch"]) == (4, old)
    assert command["data"] == {"name": "new", "client_id": "2"}
    ended = await client.event()
    assert (ended["type"], ended["seq"], ended["epoch"]) == ("session.ended", 5, old)
    assert ended["data"]["next_epoch"] == info["epoch"] != old
    again = await client.say(S, "/new", "2")
    assert again == answer | {"duplicate": True}
    assert await client.call("session.info", session=S) == info | {"epochs": [info["epoch"], old]}


@pytest.mark.parametrize("name", ["new", "reset", "archive"])
async def test_a_command_answers_as_its_method_does(client: Peer, name: str) -> None:
    await client.call("session.update", session=S, title="a title")
    by_command = (await client.say(S, f"/{name}", "1"))["result"]
    info = await client.call("session.info", session=S)
    assert by_command == {key: info[key] for key in ("info", "epoch", "head_seq")}
    assert by_command["info"].get("title") == (None if name == "new" else "a title")
    assert by_command["info"]["state"] == ("archived" if name == "archive" else "active")


async def test_stop_as_a_message_cuts_the_turn_off_and_empties_the_queue(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        turn_id = (await client.say(S, "one two", "1"))["turn_id"]
        await client.say(S, "waits", "2")
        answer = await client.say(S, "/stop", "3")
        assert (answer["status"], answer["command"]) == ("command", "stop")
        assert answer["result"] == {"cancelled": [turn_id], "removed": [{"seq": 2, "content": "waits"}]}
        again = await client.say(S, "/stop", "3")
        assert (again["duplicate"], again["result"]) == (True, {"cancelled": [], "removed": []})
        assert (await client.call("session.attach", session=S))["queue"] == []


async def test_help_is_a_text_and_compact_fails_by_name_for_now(client: Peer) -> None:
    await client.call("session.attach", session=S)
    answer = await client.say(S, "/help", "1")
    assert set(answer["result"]) == {"text"}
    for name in ("new", "reset", "compact", "stop", "archive", "help"):
        assert f"/{name}" in answer["result"]["text"]
    failed = await client.say(S, "/compact", "2")
    assert set(failed) == {"seq", "epoch", "status", "duplicate", "command", "error"}
    assert (failed["status"], failed["command"], failed["error"]) == ("command", "compact", "not_supported")
    events = [await client.event("command") for _ in range(2)]
    assert [event["data"] for event in events] == [
        {"name": "help", "client_id": "1"},
        {"name": "compact", "client_id": "2", "error": "not_supported"},
    ]


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("//new", "/new"),
        ("///new", "//new"),
        ("/unknown", "/unknown"),
        ("/new now", "/new now"),
        (" /new", " /new"),
        ("/NEW", "/NEW"),
        ("say /new", "say /new"),
    ],
)
async def test_what_is_not_a_whole_command_is_a_message(client: Peer, content: str, stored: str) -> None:
    answer = await client.say(S, content, "1", wait="done")
    assert (answer["status"], answer["text"]) == ("done", stored)
    again = await client.say(S, content, "1")
    assert again["duplicate"] is True


async def test_a_command_and_a_message_of_the_same_client_id_conflict(client: Peer) -> None:
    await client.say(S, "/help", "1")
    await client.say(S, "hello", "2")
    for content, client_id in (("hello", "1"), ("/new", "1"), ("/new", "2")):
        number = await client.post("message.send", session=S, content=content, client_id=client_id)
        assert (await client.answer(number))["error"]["data"]["name"] == "id_conflict"


async def test_a_command_needs_no_turn_and_is_not_in_the_history(client: Peer) -> None:
    answer = await client.say(S, "/help", "1", wait="done", mode="reject")
    assert answer["status"] == "command"
    assert (await client.call("session.history", session=S))["messages"] == []
    info = await client.call("session.info", session=S)
    assert (info["head_seq"], info["info"]["message_count"]) == (1, 0)


async def test_with_commands_turned_off_each_is_a_message(tmp_path: Path) -> None:
    config = Config(commands=False)
    store, reports = SQLiteSessionStore(tmp_path / "greenroom.db"), list[msgspec.Struct]()
    listeners = await bind("127.0.0.1", 0)
    running = open_core(store, ECHO, config.limits, reports.append, commands=config.commands)
    async with running as core, trio.open_nursery() as nursery:
        await nursery.start(Gateway(config, core, 1, reports.append).run, listeners)
        async with peer(f"ws://127.0.0.1:{port_of(listeners)}/v1") as client:
            for number, content in enumerate(("/new", "//new", "/help")):
                answer = await client.say(S, content, str(number), wait="done")
                assert (answer["status"], answer["text"]) == ("done", content)
        nursery.cancel_scope.cancel()
    assert reports == []
