"""Which block of an agent tells what the agent has now. Pure; no clock is asked: an agent's may be wrong by decades.

A journal gets a new stream each time it is opened, and every block says which opening sends it. The opening heard of
last is the present one, for good: what an earlier one left is sent by the present one and says so, and what an earlier
one sent and the network held back bears a stream that is known to have been followed by another.
"""

from collections.abc import Sequence


def newer(stream: str, seq: int, *, sent_by: str, openings: Sequence[str], active: tuple[str, int]) -> bool:
    """Whether block (stream, seq) was made after the block `active`, which made the present catalog hold.

    sent_by: the opening that sent it, "" for its own stream. openings: those that were heard of, the first one first.
    """
    if sent_by not in ("", stream):
        return False
    if stream not in openings:
        return True
    return stream == openings[-1] and (stream != active[0] or seq > active[1])
