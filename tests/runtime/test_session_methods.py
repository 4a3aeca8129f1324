"""Setting, ending and searching sessions over the wire, to the letter, by a client that shares no code."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from greenroom.persistence.ids import SessionID

from .peer import Peer, RequestFailedError, peer
from .serving import Gated, Serving, serving

S = "echo:test:ann"
MISSING = "echo:test:nobody"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as one:
        yield one
    assert one.reports == []


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Peer]:
    async with peer(server.url) as one:
        yield one


async def refused(client: Peer, method: str, /, **params: object) -> dict[str, Any]:
    with pytest.raises(RequestFailedError) as caught:
        await client.call(method, **params)
    return caught.value.error


async def say_and_wait(client: Peer, content: str, client_id: str, session: str = S) -> Any:  # noqa: ANN401
    return await client.say(session, content, client_id, wait="done")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("session.new", {}),
        ("session.reset", {"if_seq": 0}),
        ("session.archive", {}),
        ("session.delete", {"if_epoch": "1-x"}),
        ("session.compact", {"strategy": "truncate"}),
        ("session.uncompact", {}),
        ("session.search", {"query": "word"}),
        ("session.search", {"query": ""}),
        ("session.detach", {}),
        ("turn.cancel", {}),
        ("turn.cancel", {"turn_id": "t"}),
        ("queue.remove", {"seq": 1}),
        ("queue.clear", {}),
    ],
)
async def test_what_is_asked_of_a_missing_session_is_not_found_and_creates_nothing(
    server: Serving, client: Peer, method: str, params: dict[str, object]
) -> None:
    error = await refused(client, method, session=MISSING, **params)
    assert (error["code"], error["data"]) == (-32002, {"name": "not_found", "retryable": False})
    assert (await client.call("session.list"))["sessions"] == []
    await trio.testing.wait_all_tasks_blocked()
    assert not server.core.router.is_live(SessionID.parse(MISSING))


async def test_an_update_creates_sets_what_is_given_and_leaves_the_rest(client: Peer) -> None:
    created = await client.call("session.update", session=S)
    assert set(created) == {"info", "epoch", "head_seq"}
    assert created["head_seq"] == 0
    await client.call("session.attach", session=S)
    facts = {"title": "A title", "tags": ["b", "a"], "custom_data": {"k": "v"}, "system_prompt": "Be kind."}
    answer = await client.call("session.update", session=S, **facts)
    assert (answer["info"]["title"], answer["head_seq"]) == ("A title", 1)
    event = await client.event("session.updated")
    assert (event["seq"], event["epoch"], event["data"]) == (1, created["epoch"], facts)
    assert (await client.call("session.update", session=S, title=""))["info"].get("title", "") == ""
    assert (await client.event("session.updated"))["data"] == {"title": ""}
    again = await client.call("session.update", session=S, tags=["b", "a"], custom_data={"k": "v"})
    assert again["head_seq"] == 2, "what is equal already is no change"
    await client.call("session.update", session=S, tags=[], custom_data={})
    assert (await client.event("session.updated"))["data"] == {"tags": [], "custom_data": {}}


@pytest.mark.parametrize(
    ("field", "value"), [("system_prompt", "é" * 131_073), ("custom_data", {"a": "x" * 65_536})]
)
async def test_what_is_too_large_to_set_is_named_and_the_session_is_not_created(
    client: Peer, field: str, value: object
) -> None:
    error = await refused(client, "session.update", session=S, **{field: value})
    assert (error["code"], error["data"]) == (
        -32007,
        {"name": "too_large", "retryable": False, "field": field},
    )
    assert (await client.call("session.list"))["sessions"] == []


@pytest.mark.parametrize("field", ["title", "tags", "custom_data", "system_prompt"])
async def test_an_explicit_null_is_no_value(client: Peer, field: str) -> None:
    error = await refused(client, "session.update", session=S, **{field: None})
    assert (error["code"], error["data"]["field"]) == (-32602, field)


async def test_two_clients_see_the_same_events_through_new_and_the_old_epoch_stays_readable(
    server: Serving, client: Peer
) -> None:
    async with peer(server.url) as other:
        old = (await client.call("session.attach", session=S))["epoch"]
        await other.call("session.attach", session=S)
        await client.call("session.update", session=S, title="first", tags=["kept"])
        await say_and_wait(client, "before the end", "1")
        answer = await client.call("session.new", session=S)
        assert set(answer) == {"info", "epoch", "head_seq"}
        assert answer["epoch"] != old
        assert (answer["info"]["message_count"], answer["info"].get("title")) == (0, None)
        await say_and_wait(other, "after it", "2")
        for one in (client, other):
            await one.call("ping")
        logs = [[f["params"] for f in one.log if f.get("method") == "event"] for one in (client, other)]
        assert logs[0] == logs[1]
        seqs = [event["seq"] for event in logs[0] if "seq" in event]
        assert seqs == list(range(1, len(seqs) + 1))
        (ended,) = [event for event in logs[0] if event["type"] == "session.ended"]
        assert set(ended["data"]) == {"reason", "end_id", "next_epoch"}
        assert (ended["epoch"], ended["data"]["reason"]) == (old, "new")
        assert ended["data"]["next_epoch"] == answer["epoch"]
        assert all(
            e["epoch"] == (old if e.get("seq", 99) <= ended["seq"] else answer["epoch"])
            for e in logs[0]
            if "seq" in e
        )
        former = await client.call("session.history", session=S, epoch=old)
        assert [m["content"] for m in former["messages"]] == ["before the end", "before the end"]
        present = await client.call("session.history", session=S)
        assert [m["content"] for m in present["messages"]] == ["after it", "after it"]
        assert (await client.call("session.info", session=S))["epochs"] == [answer["epoch"], old]


async def test_a_reset_keeps_the_title_and_what_is_attached_resumes_in_the_new_epoch(client: Peer) -> None:
    await client.call("session.update", session=S, title="kept")
    answer = await client.call("session.reset", session=S)
    assert (answer["info"]["title"], answer["head_seq"]) == ("kept", 2)
    position = {"after_seq": answer["head_seq"], "epoch": answer["epoch"]}
    assert (await client.call("session.attach", session=S, **position))["recovered"] is True


@pytest.mark.parametrize("verb", ["new", "reset", "archive", "delete"])
async def test_an_old_tab_cannot_end_a_conversation_that_has_moved_on(client: Peer, verb: str) -> None:
    first = await client.call("session.attach", session=S)
    await say_and_wait(client, "hello", "1")
    here = await client.call("session.info", session=S)
    for stale, field in (({"if_seq": first["head_seq"]}, "if_seq"), ({"if_epoch": "1-other"}, "if_epoch")):
        present = {"if_epoch": here["epoch"], "if_seq": here["head_seq"]}
        error = await refused(client, f"session.{verb}", session=S, **(present | stale))
        assert (error["code"], error["data"]) == (
            -32003,
            {"name": "conflict", "retryable": False, "field": field},
        )
    assert await client.call("session.info", session=S) == here
    answer = await client.call(f"session.{verb}", session=S, if_epoch=here["epoch"], if_seq=here["head_seq"])
    assert answer == {"deleted": True} if verb == "delete" else answer["head_seq"] == here["head_seq"] + 1


async def test_an_archive_is_told_changes_nothing_twice_and_a_message_opens_it_again(client: Peer) -> None:
    epoch = (await client.call("session.attach", session=S))["epoch"]
    answer = await client.call("session.archive", session=S)
    assert (answer["info"]["state"], answer["epoch"], answer["head_seq"]) == ("archived", epoch, 1)
    ended = await client.event()
    assert (ended["type"], ended["seq"], set(ended["data"])) == ("session.ended", 1, {"reason", "end_id"})
    told = await client.event()
    assert (told["type"], told["data"]) == ("session.state", {"state": "archived", "reason": "archive"})
    assert "seq" not in told
    assert await client.call("session.archive", session=S) == answer
    assert (await client.call("session.list", state="archived"))["sessions"] == [answer["info"]]
    await say_and_wait(client, "hello", "1")
    assert (await client.event("session.state"))["data"]["state"] == "active"
    assert (await client.call("session.info", session=S))["info"]["state"] == "active"


async def test_a_deletion_is_answered_before_it_is_told_and_what_comes_after_is_another_session(
    server: Serving, client: Peer
) -> None:
    async with peer(server.url) as other:
        old = (await client.call("session.attach", session=S))["epoch"]
        await other.call("session.attach", session=S)
        await say_and_wait(client, "gone soon", "1")
        for one in (client, other):
            await one.event("turn.finished")
        number = await client.post("session.delete", session=S)
        assert await client.result(number) == {"deleted": True}
        for one in (client, other):
            event = await one.event()
            assert set(event) == {"session", "epoch", "type", "at", "data"}
            assert (event["type"], event["epoch"], event["data"]["reason"]) == (
                "session.ended",
                old,
                "delete",
            )
            assert set(event["data"]) == {"reason", "end_id"}
        order = [frame.get("id", frame.get("params", {}).get("type")) for frame in client.log]
        assert order.index(number) < order.index("session.ended")
        assert (await refused(client, "session.history", session=S))["data"]["name"] == "not_found"
        assert (await client.call("session.search", query="gone"))["hits"] == []
        again = await say_and_wait(client, "gone soon", "1")
        assert (again["seq"], again["duplicate"]) == (1, False)
        assert again["epoch"] != old
        assert (await other.event("message"))["epoch"] == again["epoch"]
        error = await refused(client, "session.history", session=S, epoch=old)
        assert (error["code"], error["data"]["field"]) == (-32602, "epoch")
        answer = await client.call("session.attach", session=S, after_seq=1, epoch=old)
        assert answer["recovered"] is False


async def test_ends_keep_their_place_among_the_requests_of_a_connection(client: Peer) -> None:
    numbers = [
        await client.post("message.send", session=S, client_id="1", content="one"),
        await client.post("session.new", session=S),
        await client.post("message.send", session=S, client_id="2", content="two"),
        await client.post("session.history", session=S),
        await client.post("session.delete", session=S),
        await client.post("session.info", session=S),
        await client.post("message.send", session=S, client_id="1", content="three"),
    ]
    first, new, second = [await client.result(number) for number in numbers[:3]]
    assert first["epoch"] != new["epoch"] == second["epoch"]
    contents = [m["content"] for m in (await client.result(numbers[3]))["messages"] if m["role"] == "user"]
    assert contents == ["two"]
    assert await client.result(numbers[4]) == {"deleted": True}
    assert (await client.answer(numbers[5]))["error"]["data"]["name"] == "not_found"
    third = await client.result(numbers[6])
    assert (third["seq"], third["duplicate"]) == (1, False)


async def test_an_end_cuts_the_turn_off_and_empties_the_queue_first(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        turn_id = (await client.say(S, "one two", "1"))["turn_id"]
        gated.let()
        await client.event("turn.delta")
        await client.say(S, "waits", "2")
        await client.event("queue.changed")
        answer = await client.call("session.new", session=S)
        events = [await client.event() for _ in range(5)]
        kinds = ["message", "turn.finished", "queue.removed", "session.ended", "queue.changed"]
        assert [event["type"] for event in events] == kinds
        assert events[0]["data"] == {
            "role": "assistant",
            "content": "one ",
            "partial": True,
            "turn_id": turn_id,
        }
        assert events[1]["data"] == {"turn_id": turn_id, "message_seqs": [1], "stop_reason": "cancelled"}
        assert events[2]["data"] == {"seqs": [2]}
        assert events[4]["data"] == {"queue": []}
        assert answer["head_seq"] == events[3]["seq"] == 6
        gated.let(2)
        heard = len(client.log)
        await client.call("ping")
        assert len(client.log) == heard + 1


async def test_a_search_finds_words_in_every_epoch_within_one_session_or_all(client: Peer) -> None:
    other = "echo:test:bob"
    one = await say_and_wait(client, "The quick brown fox", "1")
    two = (await client.call("session.new", session=S))["epoch"]
    await say_and_wait(client, "a QUICK one", "2")
    await say_and_wait(client, "quick too", "3", other)
    found = (await client.call("session.search", query="quick"))["hits"]
    assert {hit["session"] for hit in found} == {S, other}
    hits = (await client.call("session.search", query="Quick", session=S))["hits"]
    assert [set(hit) for hit in hits] == [{"session", "epoch", "seq", "snippet"}] * 4
    assert {(hit["session"], hit["epoch"]) for hit in hits} == {(S, one["epoch"]), (S, two)}
    assert (hits[-1]["seq"], hits[-1]["snippet"]) == (1, "The quick brown fox")
    limited = await client.call("session.search", query="quick", session=S, limit=-5)
    assert limited["hits"] == hits[:1]
    for query in ("", " \t ", "*", "absent"):
        assert await client.call("session.search", query=query) == {"hits": []}


@pytest.mark.parametrize("method", ["session.compact", "session.uncompact"])
async def test_compaction_is_known_and_not_supported_yet(client: Peer, method: str) -> None:
    await client.call("session.attach", session=S)
    error = await refused(client, method, session=S)
    assert (error["code"], error["data"]) == (-32013, {"name": "not_supported", "retryable": False})


async def test_nothing_that_a_deletion_cuts_off_is_told_before_its_answer(tmp_path: Path) -> None:
    gated = Gated()
    async with serving(tmp_path, gated.agent) as server, peer(server.url) as client:
        await client.call("session.attach", session=S)
        await client.say(S, "one two", "1")
        await client.say(S, "waits", "2")
        gated.let()
        await client.event("turn.delta")
        number = await client.post("session.delete", session=S)
        assert await client.result(number) == {"deleted": True}
        await client.event("session.ended")
        order = [frame.get("id", frame.get("params", {}).get("type")) for frame in client.log]
        assert order[order.index("turn.delta") + 1 :] == [number, "session.ended"]
