"""The entries that were sent under a client id not long ago."""

from ..persistence.records import Entry

REMEMBERED = 64  # client ids kept at hand; older ones are found by the store's unique index


class RecentIds:
    """Entries by client id, at most `REMEMBERED`, the newest."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def get(self, client_id: str) -> Entry | None:
        """The entry that was stored under a client id, if it is remembered."""
        return self._entries.get(client_id)

    def add(self, entry: Entry) -> None:
        """Remember an entry, if it has a client id."""
        if entry.client_id is not None:
            self._entries[entry.client_id] = entry
            if len(self._entries) > REMEMBERED:
                del self._entries[next(iter(self._entries))]

    def clear(self) -> None:
        """Forget all: the session was removed."""
        self._entries.clear()
