"""The reply that a session gives to a request of the wire: it becomes the answer's frame."""

from collections.abc import Callable
from typing import Any

from .encoding import error_frame, result_frame
from .protocol import RequestId


class CallReply:
    """Gives one request its answer, once.

    Args:
        send: Takes the frame; called in the step in which the session answers.
        request_id: The request's id.
        result: Turns the value into the wire result.
    """

    __slots__ = ("_is_answered", "_request_id", "_result", "_send")

    def __init__(
        self, send: Callable[[str], None], request_id: RequestId, result: Callable[[Any], Any]
    ) -> None:
        self._send = send
        self._request_id = request_id
        self._result = result
        self._is_answered = False

    def resolve(self, value: object, /) -> None:
        """Send the result that the value makes."""
        self._answer(lambda: result_frame(self._request_id, self._result(value)))

    def reject(self, error: Exception, /) -> None:
        """Send an error."""
        self._answer(lambda: error_frame(self._request_id, error))

    def _answer(self, text: Callable[[], str]) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._send(text())
