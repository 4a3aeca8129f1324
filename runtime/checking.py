"""What a host says, checked before it travels to a session: text that can be stored, within bounds. Pure."""

from typing import Any, Final

import msgspec

from ..actors.errors import TooLargeError
from ..persistence.records import Message

MAX_CLIENT_ID: Final = 128  # characters

_decode_message = msgspec.json.Decoder(Message).decode


class WrongValueError(ValueError):
    """A value is not what its place can hold.

    Attributes:
        field: The name of the place.
    """

    def __init__(self, field: str, expected: str, met: str) -> None:
        super().__init__(f"{field}: expected {expected}, met {met}")
        self.field = field


def checked_text(field: str, value: Any) -> str:  # noqa: ANN401 - whatever a host passes
    """The value, if it is text that can be stored.

    Raises:
        WrongValueError: It is not.
    """
    if not isinstance(value, str):
        raise WrongValueError(field, "text", type(value).__name__)
    if "\0" in value:
        raise WrongValueError(field, "text without NUL", "one")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise WrongValueError(field, "text that UTF-8 can hold", "a lone surrogate") from exc
    return value


def bounded_text(field: str, value: str, most: int) -> str:
    """The value, if it is text that can be stored in ``most`` bytes of UTF-8.

    Raises:
        WrongValueError: It is no such text.
        TooLargeError: It is longer.
    """
    size = len(checked_text(field, value).encode())
    if size > most:
        raise TooLargeError(f"{field}: expected at most {most} bytes, met {size}", field=field)
    return value


def checked_content(content: str, most: int) -> str:
    """What a user says, in at most ``most`` bytes of UTF-8.

    Raises:
        WrongValueError: It is no text that can be stored, or only white space.
        TooLargeError: It is longer.
    """
    if not bounded_text("content", content, most).strip():
        raise WrongValueError("content", "more than white space", "nothing else")
    return content


def checked_client_id(client_id: str) -> str:
    """A sender's own id for a message.

    Raises:
        WrongValueError: It is no text that can be stored, or not 1 to `MAX_CLIENT_ID` characters.
    """
    if not 0 < len(checked_text("client_id", client_id)) <= MAX_CLIENT_ID:
        expected = f"1 to {MAX_CLIENT_ID} characters"
        raise WrongValueError("client_id", expected, str(len(client_id)))
    return client_id


def checked_message(message: Message, most: int) -> Message:
    """A message of any role: its content in ``most`` bytes of UTF-8, all of it in twice as many as JSON.

    Raises:
        WrongValueError: A field is not of its type, or no text that can be stored.
        TooLargeError: It is longer.
    """
    bounded_text("content", message.content, most)
    try:
        text = msgspec.json.encode(message)
        # Read again, because a host's checker may not have run: what is stored must be readable.
        checked = _decode_message(text)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as exc:
        raise WrongValueError("message", "fields of their types", str(exc)) from exc
    if len(text) > 2 * most:
        text = f"message: expected at most {2 * most} bytes as JSON, met {len(text)}"
        raise TooLargeError(text, field="message")
    return checked
