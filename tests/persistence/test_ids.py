"""Every valid id has one name, and every name one id."""

import unicodedata

import pytest
from greenroom.persistence.ids import MAX_PART_LENGTH, SessionID
from hypothesis import given
from hypothesis import strategies as st

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=BIDI),
    min_size=1,
    max_size=30,
)
parts = (st.text(":%ab3A25", min_size=1) | texts).map(lambda text: unicodedata.normalize("NFC", text))
ids = st.builds(SessionID, parts, parts, parts, st.just("") | parts)


@given(ids)
def test_every_id_survives_its_text_form(session: SessionID) -> None:
    assert SessionID.parse(str(session)) == session


@given(ids, ids)
def test_different_ids_have_different_names(one: SessionID, other: SessionID) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(st.text(":%ab3A25", max_size=20))
def test_only_the_canonical_spelling_parses(text: str) -> None:
    try:
        session = SessionID.parse(text)
    except ValueError:
        return
    assert str(session) == text


@pytest.mark.parametrize(
    "part",
    [
        "",
        "x" * (MAX_PART_LENGTH + 1),
        "a\0b",
        "a\nb",
        "\x7f",
        "\x85",
        "\ud800",
        "\u2028",
        "\u2029",
        "e\u0301",
        *BIDI,
    ],
)
def test_a_bad_part_is_refused(part: str) -> None:
    for position in range(3):
        values = ["agent", "channel", "peer"]
        values[position] = part
        with pytest.raises(ValueError, match="expected"):
            SessionID(*values)
    if part:
        with pytest.raises(ValueError, match="thread_id"):
            SessionID("agent", "channel", "peer", part)


@pytest.mark.parametrize(
    "part", ["x" * MAX_PART_LENGTH, "../x", "a b", "é", "👩\u200d👩", "%", ":", "::", "%3A"]
)
def test_an_unusual_but_good_part_is_kept(part: str) -> None:
    session = SessionID(part, "channel", "peer", part)
    assert SessionID.parse(str(session)).thread_id == part


@pytest.mark.parametrize(
    "text", ["", "a", "a:b", "a:b:", "a:b:c:", "a:b:c:d:e", "a::c", "a:b:%", "a:b:%3a", "a:b:%41"]
)
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        SessionID.parse(text)
