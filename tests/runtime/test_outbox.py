"""An outbox stays within its bound, keeps what must arrive, and says so when text is missing."""

import msgspec
from greenroom.actors.events import Event, QueueChanged, Resync, TurnStarted
from greenroom.runtime.outbox import JOIN_BYTES, Outbox

from .outbox_events import A, B, delta, message, queue, render


def behind_a_queue(limit: int = 10_000) -> Outbox:
    """An outbox of a peer that lags, so that deltas are joined; the first frame is not of interest."""
    outbox = Outbox(limit, render)
    outbox.put("x" * (limit // 4))
    return outbox


def drain(outbox: Outbox) -> list[str]:
    return list(iter(outbox.take, None))


def deltas(frames: list[str]) -> list[tuple[int, str]]:
    datas = [msgspec.json.decode(frame)["data"] for frame in frames if frame[0] == "{"]
    return [(data["offset"], data["text"]) for data in datas if "offset" in data]


def test_frames_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10_000, render)
    outbox.put("one")
    outbox.offer(message(1))
    outbox.offer(delta(0, "hi"))
    outbox.put("two")
    assert drain(outbox) == ["one", render(message(1)), render(delta(0, "hi")), "two"]
    assert outbox.size == 0
    assert outbox.take() is None


def test_deltas_that_follow_one_another_become_one_frame() -> None:
    outbox = behind_a_queue()
    for offset, text in ((0, "über"), (4, " 👩‍👩 "), (9, '"\n\x00')):
        outbox.offer(delta(offset, text))
    whole = render(delta(0, 'über 👩‍👩 "\n\x00'))
    assert outbox.size == 2500 + len(whole.encode())
    assert drain(outbox)[1:] == [whole]


def test_a_client_that_keeps_up_is_shown_each_delta_as_it_was_said() -> None:
    outbox = Outbox(10_000, render)
    for offset, text in ((0, "hello "), (6, "big "), (10, "world")):
        outbox.offer(delta(offset, text))
    assert deltas(drain(outbox)) == [(0, "hello "), (6, "big "), (10, "world")]


def test_deltas_of_two_sessions_join_each_with_their_own() -> None:
    outbox = behind_a_queue()
    for offset in range(3):
        outbox.offer(delta(offset, "a"))
        outbox.offer(delta(offset, "b", session=B))
    assert deltas(drain(outbox)) == [(0, "aaa"), (0, "bbb")]


def test_text_never_moves_across_another_frame_of_its_session_or_a_reply() -> None:
    outbox = behind_a_queue()
    outbox.offer(delta(0, "a"))
    outbox.offer(Event(A, "1", 0, QueueChanged(())))
    outbox.offer(delta(1, "b"))
    outbox.put("reply")
    outbox.offer(delta(2, "c"))
    frames = drain(outbox)
    assert deltas(frames) == [(0, "a"), (1, "b"), (2, "c")]
    assert frames[4] == "reply"


def test_deltas_of_another_turn_epoch_or_offset_are_not_joined() -> None:
    outbox = behind_a_queue()
    outbox.offer(delta(0, "a"))
    outbox.offer(delta(2, "b"))
    outbox.offer(delta(3, "c", turn="t2"))
    outbox.offer(delta(4, "d", turn="t2", epoch="2"))
    assert deltas(drain(outbox)) == [(0, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_a_joined_delta_does_not_outgrow_its_bound() -> None:
    outbox = Outbox(10 * JOIN_BYTES, render)
    for i in range(3):
        outbox.offer(delta(i * 40_000, "x" * 40_000))
    frames = drain(outbox)
    assert "".join(text for _, text in deltas(frames)) == "x" * 120_000
    assert len(frames) == 3


def test_a_frame_taken_is_not_added_to() -> None:
    outbox = Outbox(10_000, render)
    outbox.offer(delta(0, "a"))
    assert deltas([outbox.take() or ""]) == [(0, "a")]
    outbox.offer(delta(1, "b"))
    assert deltas(drain(outbox)) == [(1, "b")]


def test_no_room_for_a_delta_costs_that_sessions_deltas_and_says_resync_once() -> None:
    outbox = Outbox(700, render)
    outbox.offer(delta(0, "b", session=B))
    outbox.offer(message(1))
    offset = 0
    for _ in range(20):
        outbox.offer(delta(offset, "a" * 50))
        offset += 50
    assert drain(outbox) == [
        render(delta(0, "b", session=B)),
        render(message(1)),
        render(Event(A, "1", 0, Resync())),
    ]
    outbox.offer(delta(offset, "a"))
    assert drain(outbox) == []
    outbox.resumed(A)
    outbox.offer(delta(offset, "a"))
    assert deltas(drain(outbox)) == [(offset, "a")]


def test_what_must_arrive_takes_the_room_of_deltas_first() -> None:
    outbox = Outbox(1000, render)
    outbox.offer(delta(0, "a" * 200))
    outbox.offer(delta(0, "b" * 200, session=B))
    outbox.put("x" * 500)
    outbox.put("y" * 500)
    resyncs = [render(Event(session, "1", 0, Resync())) for session in (A, B)]
    assert drain(outbox) == ["x" * 500, *resyncs, "y" * 500]
    assert not outbox.overflowed


def test_a_frame_of_any_size_is_taken_while_less_than_the_limit_waits() -> None:
    outbox = Outbox(100, render)
    outbox.put("x" * 99)
    outbox.offer(message(1, "y" * 1000))
    assert (outbox.overflowed, outbox.size) == (False, 99 + len(render(message(1, "y" * 1000))))
    assert len(drain(outbox)) == 2
    outbox.put("x" * 100)
    outbox.put("y")
    assert outbox.overflowed


def test_there_is_always_room_to_say_that_text_is_missing() -> None:
    outbox = Outbox(100, render)
    outbox.put("x" * 1000)
    for session in (A, B):
        for offset in range(3):
            outbox.offer(delta(offset, "a", session=session))
    assert not outbox.overflowed
    assert drain(outbox)[1:] == [render(Event(session, "1", 0, Resync())) for session in (A, B)]


def test_the_newest_queue_of_a_session_takes_the_place_of_the_one_still_waiting() -> None:
    outbox = Outbox(2000, render)
    for number in range(100):
        outbox.offer(queue(f"{number:>1000}"))
        outbox.offer(queue(f"{number:>1000}", session=B))
    assert not outbox.overflowed
    assert drain(outbox) == [render(queue(f"{99:>1000}", session=session)) for session in (A, B)]
    outbox.offer(queue("one"))
    outbox.put("reply")
    outbox.offer(message(1))
    outbox.offer(queue("two"))
    assert drain(outbox) == ["reply", render(message(1)), render(queue("two"))]
    assert outbox.size == 0


def test_a_queue_already_taken_is_not_superseded() -> None:
    outbox = Outbox(2000, render)
    outbox.offer(queue("one"))
    assert outbox.take() == render(queue("one"))
    outbox.put("reply")
    outbox.offer(queue("two"))
    assert drain(outbox) == ["reply", render(queue("two"))]


def test_a_pledged_answer_always_fits_and_costs_events_no_room() -> None:
    outbox = Outbox(100, render)
    outbox.put("x" * 99)
    for _ in range(2):
        outbox.put("y" * 100, is_pledged=True)
    assert (outbox.overflowed, outbox.size, outbox.has_room) == (False, 299, False)
    outbox.put("z")
    assert [len(frame) for frame in drain(outbox)] == [99, 100, 100, 1]
    outbox.put("x" * 100)
    outbox.put("y" * 100, is_pledged=True)
    assert not outbox.overflowed
    outbox.put("z")
    assert outbox.overflowed


def test_room_is_less_than_half_of_the_limit() -> None:
    outbox = Outbox(100, render)
    outbox.put("x" * 49)
    assert outbox.has_room
    outbox.put("x")
    assert not outbox.has_room
    outbox.take()
    assert outbox.has_room
    assert Outbox(1, render).has_room


def test_what_must_arrive_and_cannot_overflows_for_good() -> None:
    for fill in (
        lambda box: box.put("x"),
        lambda box: box.offer(message(1)),
        lambda box: box.offer(Event(A, "1", 0, TurnStarted("t1", (1,)))),
        lambda box: box.offer(queue("x")),
    ):
        outbox = Outbox(100, render)
        outbox.put("x" * 100)
        assert not outbox.overflowed
        fill(outbox)
        assert outbox.overflowed
        outbox.put("y")
        outbox.offer(queue("y"))
        outbox.offer(delta(0, "a"))
        assert (outbox.take(), outbox.size) == (None, 0)


def test_sizes_are_bytes_of_utf_8() -> None:
    outbox = Outbox(100, render)
    outbox.put("ü" * 50)
    assert outbox.size == 100
    assert not outbox.overflowed
