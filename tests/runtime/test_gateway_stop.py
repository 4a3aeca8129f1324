"""Stop and the queue over the wire: what is cut off, what is taken out, and what stays."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from greenroom.actors.turn import Agent, Turn

from .peer import Peer, RequestFailedError, peer
from .serving import Gated, Serving, serving

S = "gated:test:ann"


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.fixture
async def server(tmp_path: Path, gated: Gated) -> AsyncIterator[Serving]:
    async with serving(tmp_path, gated.agent) as one:
        yield one


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Peer]:
    async with peer(server.url) as one:
        await one.call("session.attach", session=S)
        yield one


async def test_a_stop_keeps_what_was_said_and_the_queued_message_gets_its_turn(
    client: Peer, gated: Gated
) -> None:
    first = await client.say(S, "one two three", "1")
    gated.let()
    await client.event("turn.delta")
    assert (await client.say(S, "next", "2"))["status"] == "queued"
    await client.event("queue.changed")
    number = await client.post("turn.cancel", session=S)
    assert await client.result(number) == {"cancelled": [first["turn_id"]]}
    said, finished = await client.event(), await client.event()
    assert said["data"] == {
        "role": "assistant",
        "content": "one ",
        "partial": True,
        "turn_id": first["turn_id"],
    }
    assert finished["type"] == "turn.finished"
    assert finished["data"] == {
        "turn_id": first["turn_id"],
        "message_seqs": [1],
        "stop_reason": "cancelled",
    }
    order = [frame.get("id", frame.get("params", {}).get("seq")) for frame in client.log]
    assert order.index(number) < len(order) - order[::-1].index(said["seq"])
    started = await client.event("turn.started")
    assert started["data"]["message_seqs"] == [2]
    gated.let()
    assert (await client.event("turn.finished"))["data"]["stop_reason"] == "end_turn"
    assert gated.begun == 2


async def test_a_stop_where_nothing_runs_cuts_nothing_off_and_may_be_repeated(
    client: Peer, gated: Gated
) -> None:
    assert await client.call("turn.cancel", session=S) == {"cancelled": []}
    turn_id = (await client.say(S, "one", "1"))["turn_id"]
    assert await client.call("turn.cancel", session=S, turn_id="another") == {"cancelled": []}
    assert await client.call("turn.cancel", session=S, turn_id=turn_id) == {"cancelled": [turn_id]}
    for params in ({}, {"turn_id": turn_id}):
        assert await client.call("turn.cancel", session=S, **params) == {"cancelled": []}
    again = await client.say(S, "one", "1", wait="done")
    assert (again["status"], again["duplicate"], again["stop_reason"]) == ("done", True, "cancelled")
    assert gated.begun == 1


async def test_a_stop_behind_other_requests_takes_effect_in_its_place(client: Peer, gated: Gated) -> None:
    numbers = [
        await client.post("message.send", session=S, client_id="1", content="one"),
        await client.post("turn.cancel", session=S),
        await client.post("session.history", session=S),
        await client.post("turn.cancel", session=S),
        await client.post("message.send", session=S, client_id="2", content="two"),
    ]
    sent, stopped, _, again, second = [await client.result(number) for number in numbers]
    assert stopped == {"cancelled": [sent["turn_id"]]}
    assert again == {"cancelled": []}
    assert second["status"] == "accepted"
    gated.let()
    while (await client.event("turn.finished"))["data"]["message_seqs"] != [second["seq"]]:
        pass


async def test_a_stop_waits_for_no_other_session_of_its_connection(client: Peer) -> None:
    for number in range(20):
        await client.post("session.history", session=S, limit=200)
        await client.post("session.attach", session=f"gated:test:{number}")
    turn_id = (await client.say("gated:test:other", "one", "1"))["turn_id"]
    assert (await client.call("turn.cancel", session="gated:test:other"))["cancelled"] == [turn_id]


async def test_an_agent_that_does_not_end_keeps_nobody_waiting_and_says_nothing_more(tmp_path: Path) -> None:
    release = trio.Event()

    async def shielded(turn: Turn) -> None:
        await turn.say("before ")
        with trio.CancelScope(shield=True):
            await release.wait()
        await turn.say("after")

    agent = Agent("shielded", shielded, on_interrupt="finish")
    async with serving(tmp_path, agent) as server, peer(server.url) as client, AsyncExitStack() as stack:
        stack.callback(release.set)  # else a failure could not end the server
        await client.call("session.attach", session=S)
        turn_id = (await client.say(S, "hello", "1"))["turn_id"]
        await client.event("turn.delta")
        with trio.fail_after(5):
            assert (await client.call("turn.cancel", session=S))["cancelled"] == [turn_id]
        assert (await client.event("message"))["data"]["content"] == "before "
        assert (await client.event("turn.finished"))["data"]["stop_reason"] == "cancelled"
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        await client.call("ping")
        contents = [m["content"] for m in (await client.call("session.history", session=S))["messages"]]
        assert contents == ["hello", "before "]


async def test_one_queued_message_is_removed_and_the_others_keep_their_order(
    client: Peer, gated: Gated
) -> None:
    for number in range(1, 5):
        await client.say(S, f"m{number}", str(number))
    waiting = [await client.event("queue.changed") for _ in range(3)][-1]["data"]["queue"]
    assert [message["seq"] for message in waiting] == [2, 3, 4]
    answer = await client.call("queue.remove", session=S, seq=3)
    assert answer == {"removed": [{"seq": 3, "content": "m3"}]}
    removed, changed = await client.event(), await client.event()
    assert (removed["type"], removed["data"]) == ("queue.removed", {"seqs": [3]})
    assert removed["seq"] == 5
    assert (changed["type"], [m["seq"] for m in changed["data"]["queue"]]) == ("queue.changed", [2, 4])
    for nothing in (1, 3, 5, 999):  # it runs; it is removed already; it is no message; it is not there
        assert await client.call("queue.remove", session=S, seq=nothing) == {"removed": []}
    again = await client.say(S, "m3", "3")
    assert (again["status"], again["duplicate"], again["seq"]) == ("removed", True, 3)
    gated.let(3)
    finished = [(await client.event("turn.finished"))["data"]["message_seqs"] for _ in range(3)]
    assert finished == [[1], [2], [4]]
    history = (await client.call("session.history", session=S))["messages"]
    assert [m["content"] for m in history if m["role"] == "user"] == ["m1", "m2", "m3", "m4"]


async def test_the_queue_is_cleared_and_whoever_waited_is_told(client: Peer, gated: Gated) -> None:
    await client.say(S, "runs", "1")
    waiter = await client.post("message.send", session=S, client_id="2", content="two", wait="done")
    await client.say(S, "three", "3")
    answer = await client.call("queue.clear", session=S)
    assert answer == {"removed": [{"seq": 2, "content": "two"}, {"seq": 3, "content": "three"}]}
    assert (await client.result(waiter))["status"] == "removed"
    assert await client.call("queue.clear", session=S) == {"removed": []}
    attached = await client.call("session.attach", session=S)
    assert attached["queue"] == []
    gated.let()
    assert (await client.event("turn.finished"))["data"]["message_seqs"] == [1]


async def test_a_queue_of_large_messages_is_cleared_again_and_again(client: Peer) -> None:
    await client.say(S, "runs", "first")
    numbers: list[int] = []
    for turn in range(6):
        for part in range(2):
            content = f"{turn} {part} " + "x" * 200_000
            await client.post("message.send", session=S, client_id=f"{turn} {part}", content=content)
        numbers.append(await client.post("queue.clear", session=S))
    for number in numbers:
        assert len((await client.result(number))["removed"]) == 2


@pytest.mark.parametrize("method", ["turn.cancel", "queue.clear", "queue.remove"])
async def test_before_the_first_message_there_is_nothing_to_stop(server: Serving, method: str) -> None:
    async with peer(server.url) as client:
        with pytest.raises(RequestFailedError) as caught:
            await client.call(method, session=S, seq=1)
        assert caught.value.name == "not_found"


async def test_a_stop_among_a_flood_cuts_off_the_turn_that_ran_and_not_the_next(
    client: Peer, gated: Gated
) -> None:
    turn_id = (await client.say(S, "runs", "first"))["turn_id"]
    second = await client.say(S, "waits", "second")
    for number in range(30):
        await client.post("session.update", session=S, title=f"title {number}")
    stop = await client.post("turn.cancel", session=S)
    assert await client.result(stop) == {"cancelled": [turn_id]}
    gated.let()
    while (finished := (await client.event("turn.finished"))["data"])["message_seqs"] != [second["seq"]]:
        assert finished["turn_id"] == turn_id
    assert finished["stop_reason"] == "end_turn"
