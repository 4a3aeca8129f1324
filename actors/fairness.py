"""What one session may take of the time of all: a flood of one is no reason for others to wait.

Each commit holds up those that come while it is made, for as long as it takes, and the event loop is busy
with its answers after that. So a session takes few commands at a time; and while others store something now
and then, one in which more waits already leaves them most of the time. One that is alone gives way to nobody.
"""

import trio

# Commands a wake-up takes. With 64 a flood of one session made the slowest acks of the others four times as
# slow, with 8 half as slow again; what a commit costs beside its messages is made up for by eight of them.
BATCH = 8
SHARE = 4  # times as long as its own turn took: what a flooded session leaves to others before the next
LONGEST = 0.05  # seconds; a turn that took longer was held up by others itself


async def give_way(began: float, calm_at: float) -> None:
    """Let others store what they have, if there are any, after a turn.

    Args:
        began: When the turn did, in monotonic seconds.
        calm_at: When any session last stored all that it had, and so was not in a flood; the same.
    """
    now = trio.current_time()
    if now - calm_at < LONGEST:
        await trio.sleep(min(SHARE * (now - began), LONGEST))
