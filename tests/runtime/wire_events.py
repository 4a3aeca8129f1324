"""Events and attach answers as a server would send them."""

from greenroom.runtime.client_events import AttachAnswer, RunningTurn, WireEvent, WireSnapshot

AT = "2026-11-22T10:00:00Z"


def durable(seq: int, epoch: str = "1-a", kind: str = "message", **data: object) -> WireEvent:
    body = data or {"role": "user", "content": f"text {seq}"}
    return WireEvent(type=kind, at=AT, session="a:b:c", epoch=epoch, seq=seq, data=body)


def delta(turn_id: str, offset: int, text: str) -> WireEvent:
    data = {"turn_id": turn_id, "offset": offset, "text": text}
    return WireEvent(type="turn.delta", at=AT, session="a:b:c", epoch="1-a", data=data)


def snapshot(head: int, epoch: str = "1-a", turn: RunningTurn | None = None) -> AttachAnswer:
    return AttachAnswer(
        epoch=epoch, head_seq=head, recovered=False, snapshot=WireSnapshot((), more=False), turn=turn
    )


def recovered(*events: WireEvent, head: int, turn: RunningTurn | None = None) -> AttachAnswer:
    return AttachAnswer(epoch="1-a", head_seq=head, recovered=True, events=events, turn=turn)
