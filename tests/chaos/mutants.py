"""Servers with a bug each, to prove that the history checker would see it: ``python mutants.py BUG serve …``.

- ack-before-commit: a message is acked, and only then handed to the writer.
- no-deduplication: a message sent again is stored again.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import trio
from greenroom.actors.effects import Answer
from greenroom.actors.recall import Recall
from greenroom.actors.session import Session
from greenroom.persistence import migrations
from greenroom.runtime.cli import main

# Longer than a commit takes, so that some kill falls between ack and commit: the system's page cache would
# save a commit that had begun.
LATE_SECONDS = 0.02


def ack_before_commit() -> None:
    """Answer first, append later."""
    append = Session._append

    async def answer_then_append(self, taken):  # noqa: ANN001, ANN202 - the signature of what it replaces
        for effect in taken.effects:
            if isinstance(effect, Answer):
                effect.reply.resolve(effect.value)
        await trio.sleep(LATE_SECONDS)
        return await append(self, taken)

    adopt = Session._adopt

    def adopt_without_answers(self, taken, committed):  # noqa: ANN001, ANN202 - the same
        unanswered = tuple(effect for effect in taken.effects if not isinstance(effect, Answer))
        adopt(self, replace(taken, effects=unanswered), committed)

    Session._append = answer_then_append
    Session._adopt = adopt_without_answers


def no_deduplication() -> None:
    """Forget client ids in memory, and have no unique index that remembers them."""
    Recall.know = lambda _self, _entry: None
    migrations._INDEXES = tuple(sql for sql in migrations._INDEXES if "journal_client_id" not in sql)


BUGS: dict[str, Callable[[], None]] = {
    "ack-before-commit": ack_before_commit,
    "no-deduplication": no_deduplication,
}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
