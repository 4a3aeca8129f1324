"""A hand that writes to a store the way a session does, with little to say."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from greenroom.persistence import SessionStore
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Append, Body, Entry, Message, SessionFacts, TurnFinished

NOW = 1_800_000_000_000_000


def facts(peer: str = "ann", *, at: int = NOW, **given: Any) -> SessionFacts:  # noqa: ANN401 - any field
    values = {"id": SessionID("echo", "web", peer), "tag": "t1", "created_at": at, "updated_at": at}
    return SessionFacts(**{**values, "last_active_at": at, **given})


def entry(seq: int, body: Body | str = "hello", *, epoch: int = 1, **given: Any) -> Entry:  # noqa: ANN401 - any field
    return Entry(seq, epoch, NOW, Message("user", body) if isinstance(body, str) else body, **given)


def finished(*seqs: int, **given: Any) -> TurnFinished:  # noqa: ANN401 - any field
    return TurnFinished(seqs, "end_turn", **given)


def append(base: SessionFacts, *entries: Entry, **changes: Any) -> Append:  # noqa: ANN401 - any field
    head_seq = base.head_seq + len(entries)
    return Append(msgspec.structs.replace(base, head_seq=head_seq, **changes), base.head_seq, entries)


def stored(store: SessionStore, what: Append) -> SessionFacts:
    (answer,) = store.commit([what])
    assert isinstance(answer, SessionFacts), answer
    return answer


def write(store: SessionStore, base: SessionFacts, *bodies: Body | str, **changes: Any) -> SessionFacts:  # noqa: ANN401 - any field
    epoch = changes.get("epoch", base.epoch)
    entries = [entry(seq, body, epoch=epoch, tokens=10) for seq, body in enumerate(bodies, base.head_seq + 1)]
    return stored(store, append(base, *entries, **changes))


def die_at(call: int, work: Callable[[], object]) -> None:
    """Do some work in a child that is killed before its C call number ``call``."""
    child = os.fork()
    if child == 0:
        count = 0

        def watch(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "c_call"
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        work()
        os._exit(0)
    os.waitpid(child, 0)
