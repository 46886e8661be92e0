"""What was taken and is not sealed yet: readings, items of the other kinds, and the rule state that goes with them.

In memory only, and at once: the disk may be slow, the polling never waits for it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agent.journal.block import Draft
from agent.journal.eviction import ORDER, TARGET, DropReason
from agent.journal.tally import Tally
from facility.reading import Reading
from facility.wire import Kind

# A minute of 500 values a second is 30,000; three of them wait in memory for a disk that stalls.
MAX_TAKEN = 100_000
# Alarms, events and health that wait for it: a trap each 60 ms for ten minutes.
MAX_ITEMS = 10_000
# Beyond this many a block is sealed and committed before its time: about 150 KiB unpacked.
COMMIT_AT = 5_000
# Pending timers are saved this often even when no alarm is. After a crash a timer younger than this starts anew, so an
# alarm may come later by as much; saving costs a large site more than judging does.
RULES_EVERY_S = 30.0
# And no more bytes of it a second, 4.3 GB a day: what 6,000 points with windows remember is 11 MB, which each half a
# minute would wear a small disk out. Such a site saves it each four minutes.
RULES_BYTES_S = 50_000

RuleSource = Callable[[], bytes | None]


class Taken:
    """Bounded by MAX_TAKEN readings and MAX_ITEMS items; what is beyond is counted, alarms last.

    some: set when there is something to commit within a group commit; wake: when something should be at once.
    catalog: digest of the catalog that readings and alarms speak of from now on.
    rules: gives the rule engine's state, None to leave the saved one. rule_state: what it gave, until it is saved.
    """

    def __init__(self, tally: Tally) -> None:
        self.catalog = ""
        self.rules: RuleSource | None = None
        self.rule_state: bytes | None = None
        self.some = asyncio.Event()
        self.wake = asyncio.Event()
        self._tally = tally
        self._readings: deque[Reading] = deque()
        self._drafts: list[Draft] = []
        self._items = self._drafted = 0  # in the drafts: of alarms, events and health, and of readings
        self._alarms_taken: float | None = None
        self._rules_due = False
        self._rules_at = 0.0

    def __len__(self) -> int:
        """Readings and drafts that wait."""
        return len(self._readings) + len(self._drafts)

    @property
    def rules_at(self) -> float:
        """When (monotonic) the rule state is to be saved at the latest, if there is one."""
        return math.inf if self.rules is None else self._rules_at

    @property
    def is_much(self) -> bool:
        """So many readings that they are not to wait for the group commit."""
        return len(self._readings) >= COMMIT_AT

    def hurry(self) -> None:
        """There is something to commit at once."""
        self.some.set()
        self.wake.set()

    def take(self, readings: Sequence[Reading]) -> None:
        self._readings.extend(readings)
        self.some.set()
        self._tally.readings += len(readings)
        over = min(len(self._readings) + self._drafted - MAX_TAKEN, len(self._readings))
        for _ in range(over):
            self._readings.popleft()
        if over > 0:
            self._tally.count(DropReason.MEMORY_FULL, over)
        if self.is_much:
            self.hurry()

    def append(self, kind: Kind, items: Sequence[Any], *, at: int, now: float) -> None:
        """Items of a kind other than readings and catalogs; `now` is monotonic."""
        if not items:
            return
        # Each health block says anew which catalog holds: a centre put back from a backup may have forgotten it.
        spoken = self.catalog if kind in (Kind.ALARMS, Kind.HEALTH) else ""
        last = self._drafts[-1] if self._drafts else None
        if last is not None and last.kind is kind and last.catalog == spoken:
            self._drafts[-1] = replace(last, items=[*last.items, *items], last_at=max(last.last_at, at))
        else:
            self._drafts.append(Draft(kind, list(items), at, at, spoken))
        self._items += len(items)
        if kind is Kind.ALARMS:
            self._rules_due = True
            if self._alarms_taken is None:
                self._alarms_taken = now
            if self._tally.alarms_since is None:
                self._tally.alarms_since = now
        if self._items > MAX_ITEMS:
            self._shed()
        self.hurry()

    def _shed(self) -> None:
        """The disk hangs: what waits for it goes down to a little under the bound, in the journal's order."""
        over = self._items - int(MAX_ITEMS * TARGET)
        kept = deque(self._drafts)
        for each in ORDER:
            left: deque[Draft] = deque()
            while over and kept:
                draft = kept.popleft()
                gone = min(over, len(draft.items)) if draft.kind is each.kind is not Kind.READINGS else 0
                over -= gone
                if gone < len(draft.items):
                    left.append(replace(draft, items=draft.items[gone:]) if gone else draft)
                self._items -= gone
                self._tally.count(DropReason.MEMORY_FULL, gone)
            kept = left + kept
        self._drafts = list(kept)

    def append_catalog(self, catalog: Any | None, names: str, *, at: int) -> None:
        # What was taken before speaks of the catalog before: it is drafted under that one.
        self._draft_readings()
        if catalog is not None:
            self._drafts.append(Draft(Kind.CATALOG, [catalog], at, at, names, names))
        self.catalog = names
        self.hurry()

    def drain(self, *, readings: bool, now: float) -> list[Draft]:
        """What is to be sealed now, and the rule state with it; `now` is monotonic. Without `readings` these wait on.

        The rules are asked in the same step, so neither knows of an event the other does not.
        """
        if readings:
            self._draft_readings()
        drafts, self._drafts = self._drafts, []
        self._items = self._drafted = 0
        if any(draft.kind is Kind.ALARMS for draft in drafts):
            self._alarms_taken = None
        if self.rules is not None and (self._rules_due or (readings and now >= self._rules_at)):
            state = self.rules()
            self.rule_state = self.rule_state if state is None else state
            self._rules_due = False
            self._rules_at = now + max(RULES_EVERY_S, len(state or b"") / RULES_BYTES_S)
        return drafts

    def committed(self) -> None:
        """What was drained is on the disk, or in memory to be offered from there."""
        self._tally.alarms_since = self._alarms_taken

    def saved(self, state: bytes | None) -> None:
        """The disk has this rule state."""
        if self.rule_state is state:
            self.rule_state = None

    def _draft_readings(self) -> None:
        if self._readings:
            taken = list(self._readings)
            self._readings.clear()
            self._drafted += len(taken)
            self._drafts.append(Draft(Kind.READINGS, taken, taken[0].taken_at, taken[-1].taken_at, self.catalog))
