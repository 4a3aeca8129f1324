"""The meter counts what a message costs, from the headers, whatever pieces they come in."""

import struct
from itertools import pairwise

import pytest
from greenroom.runtime.frames import FRAGMENT_CHARGE, FrameMeter, close_frame, is_close_frame, may_be_sent
from hypothesis import given
from hypothesis import strategies as st

from .hostile_corpus import frame

LIMIT = 1000


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """A stream of frames, good and bad, some cut short."""
    frames = st.builds(
        frame,
        st.sampled_from([0x81, 0x01, 0x00, 0x80, 0x82, 0x89, 0x8A, 0x88, 0xC1, 0x83, 0x09]),
        st.binary(max_size=400),
        mask=st.sampled_from([b"\x01\x02\x03\x04", b""]),
    )
    announced = st.builds(
        lambda first, size: frame(first, length=b"\x7f" + struct.pack("!Q", size)),
        st.sampled_from([0x81, 0x01, 0x89]),
        st.sampled_from([1, 999, 1001, 1 << 62, 1 << 63]),
    )
    wire = b"".join(draw(st.lists(frames | announced, max_size=8)))
    return wire[: draw(st.integers(0, len(wire)))]


def verdict(wire: bytes, cuts: list[int]) -> tuple[bool, bool, int]:
    meter = FrameMeter(LIMIT)
    for start, end in pairwise([0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]):
        passed = meter.feed(wire[start:end])
        assert 0 <= passed <= end - start
        assert (passed < end - start) <= meter.exceeded
    return meter.exceeded, meter.unfinished, meter.ended


@given(wires(), st.lists(st.integers(0, 3000)))
def test_the_verdict_is_the_same_for_every_way_the_bytes_are_split(wire: bytes, cuts: list[int]) -> None:
    assert verdict(wire, cuts) == verdict(wire, []) == verdict(wire, list(range(len(wire))))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_a_message_costs_its_bytes_and_a_charge_for_each_frame_after_the_first(sizes: list[int]) -> None:
    firsts = [0x01, *[0x00] * (len(sizes) - 1)]
    firsts[-1] |= 0x80
    wire = b"".join(frame(first, b"x" * size) for first, size in zip(firsts, sizes, strict=True))
    cost = sum(sizes) + FRAGMENT_CHARGE * (len(sizes) - 1)
    for limit in (cost, cost - 1):
        meter = FrameMeter(limit)
        meter.feed(wire)
        assert meter.exceeded == (cost > limit)
        assert meter.exceeded or (not meter.unfinished and meter.ended == 1)


def test_an_oversize_frame_is_refused_at_its_header_and_what_came_before_it_passes() -> None:
    meter = FrameMeter(LIMIT)
    good = frame(0x81, b"x" * LIMIT)
    assert meter.feed(good + frame(0x81, b"x" * (LIMIT + 1))[:10]) == len(good)
    assert meter.exceeded
    assert meter.feed(good) == 0


def test_control_frames_inside_a_message_cost_nothing_and_do_not_end_it() -> None:
    meter = FrameMeter(LIMIT)
    meter.feed(frame(0x01, b"a") + frame(0x89, b"p" * 125) * 1000)
    assert (meter.exceeded, meter.unfinished, meter.ended) == (False, True, 0)
    meter.feed(frame(0x80, b"b"))
    assert (meter.exceeded, meter.unfinished, meter.ended) == (False, False, 1)


def test_the_limit_may_change_while_messages_come() -> None:
    meter = FrameMeter(10)
    meter.feed(frame(0x81, b"x" * 10))
    meter.limit = LIMIT
    meter.feed(frame(0x81, b"x" * LIMIT))
    assert not meter.exceeded


@pytest.mark.parametrize("length", [b"\x7f" + struct.pack("!Q", 1 << 63), b"\x7f\xff" + b"\x00" * 7])
def test_a_length_with_its_top_bit_set_is_left_to_the_library(length: bytes) -> None:
    meter = FrameMeter(LIMIT)
    wire = frame(0x81, length=length)
    assert meter.feed(wire) == len(wire)
    assert not meter.exceeded


def test_a_close_frame_is_one_and_cuts_a_long_reason_between_characters() -> None:
    assert close_frame(1009) == b"\x88\x02\x03\xf1"
    spelled = close_frame(4008, "ü" * 200)
    assert is_close_frame(spelled)
    assert len(spelled) == 2 + spelled[1] <= 127
    assert spelled[4:].decode() == "ü" * 61


def test_codes_that_tell_of_no_frame_are_never_sent() -> None:
    assert [code for code in (999, 1000, 1005, 1006, 1009, 1015, 4008, 5000) if may_be_sent(code)] == [
        1000,
        1009,
        4008,
    ]
