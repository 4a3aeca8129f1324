"""One run of clients against a server that is killed again and again, and its figures."""

import random
import statistics
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from tests.chaos.client import ChaosClient, Stream
from tests.chaos.history import Ack, History
from tests.chaos.journal import read_journals
from tests.chaos.server import Server

CLIENTS = 8
LIFE_SECONDS = (0.05, 0.4)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens in a run.

    Attributes:
        agent: Who answers; ``none`` for nobody.
        kills: How often the server is killed.
        acks: How many acks there must be before it ends.
        sessions: How many sessions each pair of clients shares.
        window: Messages each client has under way per session.
        seed: Makes the moments of the kills the same again.
        mutant: The bug the server shall have.
    """

    agent: str
    kills: int
    acks: int
    sessions: int
    window: int
    seed: int
    mutant: str | None = None


@dataclass
class Run:
    """What came of it; times in seconds."""

    plan: Plan
    history: History = field(default_factory=History)
    clients: list[ChaosClient] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    killed_at: float | None = None
    exit_code: int | None = None
    acked: trio.Event = field(default_factory=trio.Event)

    def on_ack(self, ack: Ack) -> None:
        """Write an ack down, and how long the first one after a kill took."""
        self.history.acks.append(ack)
        if self.killed_at is not None:
            self.recoveries.append(trio.current_time() - self.killed_at)
            self.killed_at = None
        if len(self.history.acks) >= self.plan.acks:
            self.acked.set()

    @property
    def errors(self) -> list[str]:
        """What clients met that no kill explains."""
        return [error for client in self.clients for error in (*client.errors, *client.unsettled())]

    @property
    def figures(self) -> str:
        """The run on one line."""
        acks, slow = self.history.acks, sorted(self.recoveries)
        return (
            f"{self.plan.kills} kills, {len(acks)} acks ({sum(ack.duplicate for ack in acks)} duplicates), "
            f"{sum(client.connections for client in self.clients)} connections, "
            f"{sum(client.snapshots for client in self.clients)} snapshots, recovery "
            f"p50 {statistics.median(slow) * 1000:.0f} ms, max {slow[-1] * 1000:.0f} ms"
        )


async def carry_out(plan: Plan, folder: Path) -> Run:
    """Let eight clients talk, two in each session, while the server is killed; then read the store back."""
    run = Run(plan)
    server = Server(folder, agent=plan.agent, mutant=plan.mutant)
    for number in range(CLIENTS):
        sessions = [f"agent:chaos:pair{number // 2}:room{room}" for room in range(plan.sessions)]
        streams = [Stream(f"c{number}", session, run.history) for session in sessions]
        run.clients.append(ChaosClient(server.url, streams, window=plan.window, on_ack=run.on_ack))
    try:
        with trio.move_on_after(60 + 5 * plan.kills):
            await _talk_and_kill(run, server)
        run.exit_code = await server.stop()
    finally:
        server.abandon()
    run.history.stored = read_journals(server.db)
    return run


async def _talk_and_kill(run: Run, server: Server) -> None:
    chance = random.Random(run.plan.seed)  # noqa: S311 - the same moments again, no secrets
    enough = trio.Event()
    await server.start()
    async with trio.open_nursery() as nursery:
        for client in run.clients:
            nursery.start_soon(partial(client.run, enough, until_answered=run.plan.agent != "none"))
        for _ in range(run.plan.kills):
            await trio.sleep(chance.uniform(*LIFE_SECONDS))
            killed_at = trio.current_time()
            await server.kill()
            await server.start()
            run.killed_at = killed_at  # not sooner: clients still read what the dead server had sent
        await run.acked.wait()
        enough.set()
