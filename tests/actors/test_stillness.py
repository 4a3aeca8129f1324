"""A loop is still for as long as somebody holds it, and not while nobody lets its process run."""

from typing import Literal, NamedTuple

import pytest
from greenroom.actors.stillness import LATE, LOOK, Stillness
from hypothesis import given
from hypothesis import strategies as st

ROUNDING = 1e-6
JITTER = 0.02  # seconds that a look may come late without being called so
ALIVE = ("idle", "busy")


class Piece(NamedTuple):
    """What goes on for a while: the loop waits, works through its tasks, or is held by one that computes, by
    one that waits, or by code that lets no other thread run; or the whole process is stopped."""

    what: Literal["idle", "busy", "computing", "waiting", "alone", "stopped"]
    seconds: float


class World:
    """A loop that does these pieces one after the other, and a watcher that looks when it can."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.at = 100.0
        self.used = 5.0
        self.stillness = Stillness(self.at, self.used)
        self.asked_at: float | None = None
        self.heard_at = self.at
        self.found: list[float] = []
        """How long the loop had been still, each time it came alive again or showed that it was."""

    def run(self, jitters: list[float]) -> None:
        due = self.at + LOOK
        for number, piece in enumerate(self.pieces):
            end = self.at + piece.seconds
            if piece.what in ALIVE:
                self.hear()
            while piece.what not in {"alone", "stopped"} and due <= end:
                self.live(piece, due - self.at)
                self.look(piece)
                due = self.at + LOOK + jitters[number % len(jitters)]
            self.live(piece, end - self.at)
            if due <= end:  # it could not look: it does as soon as it can, while what held it is still there
                self.look(piece)
                due = self.at + LOOK

    def live(self, piece: Piece, seconds: float) -> None:
        self.at += seconds
        if piece.what in {"busy", "computing", "alone"}:
            self.used += seconds

    def hear(self) -> None:
        if self.asked_at is not None:
            self.heard_at, self.asked_at = self.at, None

    def look(self, piece: Piece) -> None:
        is_waiting = piece.what == "idle"
        is_answered = self.asked_at is None
        before = self.stillness.look(
            self.at, self.used, heard_at=self.heard_at if is_answered else None, is_waiting=is_waiting
        )
        self.found.append(before)
        if is_answered and not is_waiting:
            self.asked_at = self.at
            if piece.what == "busy":
                self.hear()


def found(pieces: list[Piece], jitters: list[float] | None = None) -> list[float]:
    """The stillnesses that a watcher sees, with some idle time before and after."""
    world = World([Piece("idle", 0.2), *pieces, Piece("idle", 0.2)])
    world.run(jitters or [0.0])
    return world.found


alive = st.builds(Piece, st.sampled_from(ALIVE), st.floats(0.001, 1))
held = st.sampled_from(["computing", "waiting", "alone"])
jitter = st.lists(st.floats(0, JITTER), min_size=1, max_size=9)


@given(st.lists(alive, max_size=5), held, st.floats(0.001, 5), st.lists(alive, max_size=5), jitter)
def test_a_loop_is_still_for_as_long_as_it_is_held(
    before: list[Piece],
    what: Literal["computing", "waiting", "alone"],
    seconds: float,
    after: list[Piece],
    jitters: list[float],
) -> None:
    most = max(found([*before, Piece(what, seconds), *after], jitters))
    # What nobody could look at in time counts by what the loop's thread has used, the rest of a look with it.
    assert most <= seconds + LOOK + JITTER + ROUNDING
    if seconds > LATE:
        assert most >= seconds - LOOK - JITTER - ROUNDING


stopped = st.builds(Piece, st.just("stopped"), st.sampled_from([0.01, 0.3, 2.0, 60.0, 3600.0]))


@given(st.lists(alive | stopped, max_size=9), jitter)
def test_f23_a_loop_that_nobody_holds_is_never_still_for_long_however_often_it_is_stopped(
    pieces: list[Piece], jitters: list[float]
) -> None:
    assert max(found(pieces, jitters)) <= LATE + LOOK + JITTER


@given(held, st.floats(0.3, 2), stopped, st.floats(0.3, 2), jitter)
def test_f23_the_time_in_which_a_process_is_stopped_is_nobodys_who_holds_its_loop(
    what: Literal["computing", "waiting", "alone"],
    first: float,
    stop: Piece,
    rest: float,
    jitters: list[float],
) -> None:
    most = max(found([Piece(what, first), stop, Piece(what, rest)], jitters))
    assert most <= first + rest + LATE + LOOK + JITTER + ROUNDING


@pytest.mark.parametrize("used", [0.0, 0.03])
def test_a_watcher_that_was_kept_waiting_itself_blames_nobody(used: float) -> None:
    stillness = Stillness(at=0.0, used=0.0)
    for number in range(1, 9):
        stillness.look(number * 2 * LATE, number * used, heard_at=None, is_waiting=False)
    assert stillness.seconds == pytest.approx(8 * used)
