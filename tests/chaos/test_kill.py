"""Fault F1: the server is killed at random moments under load, and nobody may notice more than a pause."""

import os
from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.run import Plan, Run, carry_out

KILLS = int(os.environ.get("KILLS", "25"))
ACKS = 10_000
MUTANT_RUNS = 5


def show(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{run.plan.agent}: {run.figures}")  # noqa: T201 - figures are for people


async def test_p2_p4_p5_kills_lose_double_and_reorder_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await carry_out(Plan(agent="none", kills=KILLS, acks=ACKS, sessions=1, window=16, seed=1), tmp_path)
    show(run, capsys)
    assert check(run.history) == []
    assert run.errors == []
    assert run.exit_code == 0


async def test_p4_p5_every_message_is_answered_once_through_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await carry_out(
        Plan(agent="echo", kills=KILLS // 3, acks=ACKS // 10, sessions=4, window=1, seed=2), tmp_path
    )
    show(run, capsys)
    assert check(run.history, answered=True) == []
    assert run.errors == []
    assert run.exit_code == 0


@pytest.mark.parametrize(
    ("mutant", "kind"), [("ack-before-commit", "lost"), ("no-deduplication", "duplicated")]
)
async def test_the_checker_finds_the_bug_of_a_mutant(tmp_path: Path, mutant: str, kind: str) -> None:
    found: set[str] = set()
    for seed in range(MUTANT_RUNS):  # whether a kill hits the bug's moment is luck; that none does is not
        folder = tmp_path / str(seed)
        folder.mkdir()
        plan = Plan(agent="none", kills=6, acks=1, sessions=1, window=16, seed=seed, mutant=mutant)
        run = await carry_out(plan, folder)
        found = {violation.kind for violation in check(run.history)}
        if kind in found:
            break
    assert kind in found
