"""How people read a value, in messages of the agent and of the centre alike."""

from facility.metrics import UnknownMetricError, metric
from facility.units import convert, symbol


def shown(metric_name: str, value: float | str | None, *, zh: bool) -> str:
    """A value as people read it: `27.4 ℃`, or the state's word; a dash for none."""
    if value is None:
        return "–"
    try:
        entry = metric(metric_name)
    except UnknownMetricError:
        return str(value)
    if isinstance(value, str):
        if entry.states is None or value not in entry.states.words:
            return value
        state = entry.states.by_word(value)
        return state.zh if zh else state.en
    number = f"{convert(value, entry.unit, entry.display):.{entry.decimals}f}"
    unit = symbol(entry.display)
    if entry.name.endswith("humidity") and unit == "%":
        unit = "%RH"
    return f"{number} {unit}".rstrip()
