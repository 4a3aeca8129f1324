"""Each method of the protocol to the letter, over a real socket, by a client that shares no code with us."""

from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from .peer import CLIENT, Peer, RequestFailedError, peer
from .serving import Gated, Serving, serving

S = "echo:test:ann"
INFO_FIELDS = {
    "id",
    "agent_id",
    "channel_id",
    "peer_id",
    "state",
    "message_count",
    "token_count",
    "max_tokens",
    "token_usage",
    "created_at",
    "updated_at",
    "last_active_at",
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as one:
        yield one


async def refused(client: Peer, method: str, /, **params: object) -> dict[str, Any]:
    with pytest.raises(RequestFailedError) as caught:
        await client.call(method, **params)
    return caught.value.error


async def test_initialize_tells_version_heartbeat_limits_and_scopes(server: Serving) -> None:
    async with peer(server.url, initialize=False, subprotocols=["greenroom.v1"]) as client:
        assert client.socket.subprotocol == "greenroom.v1"
        assert await client.call("initialize", protocol=1, client=CLIENT) == {
            "protocol": 1,
            "server": {"name": "greenroom", "version": version("greenroom")},
            "heartbeat_ms": 20_000,
            "limits": {
                "frame_bytes": 512 * 1024,
                "content_bytes": 256 * 1024,
                "mailbox": 256,
                "pending": 100,
                "outbound_bytes": 1024 * 1024,
            },
            "scopes": {
                "agents": ["*"],
                "channels": ["*"],
                "peers": ["*"],
                "verbs": ["read", "write", "stop", "admin"],
            },
        }


async def test_before_initialize_every_other_method_is_unauthorized(server: Serving) -> None:
    async with peer(server.url, initialize=False) as client:
        for method in ("ping", "stats", "session.list", "session.info"):
            error = await refused(client, method, session=S)
            assert (error["code"], error["data"]) == (-32000, {"name": "unauthorized", "retryable": False})
        await client.call("initialize", protocol=1, client=CLIENT)


async def test_a_second_initialize_is_an_invalid_request_and_changes_nothing(server: Serving) -> None:
    async with peer(server.url) as client:
        assert (await refused(client, "initialize", protocol=1, client=CLIENT))["code"] == -32600
        assert "at" in await client.call("ping")


async def test_an_unknown_method_is_refused_and_a_notification_ignored(server: Serving) -> None:
    async with peer(server.url) as client:
        assert (await refused(client, "session.explode"))["code"] == -32601
        await client.send({"jsonrpc": "2.0", "method": "message.send", "params": {"session": S}})
        await client.send({"jsonrpc": "2.0", "method": "no.such"})
        await client.call("ping")
        assert len(client.log) == 3
        assert (await client.call("session.list"))["sessions"] == []


async def test_attach_creates_and_shows_an_empty_session(server: Serving) -> None:
    async with peer(server.url) as client:
        answer = await client.call("session.attach", session=S)
        assert set(answer) == {"info", "epoch", "head_seq", "recovered", "queue", "snapshot"}
        assert answer["head_seq"] == 0
        assert answer["recovered"] is False
        assert answer["queue"] == []
        assert answer["snapshot"] == {"messages": [], "more": False}
        assert set(answer["info"]) == INFO_FIELDS
        assert (answer["info"]["id"], answer["info"]["state"]) == (S, "active")
        assert answer["info"]["created_at"].endswith("Z")
        assert 1 <= len(answer["epoch"]) <= 32
        assert ":" not in answer["epoch"]


async def test_attach_without_create_does_not_create(server: Serving) -> None:
    async with peer(server.url) as client:
        error = await refused(client, "session.attach", session=S, create=False)
        assert (error["code"], error["data"]) == (-32002, {"name": "not_found", "retryable": False})
        assert (await client.call("session.list"))["sessions"] == []
        await client.call("session.attach", session=S)
        await client.call("session.attach", session=S, create=False)


async def test_a_message_is_acked_then_streamed_then_stored(server: Serving) -> None:
    text = "one  two\nthree 🧵 "
    async with peer(server.url) as client:
        epoch = (await client.call("session.attach", session=S))["epoch"]
        del client.log[:]
        ack = await client.say(S, text, "c1")
        turn = ack["turn_id"]
        assert ack == {"seq": 1, "epoch": epoch, "status": "accepted", "duplicate": False, "turn_id": turn}
        while client.log[-1].get("params", {}).get("type") != "turn.finished":
            await client.receive()
    assert "result" in client.log[0]  # the answer comes before everything that it causes
    events = [frame["params"] for frame in client.log[1:]]
    assert {(event["session"], event["epoch"]) for event in events} == {(S, epoch)}
    assert all(event["at"].endswith("Z") for event in events)
    kinds = [event["type"] for event in events if event["type"] != "turn.delta"]
    assert kinds == ["message", "turn.started", "message", "turn.finished"]
    assert [event["seq"] for event in events if "seq" in event] == [1, 2, 3]
    by_kind = {(e["type"], e.get("seq")): e["data"] for e in events if e["type"] != "turn.delta"}
    assert by_kind["message", 1] == {"role": "user", "content": text, "client_id": "c1"}
    assert by_kind["turn.started", None] == {"turn_id": turn, "message_seqs": [1]}
    assert by_kind["message", 2] == {"role": "assistant", "content": text, "turn_id": turn}
    finished = {"message_seqs": [1], "stop_reason": "end_turn", "turn_id": turn}
    assert by_kind["turn.finished", 3] == finished
    deltas = [event["data"] for event in events if event["type"] == "turn.delta"]
    said = ""
    for delta in deltas:
        assert (delta["turn_id"], delta["offset"]) == (turn, len(said))
        said += delta["text"]
    assert said == text


async def test_p5_a_repeat_is_a_duplicate_and_another_content_a_conflict(server: Serving) -> None:
    async with peer(server.url) as client, peer(server.url) as other:
        first = await client.say(S, "hello", "same", wait="done")
        for one in (client, other):
            again = await one.say(S, "hello", "same")
            assert again == first | {"duplicate": True}
            error = await refused(one, "message.send", session=S, client_id="same", content="bye")
            assert (error["code"], error["data"]["name"]) == (-32004, "id_conflict")
            assert "seq 1" in error["message"]
            assert "bye" not in str(error)
        assert (await client.call("session.info", session=S))["head_seq"] == 3
        assert (await client.say("echo:test:bob", "bye", "same"))["duplicate"] is False


async def test_who_waits_until_done_is_told_how_the_turn_ended(server: Serving) -> None:
    async with peer(server.url) as client:
        done = await client.say(S, "a b", "1", wait="done")
        turn = done["turn_id"]
        expected = {"seq": 1, "epoch": done["epoch"], "status": "done", "turn_id": turn}
        assert done == expected | {"duplicate": False, "stop_reason": "end_turn", "text": "a b"}
        again = await client.say(S, "a b", "1", wait="done")
        assert again == expected | {"duplicate": True, "stop_reason": "end_turn", "text": "a b"}


@pytest.mark.parametrize("mode", ["collect", "steer", "interrupt"])
async def test_a_mode_that_is_not_supported_while_a_turn_runs_starts_one_when_none_does(
    tmp_path: Path, mode: str
) -> None:
    async with serving(tmp_path, Gated().agent) as server, peer(server.url) as client:
        sent = {"session": S, "content": "x", "mode": mode}
        assert (await client.call("message.send", **sent, client_id="1"))["status"] == "accepted"
        error = await refused(client, "message.send", **sent, client_id="2")
        assert error["code"] == -32013
        assert error["data"] == {"name": "not_supported", "retryable": False, "field": "mode"}


async def test_content_is_bounded_in_bytes(server: Serving) -> None:
    async with peer(server.url) as client:
        fits = "é" * (128 * 1024)
        assert (await client.say(S, fits, "1", wait="done"))["text"] == fits
        error = await refused(client, "message.send", session=S, client_id="2", content=fits + "x")
        assert (error["code"], error["data"]["name"]) == (-32007, "too_large")
        assert (await client.call("session.info", session=S))["head_seq"] == 3


async def test_history_is_paged_backwards_and_says_whether_there_is_more(server: Serving) -> None:
    async with peer(server.url) as client:
        for number in range(5):
            await client.say(S, f"text {number}", str(number), wait="done")
        page = await client.call("session.history", session=S, limit=3)
        assert page["more"] is True
        assert [message["seq"] for message in page["messages"]] == [11, 13, 14]
        epoch, turn = page["messages"][1]["epoch"], page["messages"][2]["turn_id"]
        user, assistant = page["messages"][1:]
        at = user.pop("at"), assistant.pop("at")
        assert at[0] <= at[1]
        assert user == {"seq": 13, "epoch": epoch, "role": "user", "content": "text 4", "client_id": "4"}
        said = {"seq": 14, "epoch": epoch, "role": "assistant", "content": "text 4", "turn_id": turn}
        assert assistant == said
        rest = await client.call("session.history", session=S, before_seq=11, limit=200, epoch=epoch)
        assert rest["more"] is False
        assert [message["seq"] for message in rest["messages"]] == [1, 2, 4, 5, 7, 8, 10]
        nothing = await client.call("session.history", session=S, before_seq=1)
        assert nothing == {"messages": [], "more": False}
        one = await client.call("session.history", session=S, limit=-5)
        assert ([message["seq"] for message in one["messages"]], one["more"]) == ([14], True)
        for wrong in ("1", "2-x", "x" * 32, epoch.replace("1-", "01-"), epoch.replace("1-", "\u0661-")):
            error = await refused(client, "session.history", session=S, epoch=wrong)
            assert (error["code"], error["data"]["field"]) == (-32602, "epoch")


async def test_a_history_page_has_at_most_half_a_mebibyte(server: Serving) -> None:
    async with peer(server.url) as client:
        for number in range(2):
            await client.say(S, str(number) * 200_000, str(number), wait="done")
        page = await client.call("session.history", session=S)
        assert ([message["seq"] for message in page["messages"]], page["more"]) == ([4, 5], True)
        page = await client.call("session.history", session=S, before_seq=4)
        assert ([message["seq"] for message in page["messages"]], page["more"]) == ([1, 2], False)


async def test_info_tells_the_facts(server: Serving) -> None:
    async with peer(server.url) as client:
        epoch = (await client.say(S, "hello world", "1", wait="done"))["epoch"]
        answer = await client.call("session.info", session=S)
        info = answer.pop("info")
        assert answer == {"epoch": epoch, "head_seq": 3, "epochs": [epoch]}
        assert set(info) == INFO_FIELDS
        assert (info["agent_id"], info["channel_id"], info["peer_id"]) == ("echo", "test", "ann")
        assert (info["message_count"], info["token_count"], info["max_tokens"]) == (2, 4, 128_000)
        assert info["token_usage"] == 4 / 128_000


async def test_stats_count_all_sessions(server: Serving) -> None:
    async with peer(server.url) as client:
        for name in ("ann", "bob"):
            await client.say(f"echo:test:{name}", "hello world", "1", wait="done")
        stats = await client.call("stats")
        assert stats.pop("commits") <= stats.pop("appends") == 4
        assert stats == {
            "total_sessions": 2,
            "active_sessions": 2,
            "idle_sessions": 0,
            "archived_sessions": 0,
            "total_messages": 4,
            "total_tokens": 8,
            "live_actors": 2,
            "mailbox_depth": 0,
        }


@pytest.mark.parametrize("method", ["session.info", "session.history", "session.detach"])
async def test_a_missing_session_is_not_found_and_not_created(server: Serving, method: str) -> None:
    async with peer(server.url) as client:
        assert (await refused(client, method, session=S))["data"]["name"] == "not_found"
        assert (await client.call("session.list"))["sessions"] == []
