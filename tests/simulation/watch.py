"""What can be said while a run goes on, long before everything has drained; asked of the centre's files every so often.

Only what is new since the last look is read, and only what is committed: through a connection of its own.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.journal.block import Key
from facility.alarms import AlarmEvent
from facility.items import EARLIEST_MS
from facility.reading import Reading
from tests.simulation.lives import Epoch, Life, forgettable
from tests.simulation.machines import Centre, Edge
from tests.simulation.model import PlainRule
from tests.simulation.rows import Name, Row, alarm_rows, same
from tests.simulation.tickets import TicketWatch

Bad = Callable[[str], None]
Sample = tuple[tuple[Epoch, int], float]  # when it was taken, its value


class Watch:
    """bad: told of each violation once."""

    def __init__(self, centre: Centre, edges: Mapping[str, Edge], bad: Bad) -> None:
        self._centre, self._edges, self._bad = centre, edges, bad
        self.tickets = TicketWatch(centre.files, bad)
        self._agents: dict[str, str] = {}
        self._answered: list[tuple[Edge, Key]] = []
        self._took = _Took(edges)
        self._series: dict[int, Name] = {}
        self._kept: dict[int, set[int]] = defaultdict(set)
        self._newest: dict[int, int] = defaultdict(lambda: -1)
        self._said = _Said(edges)
        self._logged = 0
        self._alarms: dict[str, Row] = {}
        self._last_alarm = 0
        self._ended: dict[str, Row] = {}
        self._unjudged: list[tuple[Row, bool]] = []

    # --- answers ---------------------------------------------------------------------------------------------------

    def committed(self, edge: Edge, key: Key) -> None:
        """An agent hears that the centre has a block: then the centre has it, now."""
        self._answered.append((edge, key))
        if self._centre.running():
            self._check_answered()

    def _check_answered(self) -> None:
        answered, self._answered = self._answered, []
        for edge, key in answered:
            if edge.name not in self._agents:
                self._agents = dict(self._ask("main", "SELECT code, id FROM agents"))
            name = (self._agents.get(edge.name, ""), key.stream, key.seq)
            where = "WHERE agent_id = ? AND stream = ? AND seq = ?"
            if not (
                self._ask("history", f"SELECT 1 FROM history_blocks {where}", *name)
                or self._ask("main", f"SELECT 1 FROM ingest_blocks {where}", *name)
            ):
                self._bad(f"1: {edge.name} is told that block {key.seq} is committed, the centre has it not")

    # --- looking ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Nothing is to be seen of a centre that is off."""
        if not self._centre.running():
            return
        self._check_answered()
        self._look_at_readings()
        self._look_at_log()
        self._look_at_alarms()
        self.tickets.look()

    def _ask(self, file: str, query: str, *values: object) -> list[Any]:
        return self._centre.files.ask(file, query, *values)

    def _look_at_readings(self) -> None:
        """Every reading in history is one that an agent took, with its value; none goes away."""
        self._took.look()
        for series, count in self._ask("history", "SELECT series, count(*) FROM history_readings GROUP BY series"):
            kept = self._kept[series]
            if count == len(kept):
                continue
            query = "SELECT taken_at, value FROM history_readings WHERE series = ?"
            rows = self._ask("history", f"{query} AND taken_at > ?", series, self._newest[series])
            if len(kept) + len(rows) != count:
                # Some came late.
                rows = self._ask("history", query, series)
                gone = kept - {at for at, _ in rows}
                if gone:
                    kept -= gone
                    self._bad(
                        f"1: {len(gone)} readings of {self._name(series)} went out of history: {sorted(gone)[:3]}"
                    )
            fresh = {at: value for at, value in rows if at not in kept}
            self._check_fresh(self._name(series), fresh)
            kept.update(fresh)
            self._newest[series] = max((self._newest[series], *fresh))

    def _check_fresh(self, name: Name, fresh: Mapping[int, Any]) -> None:
        taken = self._took.readings[name]
        strange = [at for at in fresh if at not in taken]
        if strange:
            self._bad(f"1: {len(strange)} readings of {name} in history that nobody took: {strange[:3]}")
        wrong = [at for at, value in fresh.items() if at in taken and not any(same(value, one) for one in taken[at])]
        if wrong:
            self._bad(f"1: {len(wrong)} readings of {name} with another value: {wrong[:3]}")

    def _name(self, series: int) -> Name:
        if series not in self._series:
            names = {
                point: (device, metric, subject)
                for point, device, metric, subject in self._ask(
                    "main",
                    "SELECT p.id, d.device, p.metric, p.subject FROM points p JOIN devices d ON d.id = p.device_id",
                )
            }
            points = self._ask("history", "SELECT id, point FROM history_series")
            self._series = {number: names[point] for number, point in points}
        return self._series[series]

    # --- alarms ----------------------------------------------------------------------------------------------------

    def _look_at_log(self) -> None:
        """Every revision was said by an agent, and was on its disk before it was sent."""
        self._said.look()
        query = (
            "SELECT e.rowid, a.origin, e.alarm_id, e.revision, e.kind FROM alarm_events e JOIN alarms a"
            " ON a.id = e.alarm_id WHERE e.rowid > ? ORDER BY e.rowid"
        )
        for row, origin, occurrence, revision, kind in self._ask("main", query, self._logged):
            self._logged = row
            edge = self._edges.get(origin)
            if edge is None or revision is None:
                continue
            event = self._said.of(occurrence).get(revision)
            if event is None or event.kind != kind:
                self._bad(f"2: nobody said revision {revision} of {occurrence}, {kind}")
            elif not self._durable(edge, occurrence, revision):
                self._bad(f"2: revision {revision} of {occurrence} came before it was on the disk of {origin}")

    def _look_at_alarms(self) -> None:
        """No alarm goes back to an earlier revision, is over though it stands, or comes or goes without a sample."""
        active = [row.id for row in self._alarms.values() if row.active]
        marks = ", ".join("?" * len(active))
        where = f"(active OR rowid > ? OR id IN ({marks}))"
        for number, row in alarm_rows(self._centre.files, where, self._last_alarm, *active):
            self._last_alarm = max(self._last_alarm, number)
            edge = self._edges.get(row.origin)
            if edge is None:
                continue
            before = self._alarms.get(row.id)
            self._alarms[row.id] = row
            if row.id not in self._said.by:
                self._bad(f"2: nobody raised {row.id} of {row.device} {row.rule}")
                continue
            if before is not None and row.revision < before.revision:
                self._bad(f"2: alarm {row.id} went from revision {before.revision} back to {row.revision}")
            if not row.active:
                self._ended[row.id] = row
            self._unjudged += [(row, raised) for raised in (True, False) if _turned(before, row, raised)]
        self._look_at_ended()
        self._unjudged = [each for each in self._unjudged if not self._judge(*each)]

    def _look_at_ended(self) -> None:
        """An agent does not hold what is over, and if nobody said so it may have forgotten it.

        Where its clock is behind what it showed before, a snapshot of then may end what came since: until time has
        caught up. That a younger one of the key came holds by any clock.
        """
        for row in list(self._ended.values()):
            edge, row = self._edges[row.origin], self._alarms[row.id]
            if row.active or any(event.kind == "ended" for event in self._said.of(row.id).values()):
                del self._ended[row.id]
                continue
            if edge.agent is None or (edge.astray() and not row.succeeded):
                continue
            del self._ended[row.id]
            if any(each.occurrence == row.id for each in edge.agent.engine.active()):
                self._bad(f"2: alarm {row.id} is over at the centre ({row.end_reason}), {edge.name} holds it")
            elif row.id not in forgettable(edge.lives):
                self._bad(f"2: alarm {row.id} is over at the centre ({row.end_reason}), {edge.name} never said so")

    def _judge(self, row: Row, raised: bool) -> bool:
        """Whether a coming or going could be judged: not while revisions before it are under way."""
        kind, at = ("raised", row.raised_at) if raised else ("ended", row.ended_at)
        for revision, event in self._said.of(row.id).items():
            if event.kind != kind or event.at != at:
                continue
            life, place = self._said.by[row.id][revision]
            rule = life.rule_of(place, row.device, row.rule)
            if rule is None:
                self._bad(f"4: {row.device} {row.rule} {row.subject} {kind} at {at}, when it was not judged")
                return True
            samples = self._took.good[row.origin, (row.device, rule.metric, row.subject)]
            found = unfounded(samples, row, rule, (life.epoch(said=place), at), raised=raised)
            if found:
                self._bad(found)
            return True
        return False

    def _durable(self, edge: Edge, occurrence: str, revision: int) -> bool:
        """Or sent from memory, as it may be by an agent whose disk refuses."""
        if any((occurrence, revision) in life.durable_events for life in edge.lives):
            return True
        life, _ = self._said.by[occurrence][revision]
        return life.unsaved_since is not None or (life is edge.lives[-1] and edge.refused_since is not None)


def _turned(before: Row | None, row: Row, raised: bool) -> bool:
    if raised:
        return before is None
    return row.end_reason == "recovered" and (before is None or before.active)


def unfounded(samples: list[Sample], row: Row, rule: PlainRule, at: tuple[Epoch, int], *, raised: bool) -> str:
    """What is wrong with an alarm that came or went at `at`; samples: the good ones of its point, in order."""
    index = bisect.bisect_right(samples, at, key=lambda sample: sample[0])
    last = samples[index - 1] if index else None
    mildest = rule.limits[0]
    if last is not None and (last[1] > mildest.limit if raised else last[1] <= mildest.clear):
        return ""
    what = "raised" if raised else "cleared"
    return f"4: {row.device} {row.rule} {row.subject} {what} at {at} on {last}"


# --- what the agents took and said ---------------------------------------------------------------------------------


class _Took:
    """Readings that agents took, by point and time (a clock set back may give one twice); the good values of each."""

    def __init__(self, edges: Mapping[str, Edge]) -> None:
        self._edges = edges
        self._accepted: dict[tuple[str, int], int] = defaultdict(int)
        self._polled: dict[tuple[str, int], int] = defaultdict(int)
        self.readings: dict[Name, dict[int, list[Reading]]] = defaultdict(lambda: defaultdict(list))
        self.good: dict[tuple[str, Name], list[Sample]] = defaultdict(list)

    def look(self) -> None:
        for edge in self._edges.values():
            for number, life in enumerate(edge.lives):
                self._keep(reading for _, reading in life.accepted[self._accepted[edge.name, number] :])
                self._accepted[edge.name, number] = len(life.accepted)
                for outcome in life.polled[self._polled[edge.name, number] :]:
                    if any(reading.taken_at < EARLIEST_MS for reading in outcome.readings):
                        break  # their time is still to come
                    epoch = life.epoch(polls=self._polled[edge.name, number])
                    self._judge(edge.name, epoch, outcome.readings)
                    self._polled[edge.name, number] += 1

    def _keep(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            self.readings[reading.device, reading.metric, reading.subject][reading.taken_at].append(reading)

    def _judge(self, edge: str, epoch: Epoch, readings: Iterable[Reading]) -> None:
        for reading in readings:
            if reading.good and isinstance(reading.value, float):
                self.good[edge, (reading.device, reading.metric, reading.subject)].append(
                    ((epoch, reading.taken_at), reading.value)
                )


class _Said:
    """Alarm events that agents said, by occurrence and revision: in which life (the last, if in several), and where."""

    def __init__(self, edges: Mapping[str, Edge]) -> None:
        self._edges = edges
        self._seen: dict[tuple[str, int], int] = defaultdict(int)
        self.by: dict[str, dict[int, tuple[Life, int]]] = defaultdict(dict)

    def look(self) -> None:
        for edge in self._edges.values():
            for number, life in enumerate(edge.lives):
                for place in range(self._seen[edge.name, number], len(life.said)):
                    event = life.said[place]
                    self.by[event.occurrence][event.revision] = life, place
                self._seen[edge.name, number] = len(life.said)

    def of(self, occurrence: str) -> dict[int, AlarmEvent]:
        """With the times they have now: those of a clock that knew none are moved when it is set."""
        return {revision: life.said[place] for revision, (life, place) in self.by.get(occurrence, {}).items()}
