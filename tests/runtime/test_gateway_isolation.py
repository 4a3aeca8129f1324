"""Ids that mean the same session, over the wire: what is sent under each, and what events call it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from greenroom.actors.turn import Agent
from greenroom.runtime.bind import bind, port_of
from greenroom.runtime.client import open_client
from greenroom.runtime.client_events import HeardMessage, Snapshot
from greenroom.runtime.config import Config, Isolation
from greenroom.runtime.gateway import Gateway

from .peer import peer
from .serving import serving

NONE = Agent("none", None, on_interrupt="finish")
ANN, BOB, SHARED = "none:web:ann", "none:web:bob", "none:web:*"


@asynccontextmanager
async def shared_room(folder: Path) -> AsyncGenerator[str]:
    """A second gateway on a runtime, where the peers and threads of a channel are one; its URL."""
    config = Config(isolation=Isolation(by_peer=False, by_thread=False))
    listeners = await bind("127.0.0.1", 0)
    async with serving(folder, NONE) as server, trio.open_nursery() as nursery:
        gateway = Gateway(config, server.core, 1, server.reports.append)
        await nursery.start(gateway.run, listeners)
        yield f"ws://127.0.0.1:{port_of(listeners)}/v1"
        nursery.cancel_scope.cancel()
    assert server.reports == []


async def test_peers_that_are_not_isolated_share_a_session_and_everybody_sees_its_own_name(
    tmp_path: Path,
) -> None:
    async with shared_room(tmp_path) as url, peer(url) as ann, peer(url) as bob:
        assert (await ann.call("session.attach", session=ANN))["info"]["id"] == SHARED
        attached = await bob.call("session.attach", session=f"{BOB}:thread", create=False)
        assert (attached["info"]["id"], attached["info"].get("thread_id")) == (SHARED, None)
        await ann.say(ANN, "hello", "1")
        for one in (ann, bob):
            event = await one.event("message")
            assert (event["session"], event["data"]["content"]) == (SHARED, "hello")
        for name in (ANN, BOB, SHARED, f"{BOB}:thread"):
            assert (await bob.call("session.history", session=name))["messages"][0]["content"] == "hello"
        assert (await bob.call("session.search", query="hello", session=BOB))["hits"][0]["session"] == SHARED
        assert [info["id"] for info in (await bob.call("session.list"))["sessions"]] == [SHARED]
        assert (await bob.say(BOB, "hello", "1"))["duplicate"] is True
        await bob.call("session.detach", session=ANN)
        await ann.say(ANN, "again", "2")
        await ann.event("message")
        await bob.call("ping")
        assert "again" not in str(bob.log)
        assert await bob.call("session.delete", session=BOB) == {"deleted": True}
        assert (await ann.event("session.ended"))["session"] == SHARED


async def test_requests_for_ids_that_mean_one_session_keep_their_order(tmp_path: Path) -> None:
    async with shared_room(tmp_path) as url, peer(url) as client:
        numbers = [
            await client.post("session.attach", session=ANN),
            await client.post("message.send", session=BOB, client_id="1", content="one"),
            await client.post("session.history", session=ANN),
            await client.post("message.send", session=BOB, client_id="2", content="two"),
        ]
        attached, _, history, _ = [await client.result(number) for number in numbers]
        assert attached["head_seq"] == 0
        assert [message["content"] for message in history["messages"]] == ["one"]


async def test_our_own_client_hears_a_session_under_each_of_its_names(tmp_path: Path) -> None:
    async with shared_room(tmp_path) as url, open_client(url) as client, client.attach(BOB) as bob:
        async with client.attach(ANN) as ann:
            await client.send(ANN, "hello")
            for one in (ann, bob):
                assert isinstance(await anext(one), Snapshot)
                heard = await anext(one)
                assert isinstance(heard, HeardMessage)
                assert heard.content == "hello"
        await client.send(ANN, "still here")
        heard = await anext(bob)
        assert isinstance(heard, HeardMessage)
        assert heard.content == "still here"
