"""How punctual planned work is, and what the calendar shows. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from server.maintenance.models import OrderState


@dataclass(slots=True, kw_only=True)
class Month:
    """Orders by what became of them. A skipped day counts as due and not done, whoever skipped it."""

    on_time: int = 0
    late: int = 0
    skipped: int = 0
    overdue: int = 0
    pending: int = 0

    @property
    def due(self) -> int:
        return self.on_time + self.late + self.skipped + self.overdue

    @property
    def compliance(self) -> float | None:
        """Percent done within tolerance of what was due; None when nothing was."""
        return round(100 * self.on_time / self.due, 1) if self.due else None


def compliance(
    outcomes: Iterable[tuple[int, int, OrderState, bool | None, bool, int]],
) -> dict[str, Month]:
    """Months such as `2026-03`, in order, from (year, month, state, on time, overdue, count)."""
    months: dict[str, Month] = defaultdict(lambda: Month())
    for year, number, state, on_time, overdue, count in outcomes:
        month = months[f"{year:04d}-{number:02d}"]
        match state:
            case OrderState.DONE if on_time:
                month.on_time += count
            case OrderState.DONE:
                month.late += count
            case OrderState.SKIPPED:
                month.skipped += count
            case OrderState.OPEN if overdue:
                month.overdue += count
            case OrderState.OPEN:
                month.pending += count
    return dict(sorted(months.items()))
