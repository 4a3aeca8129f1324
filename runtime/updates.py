"""What people and hosts may set anew in a session: checked before it travels to the session. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from ..actors.errors import TooLargeError
from ..actors.updating import MAX_CUSTOM_DATA, MAX_TAGS
from ..persistence.records import SessionFacts, SessionUpdated
from .checking import WrongValueError, bounded_text, checked_text
from .config import Limits

MAX_TITLE: Final = 1000  # characters
MAX_TAG: Final = 256  # characters; what a part of an id may have

Change = Callable[[SessionFacts], SessionUpdated]


def checked_update(  # noqa: PLR0913 - one parameter for each fact that can be set
    *,
    title: str | None = None,
    tags: Sequence[str] | None = None,
    custom_data: Mapping[str, str] | None = None,
    system_prompt: str | None = None,
    summary: str | None = None,
    limits: Limits,
) -> SessionUpdated:
    """The change that these values stand for; None leaves a fact alone, and a repeated tag counts once.

    Args:
        title: At most `MAX_TITLE` characters.
        tags: At most `MAX_TAGS` of 1 to `MAX_TAG` characters each.
        custom_data: At most `MAX_CUSTOM_DATA` bytes as JSON.
        system_prompt: At most ``limits.content_bytes`` bytes of UTF-8.
        summary: The same.
        limits: What bounds the server.

    Raises:
        WrongValueError: A value is no text, holds NUL or a lone surrogate, or is an empty tag.
        TooLargeError: A value is larger than it may be.
    """
    if tags is not None:
        tags = checked_tags(tags)
    if custom_data is not None:
        custom_data = checked_custom_data(custom_data)
    most = limits.content_bytes
    return SessionUpdated(
        title=None if title is None else _short("title", title, MAX_TITLE),
        tags=None if tags is None else tuple(tags),
        custom_data=None if custom_data is None else dict(custom_data),
        system_prompt=None if system_prompt is None else bounded_text("system_prompt", system_prompt, most),
        summary=None if summary is None else bounded_text("summary", summary, most),
    )


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Each tag once, in the order of first appearance.

    Raises:
        WrongValueError, TooLargeError: As `checked_update`.
    """
    if isinstance(tags, str):
        raise WrongValueError("tags", "a sequence of texts", "one text")
    each = tuple(dict.fromkeys(_short("tags", tag, MAX_TAG) for tag in tags))
    if "" in each:
        raise WrongValueError("tags", f"1 to {MAX_TAG} characters each", "an empty one")
    if len(each) > MAX_TAGS:
        raise TooLargeError(f"tags: expected at most {MAX_TAGS}, met {len(each)}", field="tags")
    return each


def checked_custom_data(custom_data: Mapping[str, str]) -> dict[str, str]:
    """A copy of the host's own strings.

    Raises:
        WrongValueError, TooLargeError: As `checked_update`.
    """
    copy = {
        checked_text("custom_data", key): checked_text("custom_data", value)
        for key, value in custom_data.items()
    }
    size = len(msgspec.json.encode(copy))
    if size > MAX_CUSTOM_DATA:
        text = f"custom_data: expected at most {MAX_CUSTOM_DATA} bytes as JSON, met {size}"
        raise TooLargeError(text, field="custom_data")
    return copy


def tag_added(tag: str) -> Change:
    """Adds one tag behind those there; without effect if it is there.

    Raises:
        WrongValueError, TooLargeError: As `checked_update`; the change itself raises `TooLargeError` where
            there are too many.
    """
    added = checked_tags((tag,))
    return lambda facts: SessionUpdated(tags=checked_tags((*facts.tags, *added)))


def tag_removed(tag: str) -> Change:
    """Removes one tag; without effect if it is not there."""
    return lambda facts: SessionUpdated(tags=tuple(each for each in facts.tags if each != tag))


def custom_data_set(key: str, value: str) -> Change:
    """Sets one of the host's own strings.

    Raises:
        WrongValueError, TooLargeError: As `checked_update`; the change itself raises `TooLargeError` where
            all of them together are too large.
    """
    one = checked_custom_data({key: value})
    return lambda facts: SessionUpdated(custom_data=checked_custom_data(facts.custom_data | one))


def _short(field: str, value: str, most: int) -> str:
    if len(checked_text(field, value)) > most:
        raise TooLargeError(f"{field}: expected at most {most} characters, met {len(value)}", field=field)
    return value
