"""What attached clients see, in which order, and how requests of one connection follow one another."""

from pathlib import Path
from typing import Any

import pytest
import trio
from greenroom.actors.turn import Agent, Turn
from greenroom.runtime.connection import MAX_UNANSWERED

from .peer import Peer, RequestFailedError, peer
from .serving import Gated, Serving, serving

S = "echo:test:ann"


async def durable_events(client: Peer, last_seq: int) -> list[dict[str, Any]]:
    """The durable events until that of ``last_seq``."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["seq"] < last_seq:
        event = await client.event()
        if "seq" in event:
            found.append(event)
    return found


async def test_two_clients_of_a_session_see_the_same_durable_events_in_the_same_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as one, peer(server.url) as two:
        for client in (one, two):
            await client.call("session.attach", session=S)

        async def talk(client: Peer, name: str) -> None:
            for number in range(10):
                await client.post(
                    "message.send", session=S, client_id=f"{name}{number}", content=f"{name} {number}"
                )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, one, "one")
            nursery.start_soon(talk, two, "two")
        seen = [await durable_events(client, 60) for client in (one, two)]
        assert seen[0] == seen[1]
        assert [event["seq"] for event in seen[0]] == list(range(1, 61))
        said = [event["data"] for event in seen[0] if event["data"].get("role") == "user"]
        for name in ("one", "two"):
            mine = [data["client_id"] for data in said if data["client_id"].startswith(name)]
            assert mine == [f"{name}{number}" for number in range(10)]


async def test_p4_requests_for_one_session_take_effect_in_the_order_sent(tmp_path: Path) -> None:
    agent = Agent("none", None)
    async with serving(tmp_path, agent) as server, peer(server.url) as client:
        ids: list[tuple[int, int]] = []
        for number in range(1, 41):
            await client.post("message.send", session=S, client_id=str(number), content="text")
            kind = ("session.info", "session.history")[number % 2]
            ids.append((number, await client.post(kind, session=S, limit=200)))
        for number, request_id in ids:
            answer = await client.result(request_id)
            seen = answer["head_seq"] if "head_seq" in answer else answer["messages"][-1]["seq"]
            assert seen == number
        order = [frame["id"] for frame in client.log if "id" in frame]
        assert order == sorted(order)


async def test_detach_takes_effect_between_the_requests_around_it(tmp_path: Path) -> None:
    agent = Agent("none", None)
    async with serving(tmp_path, agent) as server, peer(server.url) as client:
        await client.post("session.attach", session=S)
        await client.post("message.send", session=S, client_id="1", content="seen")
        detach = await client.post("session.detach", session=S)
        await client.post("message.send", session=S, client_id="2", content="unseen")
        again = await client.post("session.attach", session=S)
        last = await client.post("message.send", session=S, client_id="3", content="seen again")
        assert await client.result(detach) == {}
        assert (await client.result(again))["head_seq"] == 2
        await client.result(last)
        assert [event["seq"] for event in [await client.event("message"), await client.event("message")]] == [
            1,
            3,
        ]


async def test_a_slow_session_does_not_hold_up_another_of_the_same_connection(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        slow = await client.post("message.send", session=S, client_id="1", content="a", wait="done")
        assert (await client.say("echo:test:bob", "b", "1"))["status"] == "accepted"
        assert (await client.call("session.info", session=S))["head_seq"] == 1
        gated.let(2)
        assert (await client.result(slow))["text"] == "a "


async def test_no_method_needs_an_attach_and_events_go_to_attached_clients_only(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:
        await client.say(S, "hello", "1", wait="done")
        for method in ("session.history", "session.info", "session.detach"):
            await client.call(method, session=S)
        await client.call("session.list")
        assert not [frame for frame in client.log if "method" in frame]


async def test_neither_detaching_nor_hanging_up_cancels_a_turn(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        async with peer(server.url) as leaver:
            await leaver.call("session.attach", session=S)
            await leaver.say(S, "one two", "1")
            await leaver.call("session.detach", session=S)
        waiting = await client.post("message.send", session=S, client_id="1", content="one two", wait="done")
        gated.let(2)
        done = await client.result(waiting)
        assert (done["stop_reason"], done["text"], done["duplicate"]) == ("end_turn", "one two ", True)


async def test_messages_behind_a_running_turn_are_queued_and_shown(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        assert (await client.say(S, "one", "1"))["status"] == "accepted"
        second = await client.say(S, "two", "2")
        assert (second["status"], second["duplicate"], "turn_id" in second) == ("queued", False, False)
        assert (await client.event("queue.changed"))["data"] == {"queue": [{"seq": 2, "content": "two"}]}
        async with peer(server.url) as other:
            answer = await other.call("session.attach", session=S)
            assert answer["queue"] == [{"seq": 2, "content": "two"}]
            assert answer["turn"]["text"] == ""
        with pytest.raises(RequestFailedError) as caught:
            await client.say(S, "three", "3", mode="reject")
        assert (caught.value.error["code"], caught.value.name) == (-32005, "busy")
        gated.let(2)
        assert (await client.event("queue.changed"))["data"] == {"queue": []}
        assert (await client.event("turn.finished"))["data"]["message_seqs"] == [2]


async def test_p15_a_full_queue_is_busy_with_a_time_and_takes_again_when_it_moves(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent, pending=3) as server, peer(server.url) as client:
        for number in range(3):
            await client.say(S, "x", str(number))
        with pytest.raises(RequestFailedError) as caught:
            await client.say(S, "x", "3")
        assert caught.value.error["code"] == -32005
        data = caught.value.error["data"]
        assert (data["name"], data["retryable"], data["retry_after_ms"] > 0) == ("busy", True, True)
        assert (await client.say(S, "x", "0"))["duplicate"] is True
        assert (await client.say("echo:test:bob", "x", "3"))["status"] == "accepted"
        gated.let(2)
        await client.say(S, "x", "0", wait="done")
        assert (await client.say(S, "x", "3"))["status"] == "queued"


async def test_p15_a_flood_for_one_session_is_answered_one_by_one(tmp_path: Path) -> None:
    agent = Agent("none", None)
    async with serving(tmp_path, agent, mailbox=16) as server, peer(server.url) as client:
        ids = [
            await client.post("message.send", session=S, client_id=str(number), content="x")
            for number in range(500)
        ]
        stored: list[int] = []
        for request_id in ids:
            frame = await client.answer(request_id)
            if "result" in frame:
                stored.append(frame["result"]["seq"])
            else:
                assert frame["error"]["data"]["name"] == "busy"
        assert stored == list(range(1, len(stored) + 1))
        assert (await client.call("session.info", session=S))["head_seq"] == len(stored)


async def test_p15_a_connection_may_leave_so_many_requests_unanswered_and_others_are_not_held_up(
    tmp_path: Path,
) -> None:
    gated = Gated()
    async with (
        serving(tmp_path, gated.agent) as server,
        peer(server.url) as client,
        peer(server.url) as other,
    ):
        ids = [
            await client.post("message.send", session=f"a:b:{n}", client_id="1", content="x", wait="done")
            for n in range(MAX_UNANSWERED)
        ]
        for method in ("message.send", "session.attach", "session.info", "session.list"):
            with pytest.raises(RequestFailedError) as caught:
                await client.call(method, session=S, client_id="1", content="x")
            assert caught.value.error["data"] == {"name": "busy", "retryable": True, "retry_after_ms": 100}
        assert "at" in await client.call("ping")
        assert (await other.say(S, "x", "1"))["status"] == "accepted"
        gated.let(MAX_UNANSWERED + 1)
        for request_id in ids:
            assert (await client.result(request_id))["text"] == "x "
        assert client_is_idle(server)
        assert (await client.say(S, "x", "1"))["duplicate"] is True


def client_is_idle(server: Serving) -> bool:
    return all(connection._unanswered == 0 for connection in server.gateway._connections)


@pytest.mark.parametrize("kind", ["raises", "talks for ever", "takes too long"])
async def test_an_agent_that_fails_ends_its_turn_and_nothing_else(tmp_path: Path, kind: str) -> None:
    async def failing(turn: Turn) -> None:
        await turn.say("so far ")
        if kind == "raises":
            raise ValueError("secret of the host")
        while kind == "talks for ever":
            await turn.say("x" * 1000)
        await trio.sleep_forever()

    agent, limits = Agent("failing", failing), {"turn": 0.3, "content_bytes": 50_000}
    async with serving(tmp_path, agent, **limits) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        done = await client.say(S, "hello", "1", wait="done")
        expected = {"raises": "error", "talks for ever": "max_tokens", "takes too long": "timeout"}[kind]
        assert done["stop_reason"] == expected
        assert done["text"].startswith("so far ")
        finished = await client.event("turn.finished")
        assert finished["data"]["stop_reason"] == expected
        assert "secret" not in str(client.log)
        assert (await client.say(S, "again", "2"))["status"] == "accepted"


async def test_a_session_is_listed_by_each_of_its_facts(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as client:

        async def listed(**where: object) -> list[str]:
            return [info["id"] for info in (await client.call("session.list", **where))["sessions"]]

        names = ["a:x:ann", "a:y:bob", "b:x:ann:t"]
        for name in names:
            await client.say(name, "hello", "1", wait="done")
        newest_first = names[::-1]
        assert await listed() == newest_first
        assert await listed(agent_id="a") == ["a:y:bob", "a:x:ann"]
        assert await listed(channel_id="x") == ["b:x:ann:t", "a:x:ann"]
        assert await listed(peer_id="bob") == ["a:y:bob"]
        assert await listed(peer_id="ann", agent_id="a") == ["a:x:ann"]
        assert await listed(state="active") == newest_first
        assert await listed(state="archived") == []
        created = (await client.call("session.info", session="a:y:bob"))["info"]["created_at"]
        assert await listed(created_after=created) == ["b:x:ann:t"]
        assert await listed(created_before=created) == ["a:x:ann"]
        assert await listed(created_after="0001-01-01T00:00:00+23:59") == newest_first
        assert await listed(created_before="9999-12-31T23:59:59.999999-23:59") == newest_first
        for hostile in ("'; DROP TABLE sessions;--", "%", "_", "*", '"', "a' OR '1'='1"):
            assert await listed(agent_id=hostile) == []
        first = await client.call("session.list", limit=2)
        assert ([info["id"] for info in first["sessions"]], first["more"]) == (newest_first[:2], True)
        rest = await client.call("session.list", limit=10**9, offset=2)
        assert ([info["id"] for info in rest["sessions"]], rest["more"]) == (newest_first[2:], False)
        assert await listed(limit=-1) == newest_first[:1]
        assert await listed(offset=2**53 - 1) == []
