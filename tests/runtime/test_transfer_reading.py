"""What an import refuses: each wrong line by its number, and then nothing is stored."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO

import pytest
from greenroom.persistence import InMemorySessionStore, SessionStore, SQLiteSessionStore
from greenroom.persistence.records import SessionFilter, TurnMark
from greenroom.runtime.info import session_info
from greenroom.runtime.transfer import import_lines
from greenroom.runtime.transfer_reading import BadImportError, lines_of_file
from hypothesis import example, given
from hypothesis import strategies as st

from tests.persistence import hand
from tests.runtime.stored_sessions import exported

LONGEST = 2000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[SessionStore]:
    if request.param == "memory":
        yield InMemorySessionStore()
    else:
        opened = SQLiteSessionStore(request.getfixturevalue("tmp_path") / "new.db")
        yield opened
        opened.close()


def good() -> list[bytes]:
    """Two sessions: line 2 with the entries of lines 3 to 5, and line 6 with that of line 7; line 8 ends."""
    store = InMemorySessionStore()
    turn = TurnMark("t1", 1, (3,))
    ann = hand.facts("ann", turn=turn, epoch=2)
    entries = (
        hand.entry(1, client_id="m1"),
        hand.entry(2, hand.finished(1)),
        hand.entry(3, epoch=2, client_id="m3"),
    )
    hand.stored(store, hand.append(ann, *entries, pending=(3,)))
    hand.write(store, hand.facts("bob", at=hand.NOW + 1), "hello")
    return exported(store)


Lines = list[bytes]
Change = Callable[[Lines], Lines]


def line(number: int, **fields: object) -> Change:
    """Change fields of one line, and take the file's digest back, as who edits it on purpose would."""

    def change(lines: Lines) -> Lines:
        edited = {number: fields, len(lines): {"digest": ""}} if number != len(lines) else {number: fields}
        for at, new in edited.items():
            told = {**json.loads(lines[at - 1]), **new}
            lines[at - 1] = json.dumps({k: v for k, v in told.items() if v is not ...}).encode() + b"\n"
        return lines

    return change


def body(number: int, **fields: object) -> Change:
    """Change fields of one entry's body."""
    told = json.loads(good()[number - 1])["body"]
    return line(number, body={k: v for k, v in {**told, **fields}.items() if v is not ...})


def without(number: int) -> Change:
    return lambda lines: lines[: number - 1] + lines[number:]


def instead(number: int, raw: bytes) -> Change:
    return lambda lines: [*lines[: number - 1], raw, *lines[number:]]


def cut(count: int) -> Change:
    return lambda lines: [*lines[:-1], lines[-1][:-count]]


def order(*numbers: int) -> Change:
    return lambda lines: [lines[number - 1] for number in numbers]


def taken_out(lines: Lines) -> Lines:
    """An entry more in the first session: its message 3 left the queue."""
    removal = {"line": "entry", "seq": 4, "epoch": 2, "at": "2027-01-15T08:00:00Z"}
    removal["body"] = {"kind": "queue.removed", "seqs": [3]}  # type: ignore[assignment]  # JSON
    return [*lines[:5], json.dumps(removal).encode() + b"\n", *lines[5:]]


DEEP = b"[" * 900 + b"]" * 900
WRONG: dict[str, tuple[Change, int, str]] = {
    "an empty file": (lambda _: [], 1, "the first line of an export, met the end of the file"),
    "no header": (without(1), 1, "the first line of an export"),
    "another program's lines": (instead(1, b'{"messages":[]}\n'), 1, "the first line of an export"),
    "a newer format": (line(1, format=2), 1, "expected format 1 of an export, met 2"),
    "an older format": (line(1, format=0), 1, "expected format 1 of an export, met 0"),
    "a format that is no number": (line(1, format="1"), 1, "the first line of an export"),
    "a second header": (order(1, 1, 8), 2, "expected a session, an entry or the end line"),
    "a byte order mark": (instead(1, b'\xef\xbb\xbf{"line":"greenroom","format":1}\n'), 1, "first line"),
    "no JSON": (instead(3, b"hello\n"), 3, "expected a session, an entry or the end line, met one that"),
    "JSON cut in the middle": (instead(3, good()[2][:40] + b"\n"), 3, "does not fit"),
    "JSON that is no object": (instead(3, b"[1]\n"), 3, "got `array`"),
    "two objects": (instead(3, good()[2].rstrip() + b"{}\n"), 3, "trailing characters"),
    "an empty line": (instead(3, b"\n"), 3, "does not fit"),
    "bytes that are no UTF-8": (instead(3, good()[2].replace(b"hello", b"\xff")), 3, "utf-8"),
    "a lone surrogate": (instead(3, good()[2].replace(b"hello", b"\\ud800 hello")), 3, "surrogate"),
    "a surrogate as bytes": (instead(3, good()[2].replace(b"hello", b"\xed\xa0\x80")), 3, "utf-8"),
    "nesting without end": (instead(3, b'{"line":"entry","body":{"x":%b}}\n' % DEEP), 3, "does not fit"),
    "an unknown line": (line(3, line="summary"), 3, "Invalid value 'summary'"),
    "an unknown field": (line(3, sqe=1), 3, "unknown field `sqe`"),
    "an unknown kind": (body(3, kind="reaction"), 3, "Invalid value 'reaction'"),
    "an unknown role": (body(3, role="owner"), 3, "Invalid enum value 'owner'"),
    "an unknown state": (line(2, state="asleep"), 2, "Invalid enum value 'asleep'"),
    "a missing field": (line(2, created_at=...), 2, "missing required field `created_at`"),
    "a seq that is text": (line(3, seq="1"), 3, "Expected `int`"),
    "a seq of 65 bits": (line(3, seq=2**64), 3, "seq"),
    "a time without a zone": (line(3, at="2027-01-15T08:00:00"), 3, "timezone"),
    "a time that is none": (line(3, at="yesterday"), 3, "RFC3339"),
    "a time before the year 1 of UTC": (
        line(2, last_active_at="0001-01-01T00:00:00+14:00"),
        2,
        "last_active_at: expected a time in the years 1 to 9999 of UTC, met 0001-01-01T00:00:00+14:00",
    ),
    "an end put away after the year 9999 of UTC": (
        line(2, archived_at="9999-12-31T23:59:59-00:01"),
        2,
        "archived_at: expected a time in the years 1 to 9999 of UTC",
    ),
    "an entry of before the year 1 of UTC": (
        line(3, at="0001-01-01T00:00:00+00:01"),
        3,
        "at: expected a time in the years 1 to 9999 of UTC",
    ),
    "a chain that is not hexadecimal": (line(2, chain="xyz"), 2, "chain"),
    "a message without content": (body(3, content=...), 3, "content"),
    "NUL in what a user said": (body(3, content="a\0"), 3, "content: expected text without NUL"),
    "an empty client id": (line(3, client_id=""), 3, "length >= 1 - at `$.client_id`"),
    "a client id of 129 characters": (line(3, client_id="é" * 129), 3, "length <= 128 - at `$.client_id`"),
    "more tokens than can be added up": (line(3, tokens=2**31), 3, "`$.tokens`"),
    "an epoch with none after it": (line(2, epoch=2**63 - 1), 2, "`$.epoch`"),
    "NUL in a client id": (line(3, client_id="a\0"), 3, "client_id: expected text without NUL"),
    "NUL in a title": (line(2, title="a\0"), 2, "session: expected text without NUL"),
    "NUL in custom data": (line(2, custom_data={"k": "\0"}), 2, "custom_data: expected text without NUL"),
    "a line that is too long": (body(3, content="x" * LONGEST), 3, f"expected at most {LONGEST} bytes"),
    "an id of two parts": (line(2, id="echo:ann"), 2, "agent:channel:peer"),
    "an id in another spelling": (line(2, id="echo:web:%61nn"), 2, "session id"),
    "an id with a control character": (line(2, id="echo:web:\u202e"), 2, "U+202E"),
    "a session twice": (line(6, id="echo:web:ann"), 6, "met echo:web:ann again, as in line 2"),
    "an entry without a session": (without(2), 2, "expected a session or the end line, met an entry"),
    "a withdrawal without a session": (instead(2, b'{"line":"withdrawn"}\n'), 2, "met a withdrawal"),
    "a seq left out": (without(4), 4, "expected entry 2 of echo:web:ann, met 3"),
    "a seq twice": (line(4, seq=1), 4, "expected entry 2 of echo:web:ann, met 1"),
    "entries in another order": (order(1, 2, 4, 3, 5, 6, 7, 8), 3, "expected entry 1 of echo:web:ann, met 2"),
    "an entry too few": (without(5), 5, "expected entry 3 of 3 of echo:web:ann, met another line"),
    "an entry too many": (line(2, entries=2, pending=[], turn=None), 5, "expected 2 entries of echo:web:ann"),
    "an epoch that falls": (line(3, epoch=2), 4, "expected an epoch from 2 to 2, met 1"),
    "an epoch to come": (line(5, epoch=3), 5, "expected an epoch from 1 to 2, met 3"),
    "an epoch before the first": (line(3, epoch=0), 3, "epoch"),
    "a client id twice": (line(5, client_id="m1"), 5, "expected a new client_id in echo:web:ann"),
    "a pending seq that is not there": (line(2, pending=[4]), 2, "pending: expected seqs of user messages"),
    "a pending seq of no message": (
        line(2, pending=[2]),
        2,
        "pending: expected seqs of user messages, met 2",
    ),
    "pending seqs in disorder": (line(2, pending=[3, 1]), 2, "pending: expected rising seqs"),
    "a pending seq of a former epoch": (
        line(2, pending=[1, 3]),
        2,
        "pending: expected messages of epoch 2, met 1",
    ),
    "a pending seq that was taken out of the queue": (
        lambda lines: taken_out(line(2, entries=4, turn=None, chain="")(lines)),
        2,
        "pending: expected messages that nothing has used up, met 3",
    ),
    "a turn without a name": (
        line(2, turn={"turn_id": "", "attempt": 1, "message_seqs": [3]}),
        2,
        "`$.turn.turn_id`",
    ),
    "a turn with a name of 65 characters": (
        line(2, turn={"turn_id": "t" * 65, "attempt": 1, "message_seqs": [3]}),
        2,
        "`$.turn.turn_id`",
    ),
    "a turn that was never tried": (
        line(2, turn={"turn_id": "t1", "attempt": 0, "message_seqs": [3]}),
        2,
        "`$.turn.attempt`",
    ),
    "a turn about no message": (
        line(2, turn={"turn_id": "t1", "attempt": 1, "message_seqs": []}),
        2,
        "`$.turn.message_seqs`",
    ),
    "a turn about nothing pending": (line(2, pending=[]), 2, "turn: expected pending messages, met [3]"),
    "a text that was changed": (body(3, content="hullo"), 2, "damaged: expected the chain of its entries"),
    "a time that was changed": (line(4, at="2027-01-15T08:00:01Z"), 2, "damaged"),
    "the chain of another": (line(2, chain="00" * 16), 2, "damaged: expected the chain of its entries"),
    "no end": (without(8), 8, "expected the end line, met the end of the file"),
    "an end in the middle of a session": (order(1, 2, 3, 8), 4, "expected entry 2 of 3 of echo:web:ann"),
    "a session cut off": (order(1, 2, 3), 4, "expected the end line, met the end of the file"),
    "a last line cut off": (cut(9), 8, "expected a line feed at its end, met the end of the file"),
    "no line feed at the end": (cut(1), 8, "expected a line feed at its end"),
    "a session too few": (order(1, 6, 7, 8), 4, "expected 2 sessions above, met 1"),
    "more after the end": (order(1, 2, 3, 4, 5, 6, 7, 8, 8), 9, "expected nothing after the end line"),
    "another digest": (line(8, digest="00" * 16), 8, "expected the lines that its digest was made of"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_import_names_the_line_that_is_wrong_and_stores_nothing(store: SessionStore, what: str) -> None:
    change, number, words = WRONG[what]
    file = BytesIO(b"".join(change(good())))
    with pytest.raises(BadImportError) as refusal:
        import_lines(store, lines_of_file(file, LONGEST), LONGEST)
    assert str(refusal.value).startswith(f"line {number}: ")
    assert words in str(refusal.value)
    assert "expected" in str(refusal.value)
    assert list(store.list(SessionFilter())) == []


def test_the_lines_that_are_changed_here_are_good_ones(store: SessionStore) -> None:
    assert len(import_lines(store, lines_of_file(BytesIO(b"".join(good())), LONGEST), LONGEST)) == 2


@given(st.data())
def test_a_file_of_which_any_bit_was_changed_is_refused(data: st.DataObject) -> None:
    raw = bytearray(b"".join(good()))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    store = InMemorySessionStore()
    with pytest.raises(BadImportError, match=r"\Aline \d: "):
        import_lines(store, lines_of_file(BytesIO(bytes(raw)), LONGEST), LONGEST)
    assert list(store.list(SessionFilter())) == []


@given(st.lists(st.binary(max_size=40) | st.sampled_from(good()), max_size=9))
def test_no_bytes_are_answered_with_anything_but_a_line_number(pieces: list[bytes]) -> None:
    store = InMemorySessionStore()
    try:
        import_lines(store, lines_of_file(BytesIO(b"".join(pieces)), LONGEST), LONGEST)
    except BadImportError:
        assert list(store.list(SessionFilter())) == []


def test_a_session_that_is_stored_already_is_named_with_its_line(store: SessionStore) -> None:
    hand.write(store, hand.facts("bob"), "I was first")
    expected = "line 6: echo:web:bob: expected a new session, met a stored one"
    with pytest.raises(BadImportError, match=f"{expected}$"):
        import_lines(store, good())
    assert [facts.id.peer_id for facts in store.list(SessionFilter())] == ["bob"]


def test_what_the_lines_say_is_shown_without_control_characters() -> None:
    lines = line(3, line="\x1b[2J\n\x9b")(good())
    with pytest.raises(BadImportError, match="line 3: ") as refusal:
        import_lines(InMemorySessionStore(), lines)
    assert not {c for c in str(refusal.value) if c < " " or "\x7f" <= c <= "\x9f"}


def test_a_line_without_end_is_read_no_further_than_a_line_may_be_long() -> None:
    file = BytesIO(b"x" * 100 * LONGEST)
    with pytest.raises(BadImportError, match=f"line 1: expected at most {LONGEST} bytes, met more"):
        import_lines(InMemorySessionStore(), lines_of_file(file, LONGEST), LONGEST)
    assert file.tell() == LONGEST + 1


def test_lines_that_another_program_wrote_need_neither_chain_nor_digest() -> None:
    lines = line(2, chain="", tag=..., title=...)(good())
    assert len(import_lines(InMemorySessionStore(), lines)) == 2


@pytest.mark.parametrize("told", [0, 7, 2**53 - 1, ...], ids=str)
def test_what_a_line_says_of_its_sessions_messages_and_tokens_is_not_believed(
    store: SessionStore, told: object
) -> None:
    lines = line(2, entries=4, pending=[], turn=None, chain="", message_count=told, token_count=told)(good())
    lines = line(7, message_count=told, token_count=told)(taken_out(lines))
    ann, bob = import_lines(store, lines)
    assert (ann.message_count, ann.token_count) == (0, 0)  # one of another epoch, one taken out of the queue
    assert (bob.message_count, bob.token_count) == (1, 10)
    stats = store.stats()
    assert (stats.total_messages, stats.total_tokens) == (1, 10)


MINUTES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NEAR = st.sampled_from([datetime(1, 1, 1), datetime(9999, 12, 31)])  # noqa: DTZ001 - a zone is drawn for them


@given(st.datetimes(timezones=MINUTES) | st.builds(lambda at, zone: at.replace(tzinfo=zone), NEAR, MINUTES))
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
def test_every_time_that_is_imported_can_be_shown_and_exported_again(at: datetime) -> None:
    store = InMemorySessionStore()
    times = dict.fromkeys(("created_at", "updated_at", "last_active_at"), at.isoformat())
    lines = line(6, **times)(line(7, at=at.isoformat())(line(6, chain="")(good())))
    if _is_in_utc(at):
        import_lines(store, lines)
        assert at in [session_info(facts, 1).created_at for facts in store.list(SessionFilter())]
        assert len(exported(store)) == len(good())
    else:
        with pytest.raises(BadImportError, match=r"line 6: created_at: expected a time .*, met "):
            import_lines(store, lines)


def _is_in_utc(at: datetime) -> bool:
    try:
        at.astimezone(UTC)
    except OverflowError:
        return False
    return True


def test_a_withdrawn_session_may_come_again() -> None:
    withdrawn = b'{"line":"withdrawn"}\n'
    lines = line(8, digest="")(good())
    lines[3:3] = [withdrawn, *lines[1:3]]
    store = InMemorySessionStore()
    import_lines(store, lines)
    assert sorted(facts.id.peer_id for facts in store.list(SessionFilter())) == ["ann", "bob"]
