"""The steps in which a runtime stops: each is bounded, and named if its time was not enough."""

from collections.abc import Generator
from contextlib import contextmanager

import trio

from ..actors.reports import Reporter
from .reports import StopStepOverdue


@contextmanager
def stop_step(name: str, seconds: float, report: Reporter) -> Generator[None]:
    """Do one step of stopping, whatever is cancelled around it.

    Args:
        name: As in `StopStepOverdue`.
        seconds: After which it is cancelled.
        report: Told of `StopStepOverdue`.
    """
    with trio.move_on_after(seconds, shield=True) as scope:
        yield
    if scope.cancelled_caught:
        report(StopStepOverdue(name, seconds))
