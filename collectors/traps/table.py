"""What a received trap means: looked up in the traps of a profile and the standard ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from collectors.traps.notification import Notification
from collectors.traps.standard import STANDARD
from facility.severity import Severity
from facility.traps import Confirm, Told, Trap, same_trap


class TrapPhase(StrEnum):
    """Where in the life of its condition a trap stands."""

    BEGAN = "began"
    ENDED = "ended"
    HAPPENED = "happened"  # nothing will ever say that it is over


@dataclass(frozen=True, slots=True)
class Understood:
    """A trap with its meaning. told: the named condition, or the trap itself; condition: the value that named it."""

    trap: Trap
    told: Told
    phase: TrapPhase
    condition: str = ""

    @property
    def severity(self) -> Severity:
        return Severity.INFO if self.phase is TrapPhase.ENDED else self.told.severity

    @property
    def confirm(self) -> Confirm:
        return self.trap.confirm

    @property
    def title_en(self) -> str:
        return f"{self.told.title.en}: over" if self.phase is TrapPhase.ENDED else self.told.title.en

    @property
    def title_zh(self) -> str:
        return f"{self.told.title.zh}：已恢复" if self.phase is TrapPhase.ENDED else self.told.title.zh


class TrapTable:
    """The traps of one profile; a trap's own entry goes before its being the end of another."""

    def __init__(self, traps: Iterable[Trap]) -> None:
        self._begins: dict[str, Trap] = {}
        self._ends: dict[str, Trap] = {}
        # The profile's own come first: a family may mean something else by a standard trap.
        for trap in (*traps, *STANDARD):
            self._begins.setdefault(same_trap(trap.oid), trap)
            if trap.cleared_by is not None:
                self._ends.setdefault(same_trap(trap.cleared_by), trap)

    def knows(self, oid: str) -> bool:
        name = same_trap(oid)
        return name in self._begins or name in self._ends

    def find(self, notification: Notification) -> Understood | None:
        """What a trap means; None when neither the profile nor the standards know it."""
        name = same_trap(notification.oid)
        trap = self._begins.get(name)
        if trap is not None:
            phase = TrapPhase.HAPPENED if trap.cleared_by is None else TrapPhase.BEGAN
        else:
            trap, phase = self._ends.get(name), TrapPhase.ENDED
        if trap is None:
            return None
        condition = _condition(trap, notification)
        return Understood(trap, trap.conditions.get(condition, trap), phase, condition)


def _condition(trap: Trap, notification: Notification) -> str:
    if trap.told_by is not None:
        for varbind in notification.varbinds:
            if varbind.oid == trap.told_by or varbind.oid.startswith(trap.told_by + "."):
                return varbind.value.removeprefix(".")
    return ""
