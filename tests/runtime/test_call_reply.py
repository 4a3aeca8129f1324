"""The reply that turns a session's answer into a frame: one answer for every request, whatever happens."""

import json
from typing import Any

import msgspec
import pytest
from greenroom.actors.errors import BusyError
from greenroom.runtime.call_reply import CallReply
from greenroom.runtime.info import utc
from greenroom.runtime.reports import AnswerFailed


class Asked:
    """A request, what it was answered, and what was reported."""

    def __init__(self, result: Any = dict) -> None:  # noqa: ANN401 - any callable
        self.frames: list[dict[str, Any]] = []
        self.reports: list[msgspec.Struct] = []
        self.reply = CallReply(self._send, "r1", result, self.reports.append)

    def _send(self, text: str) -> None:
        self.frames.append(json.loads(text))

    @property
    def answer(self) -> dict[str, Any]:
        (frame,) = self.frames
        assert (frame["jsonrpc"], frame["id"]) == ("2.0", "r1")
        return frame


def test_a_value_is_answered_with_the_result_it_makes_and_an_error_by_its_name() -> None:
    asked = Asked(lambda value: {"twice": 2 * value})
    asked.reply.resolve(4)
    assert asked.answer["result"] == {"twice": 8}
    asked = Asked()
    asked.reply.reject(BusyError("session: expected room, met none", retry_after=0.5))
    assert asked.answer["error"]["data"] == {"name": "busy", "retryable": True, "retry_after_ms": 500}
    assert asked.reports == []


def fails(_: object) -> None:
    raise BusyError("secret", retry_after=1.0)


@pytest.mark.parametrize(
    ("result", "value", "kind"),
    [
        (lambda at: {"at": utc(at)}, -(2**62), "ValueError"),
        (lambda value: value, object(), "TypeError"),
        (lambda value: {"title": value}, "secret \ud800", "UnicodeEncodeError"),
        (lambda value: value["secret"], {}, "KeyError"),
        (fails, "secret", "BusyError"),
    ],
)
def test_a_result_that_cannot_be_made_is_answered_as_internal_error_and_reported_without_its_text(
    result: Any,  # noqa: ANN401 - any callable
    value: object,
    kind: str,
) -> None:
    asked = Asked(result)
    asked.reply.resolve(value)
    assert asked.answer["error"]["data"] == {"name": "internal_error", "retryable": False}
    (report,) = asked.reports
    assert isinstance(report, AnswerFailed)
    assert report.error == kind
    assert ".py:" in report.where
    assert "secret" not in f"{report}{asked.answer}"


def test_an_error_that_cannot_be_told_is_answered_as_internal_error() -> None:
    asked = Asked()
    asked.reply.reject(BusyError("no room for \ud800"))
    assert asked.answer["error"]["data"]["name"] == "internal_error"
    assert len(asked.reports) == 1


def test_a_request_is_answered_once_also_if_its_first_answer_could_not_be_made() -> None:
    asked = Asked(lambda value: value)
    asked.reply.resolve(object())
    asked.reply.resolve(1)
    asked.reply.reject(BusyError("late", retry_after=1.0))
    assert asked.answer["error"]["data"]["name"] == "internal_error"
