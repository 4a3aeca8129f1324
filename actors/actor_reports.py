"""What a supervisor tells its operator of its actors, and watchers of an end."""

import logging
from typing import Literal

import msgspec

Why = Literal["stopped", "retired", "finished", "crashed", "unstarted", "closed"]
Doing = Literal["started", "receive", "stopped"]


class ActorEnded(msgspec.Struct, frozen=True):
    """An actor is gone for good; its watchers are told once.

    Attributes:
        actor: Its name.
        why: ``stopped`` by its reference, ``retired`` when empty, ``finished`` by itself, ``crashed`` and not
            started again, ``unstarted`` because its start failed, or ``closed`` with its supervisor.
        error: What it raised, if it crashed or could not start.
    """

    actor: str
    why: Why
    error: BaseException | None = None


class ActorCrashed(msgspec.Struct, frozen=True):
    """An actor raised; the message in hand, if there was one, is a dead letter."""

    actor: str
    error: str
    where: str


class ActorQuarantined(msgspec.Struct, frozen=True):
    """An actor crashed too often and is left alone for ``seconds``."""

    actor: str
    seconds: float


class ActorWouldNotStop(msgspec.Struct, frozen=True):
    """An actor's code was cut off and has not ended; nobody waits for it any longer.

    Attributes:
        actor: Its name.
        doing: Which of its methods runs on.
    """

    actor: str
    doing: Doing


class ActorStoppedBadly(msgspec.Struct, frozen=True):
    """An actor raised while it was stopped, or needed longer than it may; it has ended all the same."""

    actor: str
    error: str
    where: str


def log(record: msgspec.Struct) -> None:
    """Write a report to the log ``greenroom.actors``; what a supervisor does unless told otherwise."""
    logging.getLogger("greenroom.actors").warning("%r", record)
