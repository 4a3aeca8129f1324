"""What is large is refused, paged or cut; it never costs the connection of a client that reads."""

from pathlib import Path

import pytest
from greenroom.actors.turn import Agent, Turn

from .peer import RequestFailedError, peer
from .serving import Gated, serving

SESSION = "a:b:large"
ANSWER_BYTES = 512 * 1024 + 4096  # what an answer may hold, and its frame


async def growls(turn: Turn) -> None:
    """Say much that JSON must escape, six bytes for each character."""
    for _ in range(200):
        await turn.say("\x01" * 1000)


async def test_an_answer_that_json_swells_is_cut_where_it_no_longer_fits_a_frame(tmp_path: Path) -> None:
    async with serving(tmp_path, Agent("growls", growls)) as server, peer(server.url) as ada:
        ack = await ada.call("message.send", session=SESSION, client_id="1", content="go", wait="done")
        assert ack["stop_reason"] == "max_tokens"
        assert 80_000 < len(ack["text"]) < 90_000
        history = await ada.call("session.history", session=SESSION)
        assert [message["role"] for message in history["messages"]] == ["user", "assistant"]
        attached = await ada.call("session.attach", session=SESSION)
        assert attached["snapshot"] == history


async def test_pending_messages_are_bounded_by_their_bytes_too(tmp_path: Path) -> None:
    async with serving(tmp_path, Gated().agent) as server, peer(server.url) as ada:
        await ada.call("session.attach", session=SESSION)
        for number in range(2):
            await ada.call("message.send", session=SESSION, client_id=str(number), content="x" * 200_000)
        with pytest.raises(RequestFailedError) as caught:
            await ada.call("message.send", session=SESSION, client_id="2", content="x" * 200_000)
        assert caught.value.name == "busy"
        attached = await ada.call("session.attach", session=SESSION)
        assert [len(waiting["content"]) for waiting in attached["queue"]] == [200_000]


async def test_many_large_messages_at_once_do_not_cost_the_connection_of_one_who_reads(
    tmp_path: Path,
) -> None:
    nobody = Agent("none", None)
    async with serving(tmp_path, nobody) as server, peer(server.url) as ada, peer(server.url) as bob:
        await bob.call("session.attach", session=SESSION)
        content = "x" * 250_000
        ids = [
            await ada.post("message.send", session=SESSION, client_id=str(number), content=content)
            for number in range(24)
        ]
        heard = [(await bob.event("message"))["seq"] for _ in ids]
        assert heard == list(range(1, 25))
        assert [(await ada.result(request_id))["seq"] for request_id in ids] == heard


async def test_long_names_count_in_what_an_answer_may_hold(tmp_path: Path) -> None:
    session = ":".join("😀" * 256 for _ in range(4))
    async with serving(tmp_path) as server, peer(server.url) as ada:
        epoch = (await ada.call("session.attach", session=session))["epoch"]
        await ada.call("session.detach", session=session)
        for number in range(99):
            sent = {"session": session, "client_id": f"{number:0128}", "content": "x"}
            await ada.call("message.send", **sent, wait="done")
        resumed = await ada.call("session.attach", session=session, epoch=epoch, after_seq=0)
        assert not resumed["recovered"]
        assert resumed["snapshot"]["more"]
        attached = ada.log[-1]
        assert len(str(attached).encode()) < 2 * ANSWER_BYTES


async def test_pages_of_long_messages_come_short_and_say_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, peer(server.url) as ada:
        for number in range(4):
            content = f"{number}" + "y" * 200_000
            await ada.call(
                "message.send", session=SESSION, client_id=str(number), content=content, wait="done"
            )
        seen: list[int] = []
        before: dict[str, int] = {}
        while True:
            page = await ada.call("session.history", session=SESSION, limit=200, **before)
            assert len(page["messages"]) <= 2
            seen[:0] = [message["seq"] for message in page["messages"]]
            if not page["more"]:
                break
            before = {"before_seq": page["messages"][0]["seq"]}
        assert seen == [1, 2, 4, 5, 7, 8, 10, 11]


async def test_p27_what_an_agent_raises_with_does_not_reach_the_operators_log(tmp_path: Path) -> None:
    async def leaks(turn: Turn) -> None:
        raise ValueError(f"cannot parse {turn.messages[-1].content}")

    async with serving(tmp_path, Agent("leaks", leaks)) as server, peer(server.url) as ada:
        ack = await ada.call("message.send", session=SESSION, client_id="1", content="canary", wait="done")
        assert ack["stop_reason"] == "error"
        assert len(server.reports) == 1
        assert "canary" not in str(server.reports)
