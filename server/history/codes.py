"""Integer codes of what history keeps beside a value. Stored: a code is never reused."""

from facility.metrics import metric
from facility.reading import QualityReason

REASON_CODES: dict[QualityReason, int] = {
    QualityReason.TIMEOUT: 1,
    QualityReason.UNREACHABLE: 2,
    QualityReason.NO_SUCH_OBJECT: 3,
    QualityReason.EXCEPTION: 4,
    QualityReason.SENTINEL: 5,
    QualityReason.OUT_OF_RANGE: 6,
    QualityReason.SLEW: 7,
    QualityReason.UNKNOWN_STATE: 8,
    QualityReason.BAD_TYPE: 9,
    QualityReason.CLOCK: 10,
}
REASON_BY_CODE = {code: reason for reason, code in REASON_CODES.items()}


def is_state(metric_name: str) -> bool:
    """Whether values of this metric are state codes."""
    return metric(metric_name).states is not None


def encode_value(metric_name: str, value: float | str | None) -> float | None:
    """The stored number: the float itself, or the code of a state word. KeyError for a word that is none."""
    if value is None or not isinstance(value, str):
        return value
    states = metric(metric_name).states
    if states is None:
        raise KeyError(f"{metric_name} is a number, not {value!r}")
    return float(states.by_word(value).code)


def decode_value(metric_name: str, value: float | None) -> float | str | None:
    """What people see: the float, or the word of a state code."""
    if value is None:
        return None
    states = metric(metric_name).states
    return value if states is None else states.by_code(int(value)).word
