"""Who is told when a conversation ends: the host's hooks, in order, each within its time.

Theory of operation. Every call of a hook runs in a task of its own, guarded, in a nursery that its caller
gives. When its time is up the call is cancelled; a little later, if it has still not ended, nobody waits for
it any longer: code that shields itself from cancellation cannot be stopped, only left behind. Few may be left
behind: each keeps the snapshot of its end in memory.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import trio

from ..persistence.records import Ending, EndReason
from .reports import HookFailed, HookSkipped, HookWouldNotStop, Reporter, describe, guarded

HOOK_SECONDS = 10.0  # what one hook may take over one end
GRACE = 1.0  # seconds for a hook that was cancelled to end
MAX_STUCK = 8  # calls of one hook that would not stop, above which it is told of no further end


class SessionHook(Protocol):
    """Wants to know when a conversation ends.

    A hook may call the runtime, but not wait there for another end to be told: that end may wait for it.
    """

    async def on_session_end(self, ending: Ending, reason: EndReason) -> None:
        """Hear of an end that is committed already.

        Called once for an end, or again with the same ``end_id`` if the process died before every hook had
        been told. ``ending`` is a copy of its own.
        """
        ...


class Listener:
    """A registered hook, and its calls that would not stop."""

    __slots__ = ("hook", "name", "stuck")

    def __init__(self, hook: SessionHook) -> None:
        self.hook = hook
        self.name = type(hook).__name__
        self.stuck: set[trio.Event] = set()


class HookManager:
    """Tells hooks of ends.

    Args:
        report: Told of hooks that fail; by class and place, never by what was said. The log is, otherwise.
        seconds: What one hook may take over one end.
    """

    def __init__(self, report: Reporter | None = None, *, seconds: float = HOOK_SECONDS) -> None:
        self._report = guarded(_log if report is None else report)
        self._seconds = seconds
        self._listeners: tuple[Listener, ...] = ()
        self._watcher: Callable[[], None] | None = None

    @property
    def listeners(self) -> Sequence[Listener]:
        """The registered hooks, in their order."""
        return self._listeners

    def register(self, hook: SessionHook) -> None:
        """Tell a hook of every end from now on, after those that were registered before."""
        self._listeners += (Listener(hook),)
        if self._watcher is not None:
            self._watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher``, which must not block, whenever a hook is registered."""
        self._watcher = watcher

    async def trigger_session_end(self, ending: Ending) -> None:
        """Tell each hook in order; failures and timeouts are reported, never raised.

        A hook that would not stop does not keep those behind it waiting, but this call ends after it has.
        """
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                await self.tell(listener, ending, nursery)

    async def tell(self, listener: Listener, ending: Ending, nursery: trio.Nursery) -> None:
        """Tell one hook; returns when it has ended, or has had its time and would not stop.

        Args:
            listener: The hook.
            ending: What it is told.
            nursery: Where its call runs, and stays if it would not stop.
        """
        if len(listener.stuck) >= MAX_STUCK:
            self._report(HookSkipped(ending.session, ending.end_id, listener.name))
            return
        ended = trio.Event()
        nursery.start_soon(self._call, listener, ending, ended, name=f"hook {listener.name}")
        with trio.move_on_after(self._seconds + GRACE):
            await ended.wait()
        if not ended.is_set():
            listener.stuck.add(ended)
            self._report(HookWouldNotStop(ending.session, ending.end_id, listener.name))

    async def _call(self, listener: Listener, ending: Ending, ended: trio.Event) -> None:
        scope = trio.CancelScope(deadline=trio.current_time() + self._seconds)
        # The guard stands outside the scope: only the scope can take the cancellation out of a group that a
        # hook with a nursery of its own raises. The star: a shutdown may cancel that nursery as well, and the
        # hook's error would leave in a group that no plain clause catches.
        try:
            with scope:
                await listener.hook.on_session_end(_copy(ending), ending.reason)
        except* Exception as failures:  # noqa: BLE001 - the host's code: its failure ends this call only
            self._failed(listener, ending, *describe(failures))
        finally:
            if scope.cancel_called and ended not in listener.stuck:
                self._failed(listener, ending, f"expected its end within {self._seconds:g} s, met none", "")
            listener.stuck.discard(ended)
            ended.set()

    def _failed(self, listener: Listener, ending: Ending, error: str, where: str) -> None:
        self._report(HookFailed(ending.session, ending.end_id, listener.name, error, where))


def _copy(ending: Ending) -> Ending:
    """The end with a dictionary of its own, so that a hook that writes into it changes nobody's else."""
    facts = msgspec.structs.replace(ending.facts, custom_data=dict(ending.facts.custom_data))
    return msgspec.structs.replace(ending, facts=facts)


def _log(report: msgspec.Struct) -> None:
    logging.getLogger("greenroom").warning("%s", report)
