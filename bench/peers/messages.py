"""What the actors written by hand here are sent; the messages of our own actors have the same shape."""


class Increment:
    """Count one more; told."""

    __slots__ = ()


class Get:
    """How many? Asked."""

    __slots__ = ()


INCREMENT = Increment()
GET = Get()


class Counter:
    """What each of them does."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    def receive(self, message: Increment | Get) -> int | None:
        """Handle one message, in one step."""
        if isinstance(message, Get):
            return self.n
        self.n += 1
        return None

    async def receive_async(self, message: Increment | Get) -> int | None:
        """The same as a coroutine; it reaches no checkpoint."""
        if isinstance(message, Get):
            return self.n
        self.n += 1
        return None
