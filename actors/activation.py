"""Gives each session that is asked something an actor, and tells in a session's words what becomes of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from ..persistence.ids import SessionID
from .actor_reports import ActorCrashed, ActorQuarantined
from .commands import Command
from .dead_letters import DeadLetter
from .errors import (
    DamagedError,
    GreenroomError,
    QuarantinedError,
    UnavailableError,
)
from .opening import open_supervisor
from .ref import ActorRef
from .registry import Place, Registry
from .reports import SessionCrashed, SessionQuarantined
from .session import Session
from .supervision import Supervisor
from .surroundings import Surroundings

RETRY_AFTER = 1.0  # seconds; about what a restart takes
_BEYOND_REPAIR = (UnavailableError, DamagedError)  # one for all, not one each


class Activation:
    """Starts sessions from the store as they are needed; a crash of one reaches no other.

    Args:
        supervisor: Keeps the actors.
        registry: The live sessions.
        around: What they share.
        mailbox: The most commands that may wait for one.
    """

    def __init__(
        self, supervisor: Supervisor, registry: Registry, around: Surroundings, mailbox: int
    ) -> None:
        self._supervisor = supervisor
        self._registry = registry
        self._around = around
        self._mailbox = mailbox

    def place_for(self, session: SessionID) -> Place:
        """The session's place, its actor started if need be.

        Raises:
            BusyError: There is no room for another live session.
        """
        return self._registry.get(session) or self._registry.open(session, self._start)

    def _start(self, place: Place) -> ActorRef[Command]:
        return self._supervisor.spawn_soon(
            Session,
            place,
            self._registry,
            self._around,
            name=str(place.id),
            mailbox=self._mailbox,
            stop_within=0.0,  # whatever must be stored was, before the actors are closed
            beyond_repair=_BEYOND_REPAIR,
        )


@asynccontextmanager
async def open_activation(
    registry: Registry, around: Surroundings, mailbox: int
) -> AsyncGenerator[Activation]:
    """Keep the actors of sessions for as long as the body runs; it has to let all that works end before."""

    def report(record: msgspec.Struct) -> None:
        around.report(_in_words_of_sessions(record))

    async with open_supervisor(quarantine=True, report=report, unhandled=_answer) as supervisor:
        try:
            yield Activation(supervisor, registry, around, mailbox)
        finally:
            for place in registry:
                if place.actor is not None:
                    place.actor.give_up()


def _in_words_of_sessions(record: msgspec.Struct) -> msgspec.Struct:
    match record:
        case ActorCrashed("runner"):
            return record
        case ActorCrashed(name, error, where):
            return SessionCrashed(SessionID.parse(name), error, where)
        case ActorQuarantined(name, seconds):
            return SessionQuarantined(SessionID.parse(name), seconds)
        case _:
            return record


def _answer(letter: DeadLetter) -> bool:
    """Answer whoever waits for what a command led to, which nobody will carry out; only poison is kept."""
    command: Command = letter.message  # type: ignore[assignment]  # all that a session is told
    command.reply.reject(_for_asker(letter))
    return letter.fate != "poison"


def _for_asker(letter: DeadLetter) -> GreenroomError:
    match letter:
        case DeadLetter(fate="poison" | "cut off"):
            return UnavailableError(
                "session: expected an answer, met its end; outcome unknown", retry_after=RETRY_AFTER
            )
        case DeadLetter(answer=QuarantinedError() as rest):
            return quarantined(letter.actor, rest)
        case DeadLetter(answer=UnavailableError() | DamagedError() as answer):
            return answer
        case _:
            return UnavailableError("session: expected no command, met one", retry_after=RETRY_AFTER)


def quarantined(session: SessionID | str, rest: QuarantinedError) -> QuarantinedError:
    """What is said of a session whose actor rests."""
    return QuarantinedError(
        f"session {session}: expected a sound actor, met too many crashes", retry_after=rest.retry_after
    )
