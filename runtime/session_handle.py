"""The host's handle on one session."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, Literal

from ..actors.commands import Ack, Expected, SendMode
from ..persistence.ids import SessionID
from ..persistence.records import Message, SessionFacts, SessionState
from .attachment import Attachment
from .info import SessionInfo, SessionMetadata, session_metadata
from .updates import custom_data_set, tag_added, tag_removed

if TYPE_CHECKING:
    from .manager import SessionManager

AS_IT_IS: Final = Expected()
"""Nothing is expected of a session but that it exists."""


class Session:
    """A cheap handle: its methods ask the session's actor or the store, and return immutable values.

    Every method but `add_message` and `send` raises `SessionNotFoundError` if the session does not exist any
    more, and each may raise `UnavailableError`; those that change something also `BusyError`,
    `QuarantinedError` and `ShuttingDownError`.

    Attributes:
        id: Whose handle it is.
    """

    def __init__(self, session: SessionID, manager: "SessionManager") -> None:
        self.id = session
        self._manager = manager

    async def add_message(self, message: Message) -> int:
        """As `SessionManager.add_message`."""
        return await self._manager.add_message(self.id, message)

    async def send(
        self,
        content: str,
        *,
        client_id: str | None = None,
        mode: SendMode = "followup",
        wait: Literal["durable", "done"] = "durable",
    ) -> Ack:
        """As `SessionManager.send`."""
        return await self._manager.send(self.id, content, client_id=client_id, mode=mode, wait=wait)

    async def cancel(self, turn_id: str | None = None) -> tuple[str, ...]:
        """As `SessionManager.cancel`."""
        return await self._manager.cancel(self.id, turn_id)

    def attach(self, after: tuple[str, int] | None = None) -> AbstractAsyncContextManager[Attachment]:
        """As `SessionManager.attach`."""
        return self._manager.attach(self.id, after)

    async def messages(self) -> tuple[Message, ...]:
        """As `SessionManager.get_messages`."""
        return await self._manager.get_messages(self.id)

    async def clear(self) -> None:
        """As `reset`: messages and summary leave the context, the rest stays."""
        await self._manager.reset(self.id)

    async def new_session(self, expected: Expected = AS_IT_IS) -> None:
        """As `SessionManager.new_session`; this handle is the new session's too."""
        await self._manager.new_session(self.id, expected)

    async def reset(self, expected: Expected = AS_IT_IS) -> None:
        """As `SessionManager.reset`."""
        await self._manager.reset(self.id, expected)

    async def archive(self, expected: Expected = AS_IT_IS) -> None:
        """As `SessionManager.archive`."""
        await self._manager.archive(self.id, expected)

    async def delete(self, expected: Expected = AS_IT_IS) -> None:
        """As `SessionManager.delete`."""
        await self._manager.delete(self.id, expected)

    async def state(self) -> SessionState:
        """Where the conversation stands."""
        return (await self._facts()).state

    async def set_state(self, state: SessionState) -> None:
        """Go on to a state.

        Raises:
            ConflictError: The table of transitions has no row for it.
        """
        await self._manager.set_state(self.id, state)

    async def is_active(self) -> bool:
        """Whether the state is active."""
        return await self.state() is SessionState.ACTIVE

    async def token_count(self) -> int:
        """Tokens of the live context."""
        return (await self._facts()).token_count

    async def max_tokens(self) -> int:
        """Tokens that the live context may have."""
        return (await self.info()).max_tokens

    async def token_usage_ratio(self) -> float:
        """The used share of `max_tokens`; above 1 if it is exceeded."""
        return (await self.info()).token_usage

    async def title(self) -> str:
        """Its name for people; empty if it has none."""
        return (await self._facts()).title

    async def set_title(self, title: str) -> None:
        """Name it; at most 1,000 characters."""
        await self._manager.update(self.id, title=title)

    async def summary(self) -> str:
        """What stands for messages that left the context; empty if none did."""
        return (await self._facts()).summary

    async def set_summary(self, summary: str) -> None:
        """Let a text stand for messages that left the context; at most ``limits.content_bytes`` bytes."""
        await self._manager.update(self.id, summary=summary)

    async def system_prompt(self) -> str:
        """The instruction placed before the context; empty if there is none."""
        return (await self._facts()).system_prompt

    async def set_system_prompt(self, prompt: str) -> None:
        """Set the instruction placed before the context; at most ``limits.content_bytes`` bytes."""
        await self._manager.update(self.id, system_prompt=prompt)

    async def tags(self) -> tuple[str, ...]:
        """Its labels, in the order they were added."""
        return (await self._facts()).tags

    async def add_tag(self, tag: str) -> None:
        """Add a label, unless it is there."""
        await self._manager.change(self.id, tag_added(tag))

    async def remove_tag(self, tag: str) -> None:
        """Remove a label, if it is there."""
        await self._manager.change(self.id, tag_removed(tag))

    async def custom_data(self, key: str) -> str | None:
        """One of the host's own strings; None if it was never set."""
        return (await self._facts()).custom_data.get(key)

    async def set_custom_data(self, key: str, value: str) -> None:
        """Set one of the host's own strings; all together may have 64 KiB as JSON."""
        await self._manager.change(self.id, custom_data_set(key, value))

    async def info(self) -> SessionInfo:
        """Its facts as clients see them."""
        return await self._manager.info(self.id)

    async def metadata(self) -> SessionMetadata:
        """What people and the host set, and what the live context holds."""
        return session_metadata(await self._facts())

    async def _facts(self) -> SessionFacts:
        return await self._manager.facts(self.id)
