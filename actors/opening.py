"""Where a host begins: a context that keeps actors."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from .actor_reports import log
from .dead_letters import DeadLetter
from .mending import Strategy
from .reports import Reporter, guarded
from .restarts import INTENSITY, PERIOD
from .supervision import Supervisor

CLOSE_WITHIN = 30.0  # seconds, for all children together


@asynccontextmanager
async def open_supervisor(  # noqa: PLR0913 - options with defaults
    strategy: Strategy = "one_for_one",
    *,
    intensity: int = INTENSITY,
    period: float = PERIOD,
    quarantine: bool = False,
    close_within: float = CLOSE_WITHIN,
    report: Reporter = log,
    unhandled: Callable[[DeadLetter], bool | None] | None = None,
) -> AsyncGenerator[Supervisor, None]:
    """Keep actors for as long as the body of this context runs.

    When the body ends or is cancelled, all actors are ended before this returns.

    Args:
        strategy: Who is started again when one crashes: ``one_for_one`` that one, ``one_for_all`` all,
            ``rest_for_one`` that one and those started after it.
        intensity: The most restarts within ``period``, of all children together.
        period: Seconds.
        quarantine: Count for each child by itself, and let one that crashes too often rest, not fail.
        close_within: Seconds for all actors to end.
        report: Told what happens to the actors.
        unhandled: Called with each dead letter, in the step it becomes one: for whoever waits for an answer
            to a message that carries a place for it. Neither waits nor raises. A letter for which it answers
            True is not kept.

    Raises:
        SupervisorFailedError: Children crashed more often than allowed; the body was cancelled.
        ValueError: A quarantine is wanted for children that are restarted together.
    """
    if quarantine and strategy != "one_for_one":
        raise ValueError(f"quarantine: expected the strategy one_for_one, met {strategy}")
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(
            nursery,
            strategy=strategy,
            intensity=intensity,
            period=period,
            quarantine=quarantine,
            close_within=close_within,
            report=guarded(report),
            unhandled=unhandled,
        )
        is_cut = True
        try:
            with supervisor.body:
                yield supervisor
            is_cut = supervisor.failure is not None
        except Exception as exc:  # noqa: BLE001 - raised below, where the nursery does not wrap it
            error, is_cut = exc, False
        finally:
            with trio.CancelScope(shield=True):
                await supervisor.close(is_cut=is_cut)
    if supervisor.failure is not None:
        raise supervisor.failure
    if error is not None:
        raise error
