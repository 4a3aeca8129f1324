"""What the runtime and its gateway tell their operator, beside what the actors report."""

import msgspec


class ConnectionFailed(msgspec.Struct, frozen=True):
    """Serving one connection failed through a fault of ours; the others go on."""

    error: str
    where: str


class AnswerFailed(msgspec.Struct, frozen=True):
    """A request was carried out, but its answer could not be made; the client was told of a fault of ours."""

    error: str
    where: str


class StopStepOverdue(msgspec.Struct, frozen=True):
    """A step of stopping had not ended after ``seconds``; the next was begun all the same.

    Attributes:
        step: ``commands``: those delivered before were to take effect. ``hooks``: they were to be told of
            every end; those that were not are told by the next start. ``connections``: their closing
            handshakes. ``writer``: the last commits and the checkpoint.
    """

    step: str
    seconds: float
