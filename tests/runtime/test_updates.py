"""What may be set anew in a session: bounds, and the error that names the field."""

import msgspec
import pytest
from greenroom.actors.errors import TooLargeError
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionFacts, SessionUpdated, ToolCall
from greenroom.runtime.checking import (
    MAX_CLIENT_ID,
    WrongValueError,
    checked_client_id,
    checked_content,
    checked_message,
)
from greenroom.runtime.config import Limits
from greenroom.runtime.updates import (
    MAX_CUSTOM_DATA,
    MAX_TAG,
    MAX_TAGS,
    MAX_TITLE,
    checked_update,
    custom_data_set,
    tag_added,
    tag_removed,
)

LIMITS = Limits(content_bytes=100)
FACTS = SessionFacts(
    id=SessionID("a", "b", "c"),
    tag="t",
    created_at=1,
    updated_at=1,
    last_active_at=1,
    tags=("one", "two"),
    custom_data={"cup": "blue"},
)
ROOM = MAX_CUSTOM_DATA - len('{"k":""}')


def test_what_is_not_given_is_left_alone() -> None:
    assert checked_update(limits=LIMITS) == SessionUpdated()


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"title": "é" * MAX_TITLE},
        {"tags": ()},
        {"tags": tuple(f"{n:0{MAX_TAG}}" for n in range(MAX_TAGS))},
        {"custom_data": {}},
        {"custom_data": {"k": "x" * ROOM}},
        {"system_prompt": "é" * 50},
        {"summary": "x" * 100},
        {
            "title": "a\nb\u2028c",
            "tags": ("👩\u200d👩", "-"),
            "custom_data": {"": ""},
            "system_prompt": "",
            "summary": "",
        },
    ],
)
def test_what_fits_is_taken_as_it_is(values: dict[str, object]) -> None:
    assert checked_update(**values, limits=LIMITS) == SessionUpdated(**values)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("title", "x" * (MAX_TITLE + 1), "title: expected at most 1000 characters, met 1001"),
        ("tags", [str(n) for n in range(MAX_TAGS + 1)], "tags: expected at most 100, met 101"),
        ("tags", ["x" * (MAX_TAG + 1)], "tags: expected at most 256 characters, met 257"),
        (
            "custom_data",
            {"k": "x" * (ROOM + 1)},
            "custom_data: expected at most 65536 bytes as JSON, met 65537",
        ),
        ("system_prompt", "é" * 51, "system_prompt: expected at most 100 bytes, met 102"),
        ("summary", "x" * 101, "summary: expected at most 100 bytes, met 101"),
    ],
)
def test_what_is_too_large_is_refused_with_its_field(field: str, value: object, sentence: str) -> None:
    with pytest.raises(TooLargeError) as caught:
        checked_update(**{field: value}, limits=LIMITS)
    assert (str(caught.value), caught.value.field, caught.value.name) == (sentence, field, "too_large")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        *(
            (field, wrap(text), f"{field}: expected {expected}")
            for text, expected in [
                ("a\0b", "text without NUL, met one"),
                ("\ud800", "text that UTF-8 can hold, met a lone surrogate"),
                (7, "text, met int"),
                (None, "text, met NoneType"),
            ]
            for field, wrap in [
                ("title", lambda text: text),
                ("tags", lambda text: [text]),
                ("custom_data", lambda text: {"key": text}),
                ("custom_data", lambda text: {text: "value"}),
                ("system_prompt", lambda text: text),
                ("summary", lambda text: text),
            ]
            if wrap(text) is not None
        ),
        ("tags", ["a", ""], "tags: expected 1 to 256 characters each, met an empty one"),
        ("tags", "green", "tags: expected a sequence of texts, met one text"),
    ],
)
def test_what_is_no_text_is_refused_with_its_field(field: str, value: object, sentence: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        checked_update(**{field: value}, limits=LIMITS)
    assert (str(caught.value), caught.value.field) == (sentence, field)
    assert isinstance(caught.value, ValueError)


def test_a_repeated_tag_counts_once() -> None:
    assert checked_update(tags=["b", "a", "b"], limits=LIMITS).tags == ("b", "a")


def test_the_hosts_own_strings_are_copied() -> None:
    mine = {"cup": "blue"}
    taken = checked_update(custom_data=mine, limits=LIMITS)
    mine["cup"] = "red"
    assert taken.custom_data == {"cup": "blue"}


def test_one_tag_or_string_is_changed_from_what_is_there() -> None:
    assert tag_added("three")(FACTS).tags == ("one", "two", "three")
    assert tag_added("one")(FACTS).tags == ("one", "two")
    assert tag_removed("one")(FACTS).tags == ("two",)
    assert tag_removed("none")(FACTS).tags == ("one", "two")
    assert custom_data_set("pot", "red")(FACTS).custom_data == {"cup": "blue", "pot": "red"}
    assert custom_data_set("cup", "red")(FACTS).custom_data == {"cup": "red"}
    assert FACTS.custom_data == {"cup": "blue"}


def test_one_more_than_fits_is_too_large() -> None:
    full = msgspec.structs.replace(
        FACTS, tags=tuple(map(str, range(MAX_TAGS))), custom_data={"k": "x" * ROOM}
    )
    for change, field in ((tag_added("more"), "tags"), (custom_data_set("more", ""), "custom_data")):
        with pytest.raises(TooLargeError) as caught:
            change(full)
        assert caught.value.field == field


@pytest.mark.parametrize("tag", ["", "a\0b", "\udfff"])
def test_a_wrong_tag_or_string_is_refused_before_it_travels(tag: str) -> None:
    with pytest.raises(WrongValueError):
        tag_added(tag)
    with pytest.raises(WrongValueError):
        custom_data_set("key", tag or "\0")


@pytest.mark.parametrize("content", ["", " \n\u2003", "a\0b", "\ud800", 5])
def test_content_is_text_with_more_than_white_space(content: str) -> None:
    with pytest.raises(WrongValueError, match=r"^content: expected "):
        checked_content(content, 100)


def test_content_has_a_bound_in_bytes() -> None:
    assert checked_content("é" * 50, 100) == "é" * 50
    with pytest.raises(TooLargeError) as caught:
        checked_content("é" * 51, 100)
    assert caught.value.field == "content"


@pytest.mark.parametrize("client_id", ["", "x" * (MAX_CLIENT_ID + 1), "a\0", "\udc80", 5])
def test_a_client_id_has_1_to_128_characters(client_id: str) -> None:
    with pytest.raises(WrongValueError, match=r"^client_id: expected "):
        checked_client_id(client_id)
    assert checked_client_id("x" * MAX_CLIENT_ID)


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "hello"),
        Message("system", ""),
        Message("assistant", "", (ToolCall("1", "search", "{}"),), partial=True),
        Message("tool", "found", tool_call_id="1"),
    ],
)
def test_a_message_of_any_role_is_taken(message: Message) -> None:
    assert checked_message(message, 100) == message


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "a\0b"),
        Message("user", "\ud800"),
        Message("user", 5),  # type: ignore[arg-type]  # what a careless host does
        Message("robot", "hello"),  # type: ignore[arg-type]
        Message("tool", "found", tool_call_id=7),  # type: ignore[arg-type]
        Message("tool", "found", tool_call_id="\ud800"),
        Message("assistant", "", (ToolCall("1", "search", object()),)),  # type: ignore[arg-type]
        Message("assistant", "", ("search",)),  # type: ignore[arg-type]
    ],
)
def test_a_message_that_could_not_be_read_again_is_refused(message: Message) -> None:
    with pytest.raises(WrongValueError, match="expected"):
        checked_message(message, 100)


def test_a_message_has_bounds_for_its_content_and_for_all_of_it() -> None:
    with pytest.raises(TooLargeError) as caught:
        checked_message(Message("user", "x" * 101), 100)
    assert caught.value.field == "content"
    with pytest.raises(TooLargeError) as caught:
        checked_message(Message("assistant", "", (ToolCall("1", "search", "x" * 200),)), 100)
    assert caught.value.field == "message"


def test_a_list_that_a_host_goes_on_using_is_not_kept() -> None:
    calls = [ToolCall("1", "search", "{}")]
    taken = checked_message(Message("assistant", "", calls), 100)  # type: ignore[arg-type]
    calls.clear()
    assert taken.tool_calls == (ToolCall("1", "search", "{}"),)
