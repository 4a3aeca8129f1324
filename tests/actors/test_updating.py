"""Facts that people and hosts set: what is stored of a change, and what is refused."""

import pytest
from greenroom.actors.commands import Update
from greenroom.actors.effects import AnswerFacts
from greenroom.actors.errors import SessionNotFoundError, TooLargeError
from greenroom.actors.reply import ReplySlot
from greenroom.persistence.records import SessionFacts, SessionUpdated

from tests.actors.play import Play


def changing(*, create: bool = True, **changes: object) -> Update:
    return Update(lambda _: SessionUpdated(**changes), ReplySlot(), create)  # type: ignore[arg-type]


def facts(play: Play) -> SessionFacts:
    assert play.state.facts is not None
    return play.state.facts


def test_given_facts_replace_and_absent_ones_stay() -> None:
    play = Play()
    play.take(changing(title="tea", tags=("a", "b")))
    play.take(changing(custom_data={"k": "v"}, system_prompt="be kind", summary="so far"))
    assert (facts(play).title, facts(play).tags, facts(play).custom_data) == ("tea", ("a", "b"), {"k": "v"})
    assert (facts(play).system_prompt, facts(play).summary) == ("be kind", "so far")
    assert [entry.body for entry in play.journal] == [
        SessionUpdated(title="tea", tags=("a", "b")),
        SessionUpdated(custom_data={"k": "v"}, system_prompt="be kind", summary="so far"),
    ]


def test_only_what_really_changes_is_stored() -> None:
    play = Play()
    play.take(changing(title="tea", tags=("a",)))
    play.take(changing(title="tea", tags=("b",)))
    play.take(changing(title="tea", tags=("b",)))
    assert [entry.body for entry in play.journal[1:]] == [SessionUpdated(tags=("b",))]
    assert isinstance(play.last.effects[0], AnswerFacts)


def test_an_update_is_no_activity() -> None:
    play = Play()
    play.send("a")
    play.end()
    before = facts(play).last_active_at
    play.take(changing(title="tea"))
    assert facts(play).last_active_at == before


def test_a_change_is_made_from_the_facts_as_they_are() -> None:
    play = Play()
    for tag in ("a", "b"):
        play.take(Update(lambda now, tag=tag: SessionUpdated(tags=(*now.tags, tag)), ReplySlot()))
    assert facts(play).tags == ("a", "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "é" * 501),
        ("summary", "x" * 1001),
        ("system_prompt", "x" * 1001),
        ("tags", tuple(map(str, range(101)))),
        ("custom_data", {"k": "x" * 64 * 1024}),
    ],
)
def test_what_is_too_large_is_refused_by_its_name(field: str, value: object) -> None:
    play = Play()
    with pytest.raises(TooLargeError) as caught:
        play.take(changing(**{field: value}))
    assert caught.value.field == field
    assert play.state.facts is None


def test_a_missing_session_is_created_only_if_asked() -> None:
    play = Play()
    with pytest.raises(SessionNotFoundError):
        play.take(changing(create=False, title="tea"))
    play.take(changing())
    assert facts(play).head_seq == 0
