"""Writing snapshots of many judges without holding the agent up.

A rate or a forecast remembers a window of samples for each of its points, so a large site has many thousand judges
with nothing to tell but their windows. Only some of these are written anew in each snapshot; of the others the last
writing is taken. Whatever is going on (an alarm, a pending timer, flapping) is always written as it is.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from rules.absent import AbsentJudge
from rules.judges import Judge
from rules.records import SNAPSHOT_VERSION, PointRecord

# About 20 ms of writing on a small machine; 18,000 of them come round within three minutes of snapshots each 10 s.
WINDOWS_AT_ONCE = 1000


class Pages:
    """Remembers the last writing of each window."""

    def __init__(self) -> None:
        self._turn = 0

    def snapshot(
        self,
        judges: Iterable[Judge],
        *,
        points: Sequence[PointRecord],
        origin: str,
        now: int,
        youngest: str,
        lost: Set[str],
        missing: Mapping[tuple[str, str, str], int],
    ) -> bytes:
        """A `rules.records.Snapshot` as JSON."""
        written: list[msgspec.Raw] = []
        windows: list[Judge] = []
        counting: list[AbsentJudge] = []
        for judge in judges:
            if judge.calm:
                continue
            if not judge.only_window:
                judge.page = None
                written.append(_page(judge))
            elif isinstance(judge, AbsentJudge):
                counting.append(judge)
            else:
                windows.append(judge)
        due: Iterable[Judge] = windows
        if len(windows) + len(counting) > WINDOWS_AT_ONCE:
            # What need not be in a large snapshot at all: counting afresh after a restart says nothing else.
            counting = [judge for judge in counting if not judge.young(now)]
            due = self._in_turn(windows) if windows else ()
        for judge in due:
            judge.page = _page(judge)
        # An old "last seen" would end its time too early after a restart: it is written as it is, or not.
        written += [_page(judge) for judge in counting]
        written += [judge.page for judge in windows if judge.page is not None]
        return msgspec.json.encode(
            {
                "version": SNAPSHOT_VERSION,
                "origin": origin,
                "now": now,
                "youngest": youngest,
                "points": points,
                "judges": written,
                "lost": sorted(lost),
                "missing": [(*name, since) for name, since in missing.items()],
            }
        )

    def _in_turn(self, windows: Sequence[Judge]) -> Iterable[Judge]:
        first = self._turn % len(windows)
        self._turn = first + WINDOWS_AT_ONCE
        return (*windows[first : self._turn], *windows[: max(0, self._turn - len(windows))])


def _page(judge: Judge) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(judge.save()))
