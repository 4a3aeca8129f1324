"""Everything an operator can turn, in one frozen `Config`. Durations are seconds, sizes bytes unless said."""

import ipaddress
from typing import Annotated

import msgspec
from msgspec import Meta

from ..actors.budget import DEFAULT_CONTEXT_TOKEN_BUDGET, normalize_token_budget

# A million seconds are eleven days: far above any sensible deadline, far below where clock arithmetic loses
# precision.
Seconds = Annotated[float, Meta(gt=0, le=1e6, description="a number above 0 and at most 1000000")]
# A billion seconds are thirty years: whoever wants longer wants 0.
Silence = Annotated[
    float, Meta(ge=0, le=1e9, description="a number above 0 and at most 1000000000, or 0 for never")
]
Size = Annotated[int, Meta(ge=1, le=2**31 - 1, description="a whole number from 1 to 2147483647")]
Port = Annotated[int, Meta(ge=0, le=65535, description="0..65535")]
Flag = Annotated[bool, Meta(description="true or false")]
FilePath = Annotated[str, Meta(pattern=r"\A[^\0]+\Z", description="a path")]
Host = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z.:_%-]+\Z", description="a host name or an address")]
AgentName = Annotated[
    str,
    Meta(
        pattern=r"\A(echo|none|llm|[A-Za-z_][\w.]*:[A-Za-z_]\w*)\Z",
        description="echo, none or module:function",
    ),
]
Origins = Annotated[
    tuple[Annotated[str, Meta(pattern=r"\Ahttps?://[^/\s,]+\Z")], ...],
    Meta(description="a list of origins such as https://chat.example.org"),
]


class ConfigError(ValueError):
    """A setting cannot be used; the text is one sentence naming it, what was expected and what was met."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds the server.

    Attributes:
        handshake: Seconds for the WebSocket handshake.
        auth: Seconds until ``initialize``.
        partial: Seconds until a begun message must be whole.
        send: Seconds a peer may leave its outbound bytes untouched.
        ping: Seconds between pings.
        pong: Seconds a pinged peer may stay silent.
        drain: Seconds that running turns get when the server ends.
        turn: Seconds one turn may take, not counting its wait for a place.
        turns: Turns of one agent at work at once; the others wait in order.
        stop_grace: Seconds a cancelled agent gets to end.
        frame_bytes_before: Largest message before ``initialize``.
        frame_bytes: Largest message after it.
        content_bytes: Largest content of one chat message.
        outbound_bytes: Bytes waiting for one connection.
        mailbox: Commands waiting for one session.
        pending: Stored messages of one session waiting for a turn.
        live_sessions: Sessions in memory at once.
        live_bytes: About the bytes that they may hold together; one that is at work is never put away for it.
        max_tokens: Tokens of a session's context; 8000, a default of former days, stands for the present.
    """

    handshake: Seconds = 5.0
    auth: Seconds = 5.0
    partial: Seconds = 10.0
    send: Seconds = 10.0
    ping: Seconds = 20.0
    pong: Seconds = 20.0
    drain: Seconds = 5.0
    turn: Seconds = 600.0
    # Most processes may have 1024 files open. A turn that talks to a model and runs a tool takes about four
    # of them: 64 turns leave three quarters to connections, and most model servers answer fewer at once.
    turns: Size = 64
    stop_grace: Seconds = 1.0
    frame_bytes_before: Size = 64 * 1024
    frame_bytes: Size = 512 * 1024
    content_bytes: Size = 256 * 1024
    outbound_bytes: Size = 1024 * 1024
    mailbox: Size = 256
    pending: Size = 100
    live_sessions: Size = 20_000
    live_bytes: Size = 512 * 1024 * 1024
    max_tokens: Size = DEFAULT_CONTEXT_TOKEN_BUDGET

    def __post_init__(self) -> None:
        """Let a budget that means the default be the default."""
        msgspec.structs.force_setattr(self, "max_tokens", normalize_token_budget(self.max_tokens))


class Cleanup(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of sessions in which nothing is said; 0 stands for never.

    Attributes:
        enabled: Whether silence has any effect.
        idle_after: Seconds of silence until an active session is idle.
        suspend_after: Seconds of silence until an idle session is suspended and leaves memory.
        archive_after: Seconds of silence until a session is archived.
        delete_after: Seconds from its archiving until a session is deleted for good.
        interval: Seconds between two looks at the clock.
    """

    enabled: Flag = True
    idle_after: Silence = 300.0
    suspend_after: Silence = 1800.0
    archive_after: Silence = 30 * 86_400.0
    delete_after: Silence = 0.0
    interval: Seconds = 60.0


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts of a session's id make a conversation of its own.

    The parts that do not are the same for everybody: ``*`` for agent, channel and peer, none for the thread.

    Attributes:
        by_agent: Whether each agent has its own.
        by_channel: Whether each channel has its own.
        by_peer: Whether each peer has its own.
        by_thread: Whether each thread has its own.
    """

    by_agent: Flag = True
    by_channel: Flag = True
    by_peer: Flag = True
    by_thread: Flag = True


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How one server runs.

    Attributes:
        db: The SQLite file, or ``:memory:`` to keep nothing.
        host: Address of both listeners.
        port: WebSocket port; 0 takes a free one.
        http_port: HTTP port; 0 takes a free one.
        agent: Who answers: ``echo``, ``none`` or ``module:function``.
        origins: Browser origins allowed beside the server's own HTTP listener.
        insecure_bind: Whether an address that others can reach may be served without TLS and tokens.
        commands: Whether a message such as ``/new`` is a command.
        limits: What bounds the server.
        cleanup: What becomes of silent sessions.
        isolation: Which parts of an id make a session of its own.
    """

    db: FilePath = "./greenroom.db"
    host: Host = "127.0.0.1"
    port: Port = 8765
    http_port: Port = 8766
    agent: AgentName = "echo"
    origins: Origins = ()
    insecure_bind: Flag = False
    commands: Flag = True
    limits: Limits = Limits()
    cleanup: Cleanup = Cleanup()
    isolation: Isolation = Isolation()

    def __post_init__(self) -> None:
        """Refuse what is wrong only in company."""
        if self.agent == "llm":
            raise ConfigError(
                "agent: the llm agent is not in this version; expected echo, none or module:function"
            )
        if self.port == self.http_port != 0:
            raise ConfigError(f"http_port: expected another port than port, met {self.http_port} for both")
        if self.limits.content_bytes > self.limits.frame_bytes:
            raise ConfigError(
                f"limits.content_bytes: expected at most limits.frame_bytes ({self.limits.frame_bytes}), "
                f"met {self.limits.content_bytes}"
            )
        if not self.insecure_bind and not _is_loopback(self.host):
            raise ConfigError(
                f"host: expected a loopback address, met {self.host}: others could reach it, which needs TLS "
                "and tokens, or --insecure-bind to do without"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
