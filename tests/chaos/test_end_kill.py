"""Fault F1 for the ends of conversations: whenever the process is killed, each is told, and is one end."""

import math
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.chaos.checker import Violation
from tests.chaos.host import CALLS, MESSAGES, Answer, Host, Op, Row, Stored, Tale, Told, op_of, read_back

KILLS = int(os.environ.get("KILLS", "25"))
SESSIONS = 20
LIFE_SECONDS = (0.0, 0.9)  # from when it takes orders; only then it tells what the life before left over
LAST_LIFE_SECONDS = 1.0
FOLLOWED = {"new", "reset"}


def check(name: str, tale: Tale) -> list[Violation]:
    """Every broken promise in the tale of a session."""
    first: dict[str, Told] = {}
    others = [told.end_id for told in tale.told if first.setdefault(told.end_id, told) != told]
    found = [("event mismatch", f"{end_id} was told with other contents") for end_id in others]
    committed = sorted(first.values(), key=lambda end: (end.created_at, end.head))
    if committed != list(first.values()):
        found.append(("reordered", "ends were told in another order than they were committed"))
    found += _check_epochs(committed, tale.stored)
    if tale.stored is not None:
        found += _check_journal(tale.stored, first, tale.ops)
    found += _check_messages(tale, {end.tag for end in committed if end.reason == "delete"})
    found += _check_causes(tale, committed)
    return [Violation(kind, name, what) for kind, what in found]


def _check_epochs(committed: list[Told], stored: Stored | None) -> Iterator[tuple[str, str]]:
    """Each epoch was ended once, no two ends lie at one place, and nothing follows a deletion."""
    for tag, ends in groupby(committed, key=lambda end: end.tag):
        epoch, head, is_over = 1, -1, False
        for end in ends:
            if end.epoch < epoch or end.head == head or is_over:
                yield "duplicated", f"{end.end_id}: epoch {end.epoch} of {tag} had ended"
            elif end.epoch > epoch:
                yield "lost", f"no end was told of epoch {epoch} of {tag}"
            epoch, head = end.epoch + (end.reason in FOLLOWED), end.head
            is_over = end.reason == "delete"
        if stored is not None and stored.tag == tag and stored.epoch != epoch:
            yield "lost", f"{tag} stands in epoch {stored.epoch}, the ends told lead to {epoch}"


def _check_journal(stored: Stored, told: dict[str, Told], ops: list[Op]) -> Iterator[tuple[str, str]]:
    """The journal is dense, its ends are those that were told, its messages those that were sent."""
    known = {op.order.client_id for op in ops if op.order.client_id} | {None}
    mine = {end_id for end_id, end in told.items() if end.tag == stored.tag}
    said: Counter[int] = Counter()
    emptied = 0  # messages that the end which comes next took out of the queue: its snapshot has them
    for expected, row in enumerate(stored.rows, start=1):
        if row.seq != expected:
            yield "gap", f"expected seq {expected}, met {row.seq}"
        if row.client_id not in known:
            yield "foreign", f"seq {row.seq} has client id {row.client_id}, never sent here"
        kind = row.body["kind"]
        said[row.epoch] += kind == "message"
        emptied = len(row.body["seqs"]) if kind == "queue.removed" else emptied
        if kind == "session.ended":
            end = told.get(row.body["end_id"])
            mine.discard(row.body["end_id"])
            place = (stored.tag, row.epoch, row.seq - 1, row.body["reason"], said[row.epoch])
            if end is None:
                yield "lost", f"{row.body['end_id']} is stored and was told to nobody"
            elif (end.tag, end.epoch, end.head, end.reason, end.messages) != place:
                yield "seq mismatch", f"{end.end_id} was told otherwise than it is stored"
        if kind not in ("queue.removed", "command"):
            said[row.epoch] -= emptied
            emptied = 0
    for end_id in mine:
        yield "lost", f"{end_id} ({told[end_id].reason}) was told and is not stored"


def _check_messages(tale: Tale, deleted: set[str]) -> Iterator[tuple[str, str]]:
    """Every acked message is stored once under its ack, unless its session was deleted later."""
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in tale.stored.rows if tale.stored else ():
        rows[row.client_id or ""].append(row)
    for op in tale.ops:
        answer, client_id = op.answer, op.order.client_id
        if answer is None or answer.error:
            continue
        if answer.duplicate and op.attempts == 1:
            yield "duplicated", f"{client_id} was acked as a duplicate and sent once"
        if tale.stored is None or answer.tag != tale.stored.tag:
            if answer.tag not in deleted:
                yield "lost", f"{answer.tag} is gone, and no deletion was told"
        elif client_id:
            met = rows[client_id]
            places = [(f"{row.epoch}-{answer.tag}", row.seq) for row in met]
            if places != [answer.stored_as]:
                kind = "duplicated" if len(met) > 1 else "seq mismatch" if met else "lost"
                yield kind, f"{client_id}: acked {answer.stored_as}, stored {places}"
            elif met[0].body.get("content", f"/{met[0].body.get('name')}") != op.order.text:
                yield "id mismatch", f"{client_id} is stored with another content"


def _check_causes(tale: Tale, committed: list[Told]) -> Iterator[tuple[str, str]]:
    """Every end has its cause, and every acked cause its end: both are gone through in order.

    Ends that no answer accounts for must be those of what was done without an answer since the last one.
    """
    past, open_reasons, gone, tag, may_be_back = 0, list[str](), set[str](), "", False
    born = {end.tag: end.created_at for end in committed}  # a row of which no end is told is the last
    for op in tale.ops:
        answer, reason = op.answer, op.order.reason
        if answer is None:
            open_reasons += [reason] if reason else []
            may_be_back = may_be_back or op.order.verb == "get_or_create"
            continue
        if answer.error:
            gone, may_be_back = gone | {tag}, False
            continue
        if answer.tag in gone:
            yield "lost", f"the deletion of {answer.tag} was answered, and it is there again"
        tag, may_be_back = answer.tag, False
        place = (born.get(tag, math.inf), answer.head)
        upto = sum((end.created_at, end.head) < place for end in committed)
        caused = [n for n, end in enumerate(committed) if reason and _is_of(end, reason, answer)]
        if reason and len(caused) != 1:
            yield ("lost" if not caused else "duplicated"), f"{reason} of {tag}: {len(caused)} ends were told"
            caused = []
        # An archived session that is archived again is answered with the end it has.
        is_new = bool(caused) and (caused[0] >= past or reason != "archive")
        gap = committed[past : caused[0] if is_new else upto]
        if (is_new and caused[0] < past) or not _is_explained(gap, open_reasons):
            yield "foreign", f"{[end.end_id for end in gap]} before {op.order}: nobody ended that"
        past, open_reasons = max(past, caused[0] + 1 if is_new else upto), []
        gone |= {tag} if reason == "delete" else set()
    if not _is_explained(committed[past:], open_reasons):
        yield "foreign", f"{[end.end_id for end in committed[past:]]} at the end: nobody ended that"
    if tale.stored is not None and (tale.stored.tag in gone or (tag in gone and not may_be_back)):
        yield "lost", f"the deletion of {tag} was answered, and {tale.stored.tag} is stored"


def _is_of(end: Told, reason: str, answer: Answer) -> bool:
    """Whether an end is the one that an answer speaks of."""
    if (end.tag, end.reason) != (answer.tag, reason):
        return False
    if reason == "archive":
        return end.at == answer.archived_at
    return reason == "delete" or end.epoch == answer.epoch - 1


def _is_explained(ends: Iterable[Told], reasons: Iterable[str]) -> bool:
    left = iter(reasons)
    return all(end.reason in left for end in ends)


async def play(host: Host, name: str, tale: Tale, numbers: Iterator[int], enough: trio.Event) -> None:
    """Do one thing after the other to one session; what has a client id is done again until it is acked."""
    chance = random.Random(name)  # noqa: S311 - no secret
    while not enough.is_set():
        op = op_of(chance.choice(MESSAGES + CALLS), next(numbers), name)
        tale.ops.append(op)
        while op.answer is None and (op.order.client_id or not op.attempts):
            op.attempts += 1
            op.answer = await host.ask(op.order)


async def carry_out(folder: Path, agent: str, kills: int) -> tuple[dict[str, Tale], Host, int]:
    """Play with every session while the host is killed, end it cleanly and read everything back."""
    tales = {f"{agent}:chaos:peer{number}": Tale() for number in range(SESSIONS)}
    host, numbers, enough = Host(folder, agent), count(1), trio.Event()
    chance = random.Random(agent)  # noqa: S311 - no secret
    try:
        with trio.fail_after(60 + 5 * kills):
            async with trio.open_nursery() as lives:
                async with trio.open_nursery() as players:
                    for name, tale in tales.items():
                        players.start_soon(play, host, name, tale, numbers, enough)
                    for _ in range(kills):
                        await lives.start(host.live)
                        await trio.sleep(chance.uniform(*LIFE_SECONDS))
                        await host.kill()
                    await lives.start(host.live)
                    await trio.sleep(LAST_LIFE_SECONDS)
                    enough.set()
                code = await host.stop()
    finally:
        host.abandon()
    read_back(host.db, host.told, tales)
    return tales, host, code


@pytest.mark.parametrize("agent", ["echo", "none"])
async def test_kills_lose_double_and_reorder_no_end(
    tmp_path: Path, agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tales, host, code = await carry_out(tmp_path, agent, KILLS // 2)
    answers = [op.answer for tale in tales.values() for op in tale.ops]
    told = Counter(told.end_id for tale in tales.values() for told in tale.told)
    figures = f"{KILLS // 2} kills, {len(answers)} ops, {answers.count(None)} unanswered, {len(told)} ends"
    with capsys.disabled():
        print(f"\n{agent}: {figures}, {sum(n > 1 for n in told.values())} told again")  # noqa: T201 - for people
    assert [violation for name, tale in tales.items() for violation in check(name, tale)] == []
    assert (code, host.log.read_text()) == (0, "")


def forged(script: list[tuple[str, str]]) -> Tale:
    """What a faultless host leaves: each is done and answered, or killed before or after it took effect."""
    tale, row, created, archived_at = Tale(), None, 0, None
    for number, (what, fate) in enumerate(script, start=1):
        op = op_of(what, number, "s")
        order = op.order
        tale.ops.append(op)
        if not order.client_id and (fate == "before" or (row is None and what != "get_or_create")):
            op.answer = Answer(number, "not_found") if fate == "answered" else None
            continue
        if row is None:
            created, row = number, Stored(f"t{number}", 1)
        place = (f"{row.epoch}-{row.tag}", len(row.rows) + 1)
        if order.client_id:
            key = "content" if what == "words" else "name"
            body = {"kind": "message" if what == "words" else "command", key: order.text.removeprefix("/")}
            row.rows.append(Row(place[1], row.epoch, order.client_id, body))
            archived_at = None if what == "words" else archived_at
        epoch, head, reason = row.epoch, len(row.rows), order.reason
        if reason and not (reason == "archive" and archived_at):
            said = sum("content" in each.body and each.epoch == epoch for each in row.rows)
            tale.told.append(Told(f"e{number}", "s", reason, said, number, row.tag, created, epoch, head))
            body = {"kind": "session.ended", "end_id": f"e{number}", "reason": reason}
            row.rows += [Row(head + 1, epoch, None, body)] if reason != "delete" else []
            row.epoch, archived_at = epoch + (reason in FOLLOWED), number if reason == "archive" else None
            head = len(row.rows)
        if fate == "answered" or order.client_id:
            again, facts = bool(order.client_id) and fate == "after", (row.tag, row.epoch, head)
            op.answer = Answer(number, "", place, again, *facts, archived_at)
            op.attempts = 1 + again
        row = None if reason == "delete" else row
    tale.stored = row
    return tale


fates = st.sampled_from(["answered", "before", "after"])


@given(st.lists(st.tuples(st.sampled_from(MESSAGES + CALLS), fates)))
def test_a_faultless_tale_has_no_violation(script: list[tuple[str, str]]) -> None:
    tale = forged(script)
    tale.told += tale.told[:1]  # once more by a later life
    assert check("s", tale) == []


def put(items: list[Any], at: int, **changes: object) -> None:
    """Make one item another."""
    items[at] = replace(items[at], **changes)


# Ends e2, e4 and e5, the deletion; then, of another row, e7, which is not answered, and e9.
SCRIPT = ["words", "/new", "words", "reset", "delete", "words", "reset", "words", "archive"]
FATES = ["answered", "after", *4 * ["answered"], "after", *2 * ["answered"]]
DAMAGES: dict[str, tuple[str, Callable[[Tale], object]]] = {
    "end-of-deleted-epoch-untold": ("lost", lambda t: t.told.pop(0)),
    "deletion-untold": ("lost", lambda t: t.told.pop(2)),
    "end-of-stored-epoch-untold": ("lost", lambda t: t.told.pop(3)),
    "archiving-untold": ("lost", lambda t: t.told.pop(4)),
    "epoch-ends-twice": ("duplicated", lambda t: t.told.insert(1, replace(t.told[0], end_id="x"))),
    "archived-twice": ("foreign", lambda t: t.told.append(replace(t.told[4], end_id="x", head=9))),
    "deleted-twice": ("duplicated", lambda t: t.told.insert(3, replace(t.told[2], end_id="x", head=9))),
    "nobody-ended-it": ("foreign", lambda t: t.ops.pop(6)),
    "ended-before-asked": ("foreign", lambda t: t.ops.insert(6, t.ops.pop(7))),
    "told-otherwise": ("event mismatch", lambda t: t.told.append(replace(t.told[0], digest="x"))),
    "told-too-early": ("reordered", lambda t: t.told.insert(0, t.told.pop(1))),
    "snapshot-of-others": ("seq mismatch", lambda t: put(t.told, 3, messages=7)),
    "deletion-undone": ("lost", lambda t: t.ops.__delitem__(slice(5, 9))),
    "end-not-stored": ("lost", lambda t: t.stored.rows.pop()),
    "message-not-stored": ("lost", lambda t: put(t.stored.rows, 2, client_id=None)),
    "message-stored-twice": ("duplicated", lambda t: t.stored.rows.append(t.stored.rows[0])),
    "command-known-too-early": ("duplicated", lambda t: put(t.ops, 1, attempts=1)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_lost_or_doubled_end_is_found_and_named(name: str) -> None:
    kind, damage = DAMAGES[name]
    tale = forged(list(zip(SCRIPT, FATES, strict=True)))
    assert check("s", tale) == []
    damage(tale)
    assert kind in {violation.kind for violation in check("s", tale)}
