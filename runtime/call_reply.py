"""The reply that a session gives to a request of the wire: it becomes the answer's frame."""

from collections.abc import Callable
from typing import Any

from ..actors.reports import Reporter, describe
from .encoding import error_frame, result_frame
from .observability import log_report
from .protocol import RequestId
from .reports import AnswerFailed

_FAULT = Exception("answer: expected a frame, met an error")  # not ours, so `internal_error` on the wire


class CallReply:
    """Gives one request its answer, once.

    An answer that cannot be made into a frame becomes ``internal_error``, and is reported: whoever asked must
    not wait for ever, and the session that answers has done nothing wrong.

    Args:
        send: Takes the frame; called in the step in which the session answers.
        request_id: The request's id.
        result: Turns the value into the wire result.
        report: Told of an answer that could not be made.
    """

    __slots__ = ("_is_answered", "_report", "_request_id", "_result", "_send")

    def __init__(
        self,
        send: Callable[[str], None],
        request_id: RequestId,
        result: Callable[[Any], Any],
        report: Reporter = log_report,
    ) -> None:
        self._send = send
        self._request_id = request_id
        self._result = result
        self._report = report
        self._is_answered = False

    def resolve(self, value: object, /) -> None:
        """Send the result that the value makes."""
        self._answer(lambda: result_frame(self._request_id, self._result(value)))

    def reject(self, error: Exception, /) -> None:
        """Send an error."""
        self._answer(lambda: error_frame(self._request_id, error))

    def _answer(self, text: Callable[[], str]) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        try:
            answer = text()
        except Exception as error:  # noqa: BLE001 - whatever it is, the request gets an answer
            self._report(AnswerFailed(*describe(error)))
            answer = error_frame(self._request_id, _FAULT)
        self._send(answer)
