"""Our own client against a real server that is killed under it; the terminal client against a real one."""

import random
from pathlib import Path

import trio
from greenroom.runtime.client import Client, open_client
from greenroom.runtime.client_conversation import Conversation
from greenroom.runtime.client_events import HeardMessage, TurnEnded

from tests.chaos.server import Server
from tests.runtime.processes import RunningServer, greenroom

SENDERS = 4
MESSAGES = 95  # each with its answer: one page of history
KILLS = 5  # at most, so that the client's back-off does not outlast the test
FEWEST_KILLS = 2  # less would show nothing
SESSION = "echo:chaos:{}"


async def listen(conversation: Conversation, seqs: list[int], answers: list[str]) -> None:
    """Hear a conversation until every message has its answer."""
    async for event in conversation:
        if isinstance(event, HeardMessage | TurnEnded):
            seqs.append(event.seq)
        if isinstance(event, HeardMessage) and event.role == "assistant":
            answers.append(event.content)
        if len(answers) == MESSAGES:
            return


async def talk(client: Client, number: int) -> None:
    """Send and hear a whole conversation across every loss of the connection."""
    session, seqs, answers = SESSION.format(number), list[int](), list[str]()
    async with client.attach(session) as conversation, trio.open_nursery() as nursery:
        nursery.start_soon(listen, conversation, seqs, answers)
        acked = [await client.send(session, f"{number} {i}", client_id=f"c{i}") for i in range(MESSAGES)]
    assert [ack.seq for ack in acked] == sorted({ack.seq for ack in acked})
    assert answers == [f"{number} {i}" for i in range(MESSAGES)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    history = await client.history(session, limit=200)
    assert [m.content for m in history.messages if m.role == "user"] == answers


async def test_p2_p23_the_client_sends_and_hears_everything_once_while_its_server_is_killed(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path, agent="echo")
    moments = random.Random(20261122)  # noqa: S311 - a schedule, repeated on failure
    kills = 0
    try:
        await server.start()
        with trio.fail_after(60):
            async with trio.open_nursery() as killers, open_client(server.url) as client:

                async def kill_now_and_then() -> None:
                    nonlocal kills
                    while kills < KILLS:
                        await trio.sleep(moments.uniform(0.1, 0.5))
                        with trio.CancelScope(shield=True):
                            await server.kill()
                            await server.start()
                        kills += 1

                killers.start_soon(kill_now_and_then)
                async with trio.open_nursery() as senders:
                    for number in range(SENDERS):
                        senders.start_soon(talk, client, number)
                killers.cancel_scope.cancel()
        assert kills >= FEWEST_KILLS
        assert await server.stop() == 0
    finally:
        with trio.move_on_after(20, shield=True):
            await server.close()


def test_the_terminal_client_prints_the_answer_of_a_real_server(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        url = f"ws://127.0.0.1:{server.port}/v1"
        chatted = greenroom(
            "chat", "echo:terminal:ada", "--url", url, cwd=tmp_path, stdin="hello big world\n"
        )
        assert (chatted.returncode, chatted.stdout) == (0, "hello big world\n")
        shown = greenroom("sessions", "show", "echo:terminal:ada", "--db", str(server.db), cwd=tmp_path)
        assert shown.stdout.count("hello big world") == 2
        assert server.stop() == 0
