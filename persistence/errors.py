"""What can go wrong with a store, by whose doing it is.

StoreError
├── StoreOpenError              the file cannot serve as our database
│   ├── StoreFormatError        it is damaged, another program's, or newer than this program
│   ├── StoreInUseError         another process writes to it
│   └── StorePermissionError    this user may not read or write it
├── StoreUnavailableError       the disk refused a write or a read; nothing of it was stored
├── StaleHeadError              the session moved on since the caller read it; nothing was stored
├── DuplicateClientIdError      the session already has a message with that client id; nothing was stored
├── SessionExistsError          a session that was to be stored anew is stored already; nothing was stored
├── UnstorableError             the record breaks the store's rules; nothing of it was stored or ever will be
└── StoreClosedError            the store was closed before
"""

from .records import Entry


class StoreError(Exception):
    """Any failure of a store; ``name`` is stable."""

    name = "store_error"


class StoreOpenError(StoreError):
    """The path cannot be opened as a greenroom database."""

    name = "store_open_failed"


class StoreFormatError(StoreOpenError):
    """The file is damaged, belongs to another program, or has a newer schema."""

    name = "store_format"


class StoreInUseError(StoreOpenError):
    """Another process holds the database open for writing."""

    name = "store_in_use"


class StorePermissionError(StoreOpenError):
    """The file or its directory may not be read or written."""

    name = "store_permission"


class StoreUnavailableError(StoreError):
    """A read or a commit failed; what was to be stored is not."""

    name = "store_unavailable"


class StaleHeadError(StoreError):
    """The stored head differs from the one the append was built on."""

    name = "stale_head"


class DuplicateClientIdError(StoreError):
    """The session already holds a message with this client id.

    Attributes:
        entry: The message stored first.
    """

    name = "duplicate_client_id"

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"client id already used by entry {entry.seq}")
        self.entry = entry


class UnstorableError(StoreError):
    """The record breaks a rule of the store: a gap in its seqs, text that is not Unicode."""

    name = "unstorable"


class SessionExistsError(StoreError):
    """A session of an import is in the store already."""

    name = "session_exists"


class StoreClosedError(StoreError):
    """The store was closed before this call."""

    name = "store_closed"
