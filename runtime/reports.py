"""What the gateway tells its operator, beside what the actors report."""

import msgspec


class ConnectionFailed(msgspec.Struct, frozen=True):
    """Serving one connection failed through a fault of ours; the others go on."""

    error: str
    where: str
