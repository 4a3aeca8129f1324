"""Every valid id has one name, and every name one id."""

import unicodedata
from random import Random

import pytest
from greenroom.persistence.ids import MAX_PART_LENGTH, SessionID
from hypothesis import given
from hypothesis import strategies as st

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

TRICKY = [
    *[":", "%", "%3A", "%25", "%3a", "::", "*", "/", "..", " ", "\u00a0", "\ufeff"],
    *["👩\u200d👩\u200d👧", "🏳️\u200d🌈", "👍🏽", "🇨🇭", "é", "ǖ", "각", "ﬃ", "\u017f", "İ", "ß"],
    *[
        "עברית",
        "العربية",
        "فارسی\u200c\u0647\u0627",
        "हिन्दी",
        "日本語",
        "\U0001d49c",
        "\U00020000",
        "\U0010ffff",
        "a\u0323\u0302",
    ],
]
"""Separators in every spelling, joined and coloured emoji, right-to-left and astral text, marks."""

texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=BIDI),
    min_size=1,
    max_size=30,
)
parts = (st.text(":%ab3A25", min_size=1) | texts).map(lambda text: unicodedata.normalize("NFC", text))
ids = st.builds(SessionID, parts, parts, parts, st.just("") | parts)


def _draw(random: Random) -> str:
    """A part made of what goes wrong most easily, or of anything."""
    pieces = [random.choice(TRICKY) for _ in range(random.randint(1, 6))]
    pieces += [_anything(random) for _ in range(random.randint(0, 6))]
    random.shuffle(pieces)
    return unicodedata.normalize("NFC", "".join(pieces))[:MAX_PART_LENGTH]


def _anything(random: Random) -> str:
    while True:
        character = chr(random.randrange(0x20, 0x110000))
        if unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} and character not in BIDI:
            return character


def test_ten_thousand_ids_survive_their_text_form() -> None:
    random = Random(20_260_426)  # noqa: S311 - the same ids in every run
    names: dict[str, SessionID] = {}
    for number in range(10_000):
        thread = _draw(random) if number % 2 else ""
        session = SessionID(_draw(random), _draw(random), _draw(random), thread)
        assert SessionID.parse(str(session)) == session
        assert names.setdefault(str(session), session) == session


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


CONTROLS = [chr(n) for n in range(0x3000) if unicodedata.category(chr(n)) == "Cc"]
SEPARATORS = [chr(n) for n in range(0x3000) if unicodedata.category(chr(n)) in {"Zl", "Zp"}]
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff"]
SIZE = rf"expected 1 to {MAX_PART_LENGTH} code points, met "


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("", SIZE + "0$"),
        ("x" * (MAX_PART_LENGTH + 1), SIZE + "257$"),
        ("👩" * (MAX_PART_LENGTH + 1), SIZE + "257$"),
        ("e\u0301", "expected NFC text, met another normalisation form$"),
        ("\u212b", "expected NFC text, met another normalisation form$"),
        ("\u1112\u1161", "expected NFC text, met another normalisation form$"),
        *(
            (f"a{character}b", rf"expected no control characters, met U\+{ord(character):04X}$")
            for character in (*CONTROLS, *SEPARATORS, *SURROGATES, *BIDI)
        ),
    ],
    ids=ascii,
)
def test_a_bad_part_is_refused(part: str, reason: str) -> None:
    names = ["agent_id", "channel_id", "peer_id", "thread_id"]
    for position, name in enumerate(names if part else names[:3]):
        values = ["agent", "channel", "peer", "thread"]
        values[position] = part
        with pytest.raises(ValueError, match=f"^{name}: {reason}"):
            SessionID(*values)
        if part:  # what no constructor takes, no text names
            with pytest.raises(ValueError, match=reason):
                SessionID.parse(":".join(values))


def test_every_refused_character_is_tried() -> None:
    assert (len(CONTROLS), len(SEPARATORS), len(BIDI)) == (65, 2, 12)


@pytest.mark.parametrize(
    "part", ["x" * MAX_PART_LENGTH, "../x", "a b", "é", "👩\u200d👩", "%", ":", "::", "%3A"]
)
def test_an_unusual_but_good_part_is_kept(part: str) -> None:
    session = SessionID(part, "channel", "peer", part)
    assert SessionID.parse(str(session)).thread_id == part


PARTS = "session id: expected agent:channel:peer\\[:thread\\], met "
SPELLING = "session id: expected ':' and '%' as '%3A' and '%25' only$"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", PARTS + "1 parts$"),
        ("a", PARTS + "1 parts$"),
        ("a:b", PARTS + "2 parts$"),
        ("a:b:c:d:e", PARTS + "5 parts$"),
        ("a:b:", "session id: expected a last part, met nothing after ':'$"),
        ("a:b:c:", "session id: expected a last part, met nothing after ':'$"),
        (":b:c", "agent_id: " + SIZE + "0$"),
        ("a::c", "channel_id: " + SIZE + "0$"),
        ("a:b::d", "peer_id: " + SIZE + "0$"),
        ("a:b:%", SPELLING),
        ("a:b:%2", SPELLING),
        ("a:b:%zz", SPELLING),
        ("a:b:%3a", SPELLING),
        ("a:b:c:%3a", SPELLING),
        ("a:b:%41", SPELLING),
        ("a:b:%20", SPELLING),
        ("a:b:%C3%A9", SPELLING),
        ("a:b:%253a%", SPELLING),
        ("a:b:" + "%3A" * (MAX_PART_LENGTH + 1), "peer_id: " + SIZE + "257$"),
    ],
)
def test_text_that_is_no_id_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        SessionID.parse(text)


def test_what_looks_encoded_twice_is_another_part() -> None:
    assert SessionID.parse("a:b:%253A").peer_id == "%3A"
    assert SessionID.parse("a:b:%25253A").peer_id == "%253A"
    assert SessionID.parse("a:b:%3A").peer_id == ":"


def test_a_longest_part_of_separators_is_kept() -> None:
    session = SessionID(":" * MAX_PART_LENGTH, "%" * MAX_PART_LENGTH, "c")
    assert SessionID.parse(str(session)) == session
