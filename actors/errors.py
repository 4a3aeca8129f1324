"""What an actor answers instead of a result, by whose doing it is.

GreenroomError
├── SessionNotFoundError    there is no such session (also a LookupError)
├── ConflictError           the session is not as the request expects it
├── TooLargeError           a value is larger than may be stored
├── IdConflictError         the client id was used before, for another content
├── BusyError               a bounded queue is full; nothing was stored
│   └── MailboxFullError    ... the actor's mailbox
├── MailboxClosedError      the actor has ended; a new one may be started
│   └── ActorStoppedError   ... or ends before it answers
├── ActorCrashedError       the actor failed over this message
├── SupervisorFailedError   restarting does not help; whoever opened the supervisor decides
├── QuarantinedError        the session crashed too often and rests
│   └── ActorQuarantinedError   ... or another actor did
├── UnavailableError        the store failed, or the outcome of a commit is unknown
├── DamagedError            what is stored of the session cannot be trusted
├── ShuttingDownError       the runtime takes no more work
└── NotSupportedError       this version cannot do it
"""


class GreenroomError(Exception):
    """A refusal with a stable ``name``.

    Attributes:
        name: Never changes for one situation; clients may branch on it.
        retryable: The same request may succeed later.
        retry_after: Seconds to wait before trying again, if known.
        field: The part of the request that is wrong, if it is one; never its value.
    """

    name = "internal_error"
    retryable = False
    field: str | None = None

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SessionNotFoundError(GreenroomError, LookupError):
    """No session has this id."""

    name = "not_found"


class ConflictError(GreenroomError):
    """The session is not in the state, epoch or position that the request expects."""

    name = "conflict"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class TooLargeError(GreenroomError):
    """A value is larger than may be stored."""

    name = "too_large"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class IdConflictError(GreenroomError):
    """A message with the same client id and another content is stored already."""

    name = "id_conflict"


class BusyError(GreenroomError):
    """A bounded queue is full; nothing was stored."""

    name = "busy"
    retryable = True


class MailboxFullError(BusyError):
    """The actor's mailbox is full."""


class MailboxClosedError(GreenroomError):
    """The actor's mailbox was closed: the actor has ended."""

    name = "mailbox_closed"
    retryable = True


class QuarantinedError(GreenroomError):
    """The session's actor crashed too often in a short time and is left alone for a while."""

    name = "session_quarantined"
    retryable = True


class ActorStoppedError(MailboxClosedError):
    """The actor has ended, or was stopped before it could answer."""

    name = "actor_stopped"


class ActorCrashedError(GreenroomError):
    """The actor raised while it handled the message; its error is the cause of this one."""

    name = "actor_crashed"


class ActorQuarantinedError(QuarantinedError):
    """The actor crashed too often in a short time; ``retry_after`` is the time left."""

    name = "actor_quarantined"


class SupervisorFailedError(GreenroomError):
    """Actors crashed more often than the supervisor may restart them; the last crash is the cause."""

    name = "supervisor_failed"


class UnavailableError(GreenroomError):
    """The store could not do it, or was cut off while doing it; the same client id settles which."""

    name = "store_unavailable"
    retryable = True


class DamagedError(GreenroomError):
    """What is stored does not match its own hashes or form; trying again will not mend it."""


class ShuttingDownError(GreenroomError):
    """The runtime drains and takes no more work."""

    name = "shutting_down"
    retryable = True


class NotSupportedError(GreenroomError):
    """The request is a valid one that this version cannot carry out."""

    name = "not_supported"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field
