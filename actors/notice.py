"""How one actor learns of another's end."""

from .actor_reports import ActorEnded
from .cell import Cell
from .errors import ActorQuarantinedError, ActorStoppedError


class Notice:
    """Tells one actor of another's end."""

    __slots__ = ("_watcher",)

    def __init__(self, watcher: Cell) -> None:
        self._watcher = watcher

    def resolve(self, value: ActorEnded, /) -> None:
        """Put the notice before the watcher's mail; for one at rest it is a dead letter."""
        try:
            self._watcher.put_control(value)
        except ActorQuarantinedError as exc:
            self._watcher.bury(value, "refused", None, exc)
        except ActorStoppedError:
            return  # the watcher has ended itself, and does without

    def reject(self, error: Exception, /) -> None:
        """An end is never an error."""
        raise error
