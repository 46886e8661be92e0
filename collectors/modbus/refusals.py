"""What each Modbus exception means for us: one table."""

from dataclasses import dataclass
from enum import StrEnum

from collectors.errors import BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointFailed, PointMissing
from collectors.exchange import PollProblem


class Handling(StrEnum):
    """What an exception makes us do."""

    LEARN_HOLE = "learn_hole"  # bisect, remember the cells that are refused, ask again after a day
    WAIT_AND_RETRY = "wait_and_retry"  # the unit is well and has no time: again within this poll, a few times
    NO_VALUE_NOW = "no_value_now"  # bisect to save the rest; nothing is remembered, the next poll asks again
    UNIT_LOST = "unit_lost"  # the gateway answers, the unit does not: as silence, and its breaker counts it


@dataclass(frozen=True, slots=True)
class Refusal:
    """One exception code: the protocol's name for it in words of ours, and what follows."""

    reason: str
    handling: Handling
    problem: PollProblem = PollProblem.BAD_REPLY


# Modbus Application Protocol 1.1b3 section 7. 07 is of Modbus Plus programming functions; some controllers send it for
# "not now". 09 is in no edition.
REFUSALS = {
    1: Refusal("illegal_function", Handling.LEARN_HOLE),
    2: Refusal("illegal_address", Handling.LEARN_HOLE),
    3: Refusal("illegal_quantity", Handling.LEARN_HOLE),
    4: Refusal("device_failure", Handling.NO_VALUE_NOW),
    5: Refusal("still_working", Handling.WAIT_AND_RETRY),
    6: Refusal("busy", Handling.WAIT_AND_RETRY),
    7: Refusal("refused", Handling.NO_VALUE_NOW),
    8: Refusal("memory_parity_error", Handling.NO_VALUE_NOW),
    10: Refusal("gateway_path_unavailable", Handling.UNIT_LOST, PollProblem.UNREACHABLE),
    11: Refusal("gateway_target_silent", Handling.UNIT_LOST, PollProblem.TIMEOUT),
}


def refused(code: int, what: str) -> CollectError:
    """The error that stands for an exception code; what: who was asked for what, for its message."""
    refusal = REFUSALS.get(code)
    if refusal is None:
        return BadReply(f"{what}: exception {code:02}, which the protocol does not know")
    message = f"{what}: exception {code:02} {refusal.reason}"
    match refusal.handling:
        case Handling.LEARN_HOLE:
            return PointMissing(message)
        case Handling.WAIT_AND_RETRY:
            return DeviceBusy(message)
        case Handling.NO_VALUE_NOW:
            return PointFailed(message)
        case Handling.UNIT_LOST:
            return DeviceUnreachable(f"{message}: the gateway cannot reach the unit", problem=refusal.problem)
