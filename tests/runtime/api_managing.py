"""The rows of the API table about the manager and its hooks."""

from typing import Final

from greenroom.actors.updating import MAX_TAGS
from greenroom.runtime import (
    EndReason,
    HookManager,
    SessionFilter,
    SessionID,
    SessionManager,
    SessionState,
)

from .api_place import ADA, NOBODY, Ears, Place, Row, after, ignore, refusal
from .api_sessions import SAID, listened
from .api_stores import listed


async def ended(p: Place, *reasons: EndReason) -> list[EndReason]:
    """The reasons that a hook hears of when each verb is used."""
    for reason in reasons:
        if reason is EndReason.NEW:
            await p.manager.new_session(ADA)
        else:
            await getattr(p.manager, reason.value)(ADA)
    await p.manager.get_or_create(ADA)
    await p.manager.delete(ADA)  # answers when every hook has heard of it
    return [reason for reason, _, _ in p.ears.heard]


async def got(p: Place) -> list[SessionID | None]:
    found = [await p.manager.get(session) for session in (ADA, NOBODY)]
    return [None if session is None else session.id for session in found]


async def registered(p: Place) -> list[tuple[EndReason, str, int]]:
    ears = Ears()
    p.manager.register_hook(ears)
    await p.manager.delete(ADA)
    return ears.heard


async def triggered(p: Place) -> list[tuple[EndReason, str, int]]:
    hooks, ears = HookManager(ignore), Ears()
    hooks.register(ears)

    class Teller:
        async def on_session_end(self, ending: object, _: EndReason) -> None:
            await hooks.trigger_session_end(ending)

    p.manager.register_hook(Teller())
    await p.manager.archive(ADA)
    await p.manager.delete(ADA)
    return ears.heard


MANAGER: Final = [
    Row(
        "SessionManager NewSessionManager open_manager",
        "SessionManager open_manager open_manager",
        lambda p: isinstance(p.manager, SessionManager),
        expected=True,
    ),
    Row(
        "SessionManager.GetOrCreate",
        "SessionManager.get_or_create",
        lambda p: after(p.manager.get_or_create(NOBODY), p.manager.get_messages(NOBODY)),
        (),
    ),
    Row("SessionManager.Get", "SessionManager.get", got, [ADA, None]),
    Row(
        "SessionManager.AddMessage",
        "SessionManager.add_message",
        lambda p: after(p.manager.add_message(NOBODY, SAID[0]), p.manager.get_messages(NOBODY)),
        SAID[:1],
    ),
    Row(
        "SessionManager.GetMessages",
        "SessionManager.get_messages",
        lambda p: p.manager.get_messages(ADA),
        SAID,
    ),
    Row(
        "SessionManager.Compact",
        "SessionManager.compact",
        lambda p: refusal(p.manager.compact(ADA)),
        "NotSupportedError",
    ),
    Row(
        "SessionManager.NewSession",
        "SessionManager.new_session",
        lambda p: after(p.manager.new_session(ADA), p.manager.get_messages(ADA)),
        (),
    ),
    Row(
        "SessionManager.Reset",
        "SessionManager.reset",
        lambda p: after(p.manager.reset(ADA), p.manager.get_messages(ADA)),
        (),
    ),
    Row(
        "SessionManager.Archive",
        "SessionManager.archive",
        lambda p: after(p.manager.archive(ADA), listed(p, SessionFilter(state=SessionState.ARCHIVED))),
        1,
    ),
    Row(
        "SessionManager.Delete",
        "SessionManager.delete",
        lambda p: after(p.manager.delete(ADA), p.manager.get(ADA)),
        None,
    ),
    Row(
        "SessionManager.List",
        "SessionManager.list",
        lambda p: p.manager.list(),
        lambda infos: [i.title for i in infos] == ["Tea"],
    ),
    Row("SessionManager.Recover", "SessionManager.recover", lambda p: p.manager.recover(), 0),
    Row(
        "SessionManager.RegisterHook",
        "SessionManager.register_hook",
        registered,
        [(EndReason.DELETE, "Tea", 2)],
    ),
    Row(
        "SessionManager.SetCompactorMemoryIntegration integration",
        "SessionManager.set_compactor_memory_integration SessionManager.compactor_memory_integration",
        lambda p: [p.manager.set_compactor_memory_integration(None), p.manager.compactor_memory_integration],
        [None, None],
    ),
    Row(
        "SessionManager.Stats",
        "SessionManager.stats",
        lambda p: p.manager.stats(),
        lambda stats: stats.commits > 0,
    ),
    Row(
        "SessionManager.Stop",
        "SessionManager.stop",
        lambda p: after(p.manager.stop(), after(p.manager.stop(), refusal(p.session.send("late")))),
        "ShuttingDownError",
    ),
    Row(
        "SessionManager.send",
        "SessionManager.send",
        lambda p: p.manager.send(ADA, "bye", wait="done"),
        lambda ack: ack.text == "bye",
    ),
    Row("SessionManager.cancel", "SessionManager.cancel", lambda p: p.manager.cancel(ADA), ()),
    Row("queue.clear", "SessionManager.remove_queued", lambda p: p.manager.remove_queued(ADA), ()),
    Row("SessionManager.attach", "SessionManager.attach", listened, ["Attached", "psst"]),
    Row(
        "SessionManager.search",
        "SessionManager.search",
        lambda p: p.manager.search("WORLD"),
        lambda hits: [hit.seq for hit in hits] == [3, 2],
    ),
    Row(
        "SessionManager.update",
        "SessionManager.update",
        lambda p: p.manager.update(ADA, title="Milk"),
        lambda info: info.title == "Milk",
    ),
    Row(
        "SessionManager.change",
        "SessionManager.change",
        lambda p: refusal(p.manager.update(ADA, tags=[str(n) for n in range(MAX_TAGS + 1)])),
        "TooLargeError",
    ),
    Row(
        "SessionManager.info",
        "SessionManager.info",
        lambda p: p.manager.info(ADA),
        lambda info: info.peer_id == "ada",
    ),
    Row(
        "SessionManager.facts",
        "SessionManager.facts",
        lambda p: p.manager.facts(ADA),
        lambda facts: facts.epoch == 1,
    ),
    Row("SessionManager.detach_all", "SessionManager.detach_all", lambda p: p.manager.detach_all(), None),
    Row(
        "SessionManager.set_state",
        "SessionManager.set_state",
        lambda p: refusal(p.manager.set_state(ADA, SessionState.COMPACTING)),
        "nothing",
    ),
    *(
        Row(
            f"SessionManagerStats.{published}",
            f"SessionManagerStats.{published}",
            lambda p: p.manager.stats(),
            lambda stats, name=published, value=value: getattr(stats, name) == value,
        )
        for published, value in [
            ("total_sessions", 1),
            ("active_sessions", 1),
            ("idle_sessions", 0),
            ("archived_sessions", 0),
            ("total_messages", 2),
            ("total_tokens", 4),
            ("live_actors", 1),
            ("mailbox_depth", 0),
        ]
    ),
    Row(
        "SessionManagerStats commits appends",
        "SessionManagerStats SessionManagerStats.commits SessionManagerStats.appends",
        lambda p: p.manager.stats(),
        lambda stats: stats.appends >= stats.commits > 0,
    ),
]

_ENDS = (EndReason.NEW, EndReason.RESET, EndReason.ARCHIVE, EndReason.DELETE)

HOOKS: Final = [
    Row(
        "SessionHook SessionHook.OnSessionEnd EndReason EndReasonNew EndReasonReset EndReasonArchive "
        "EndReasonDelete",
        "SessionHook SessionHook.on_session_end EndReason EndReason.NEW EndReason.RESET EndReason.ARCHIVE "
        "EndReason.DELETE",
        lambda p: ended(p, *_ENDS),
        [*_ENDS, EndReason.DELETE],
    ),
    Row("EndReasonTimeout", "EndReason.TIMEOUT", lambda _: EndReason("timeout"), EndReason.TIMEOUT),
    Row(
        "HookManager NewHookManager HookManager.Register HookManager.TriggerSessionEnd",
        "HookManager HookManager HookManager.register HookManager.trigger_session_end",
        triggered,
        [(EndReason.ARCHIVE, "Tea", 2), (EndReason.DELETE, "Tea", 2)],
    ),
]

ROWS: Final = [*MANAGER, *HOOKS]
