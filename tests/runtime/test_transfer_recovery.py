"""What was under way in one store, carried into another: answered or told there, once."""

from pathlib import Path

from greenroom.actors.commands import Snapshot
from greenroom.actors.turn import Agent, Turn
from greenroom.persistence import InMemorySessionStore, SQLiteSessionStore
from greenroom.persistence.records import Entry, Message, SessionFacts, TurnFinished, TurnMark
from greenroom.runtime.config import Config
from greenroom.runtime.embedding import open_manager
from greenroom.runtime.transfer import import_lines

from tests.persistence import hand
from tests.runtime.stored_sessions import exported


async def repeat(turn: Turn) -> None:
    await turn.say(turn.messages[-1].content)


CAREFUL = Agent("careful", repeat, on_interrupt="finish")


def carried(place: Path) -> SessionFacts:
    """A session in a database: its first message was being answered, its second one waits."""
    source = InMemorySessionStore()
    mark = TurnMark("t9", 1, (1,))
    hand.write(source, hand.facts(turn=mark, message_count=2), "first", "second", pending=(1, 2))
    store = SQLiteSessionStore(place)
    (facts,) = import_lines(store, exported(source))
    store.close()
    return facts


def journal(place: Path, facts: SessionFacts) -> list[Entry]:
    store = SQLiteSessionStore(place, readonly=True)
    entries = list(store.entries(facts.id, 2, 99))
    store.close()
    return entries


async def test_an_imported_session_is_answered_and_its_cut_off_turn_is_told_once(tmp_path: Path) -> None:
    place = tmp_path / "new.db"
    facts = carried(place)
    for _ in range(2):
        async with open_manager(Config(db=str(place)), agent=CAREFUL) as manager:
            await manager.send(facts.id, "second", client_id="m", wait="done")
    bodies = [(entry.turn_id == "t9", entry.body) for entry in journal(place, facts)]
    ends = [body for is_old, body in bodies if is_old]
    assert ends == [TurnFinished((1,), "interrupted")]
    said = [body.content for _, body in bodies if isinstance(body, Message) and body.role == "assistant"]
    assert said == ["second", "second"]  # to the message that waited, and to the one sent after it


async def test_a_client_of_the_session_before_is_given_a_snapshot(tmp_path: Path) -> None:
    place = tmp_path / "new.db"
    facts = carried(place)
    async with (
        open_manager(Config(db=str(place), agent="none")) as manager,
        manager.attach(facts.id, after=("1-t1", 2)) as attachment,
    ):
        assert isinstance(attachment.attached.backlog, Snapshot)
