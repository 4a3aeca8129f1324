"""What the gateway tells its operator, beside what the actors report."""

import msgspec


class ConnectionFailed(msgspec.Struct, frozen=True):
    """Serving one connection failed through a fault of ours; the others go on."""

    error: str
    where: str


class AnswerFailed(msgspec.Struct, frozen=True):
    """A request was carried out, but its answer could not be made; the client was told of a fault of ours."""

    error: str
    where: str
