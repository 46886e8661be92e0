"""What must be true when everything has drained, read from the files of the centre past the server's code."""

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facility.alarms import AlarmEvent
from facility.clock import to_ms
from facility.reading import Reading
from tests.simulation.machines import Edge
from tests.simulation.model import RULES, PlainRule, PointModel, State

if TYPE_CHECKING:
    from tests.simulation.run import World

SEVERITIES = ("info", "minor", "major", "critical")
# A group commit, the commit's own time and a tick of whoever writes the time down.
LOSS_BOUND_S = 1.2
# The rule state is saved with each alarm, and else this often (agent.journal.taken.RULES_EVERY_S) and a group commit.
STATE_SAVED_MS = 31_500


def waiting(edge: Edge) -> dict[str, int]:
    """What of an agent has not reached the centre."""
    assert edge.agent is not None
    assert edge.agent.uplink is not None
    journal = edge.agent.journal
    return {
        "taken": len(journal._taken),
        "in memory": len(journal._waiting),
        "in flight": edge.agent.uplink.in_flight,
        "answered": len(journal._answered),
        "unsent": sum(count for kind, count in journal._store.unsent.blocks.items()),
    }


def check(world: "World") -> None:
    main, history = world.centre.folder / "main.db", world.centre.folder / "history.db"
    readings = _history(main, history)
    quarantined = _rows(main, "SELECT count(*) FROM ingest_quarantine")[0][0]
    for name, fell in ((world.centre.name, world.centre.fell), *((e.name, e.fell) for e in world.edges.values())):
        for why in fell:
            world.bad(f"0: {name} fell by itself: {why}")
    for edge in world.edges.values():
        _readings(world, edge, readings, quarantined)
        _alarms(world, edge, main)
        _event_time(world, edge)
    _tickets(world, main)


# --- 1: readings ---------------------------------------------------------------------------------------------------


def _readings(world: "World", edge: Edge, kept: dict[tuple[str, str, str], dict[int, Any]], quarantined: int) -> None:
    """Each accepted sample is in history once, or was lost within the bound of a kill, or is counted."""
    accepted: dict[tuple[str, str, str], dict[int, Reading]] = defaultdict(dict)
    excused: set[tuple[str, str, str, int]] = set()
    counted = 0
    for number, life in enumerate(edge.lives):
        polled = sum(len(outcome.readings) for outcome in life.polled)
        if polled != len(life.accepted) + life.held + life.drops.get("clock", 0):
            world.bad(
                f"1: {edge.name} life {number}: {polled} readings polled, {len(life.accepted)} taken, {life.held} held,"
                f" drops {life.drops}"
            )
        counted += sum(life.drops.values())
        for position, (at, reading) in enumerate(life.accepted):
            accepted[reading.device, reading.metric, reading.subject][reading.taken_at] = reading
            if life.killed is None or position < life.durable_readings:
                continue
            excused.add((reading.device, reading.metric, reading.subject, reading.taken_at))
            if at < life.killed - LOSS_BOUND_S and life.unsaved_since is None:
                world.bad(
                    f"1: {edge.name} life {number}: taken at {at:.2f} s, not on the disk at {life.killed:.2f}, the kill"
                )
    missing, strange, wrong = [], [], []
    for name, samples in accepted.items():
        found = kept.get(name, {})
        for at, reading in samples.items():
            world.result.readings += 1
            if at not in found:
                if (*name, at) in excused:
                    world.result.lost += 1
                else:
                    missing.append((*name, at))
            elif not _same(found[at], reading):
                wrong.append((*name, at, reading.value, found[at]))
    for name, rows in kept.items():
        if name[0] in edge.devices:
            strange += [(*name, at) for at in rows if at not in accepted[name]]
    if len(missing) > counted + (quarantined if edge.jumped else 0):
        world.bad(f"1: {edge.name}: {len(missing)} readings are missing, {counted} counted as dropped: {missing[:3]}")
    if strange:
        world.bad(f"1: {edge.name}: {len(strange)} readings in history that nobody took: {strange[:3]}")
    if wrong:
        world.bad(f"1: {edge.name}: {len(wrong)} readings with another value: {wrong[:3]}")


def _same(found: float | None, reading: Reading) -> bool:
    if isinstance(reading.value, float | None):
        return found == reading.value
    return found is not None  # a state, kept as its code


def _history(main: Path, history: Path) -> dict[tuple[str, str, str], dict[int, Any]]:
    points = {
        row[0]: (row[1], row[2], row[3])
        for row in _rows(
            main, "SELECT p.id, d.device, p.metric, p.subject FROM points p JOIN devices d ON d.id = p.device_id"
        )
    }
    found: dict[tuple[str, str, str], dict[int, Any]] = defaultdict(dict)
    query = "SELECT s.point, r.taken_at, r.value FROM history_readings r JOIN history_series s ON s.id = r.series"
    for point, at, value in _rows(history, query):
        found[points[point]][at] = value
    return found


# --- 2 and 4: alarms -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """An alarm as the centre has it; times in ms."""

    id: str
    device: str
    rule: str
    subject: str
    revision: int
    severity: str
    worst: str
    end_reason: str | None
    active: bool
    raised_at: int
    ended_at: int | None


def _alarms(world: "World", edge: Edge, main: Path) -> None:
    """The centre's alarms are the fold of what the agent said and kept."""
    rows = {row.id: row for row in _alarm_rows(main, edge.name)}
    world.result.alarms += len(rows)
    durable: dict[str, dict[int, AlarmEvent]] = defaultdict(dict)
    vague: set[str] = set()
    for life in edge.lives:
        for event in life.said:
            if life.killed is None or (event.occurrence, event.revision) in life.durable_events:
                durable[event.occurrence][event.revision] = event
            elif life.unsaved_since is not None:
                # Sent from memory while the disk refused, then forgotten by the kill: the centre may know more.
                vague.add(event.occurrence)
    for occurrence, events in durable.items():
        row = rows.get(occurrence)
        if row is None:
            if occurrence not in vague:
                world.bad(f"2: {edge.name}: alarm {occurrence} never came: {_short(events)}")
        elif occurrence not in vague:
            _fold(world, row, events)
    for occurrence in rows.keys() - durable.keys() - vague:
        world.bad(f"2: {edge.name}: nobody raised {occurrence}")
    assert edge.agent is not None
    held = {each.occurrence for each in edge.agent.engine.active()}
    active = {row.id for row in rows.values() if row.active}
    # A snapshot judges nothing that began after it: with a clock set back that heals only when time has caught up.
    if held != active and not edge.jumped:
        world.bad(f"2: {edge.name} holds {sorted(held)}, the centre {sorted(active)}")
    if not edge.jumped:
        _no_clear_without_a_good_sample(world, edge, rows.values())


def _fold(world: "World", row: Row, events: dict[int, AlarmEvent]) -> None:
    ordered = [events[revision] for revision in sorted(events)]
    newest = ordered[-1]
    ended = newest.kind == "ended"
    living = [event for event in ordered if event.kind != "ended"] or ordered
    want = (
        newest.revision,
        str(living[-1].severity),
        max((str(event.severity) for event in ordered), key=SEVERITIES.index),
        not ended,
        ordered[0].at,
        newest.at if ended else None,
        newest.reason if ended else None,
    )
    have = (row.revision, row.severity, row.worst, row.active, row.raised_at, row.ended_at, row.end_reason)
    if want != have:
        world.bad(f"2: alarm {row.id} of {row.device} {row.rule}: centre has {have}, the events make {want}")


def _no_clear_without_a_good_sample(world: "World", edge: Edge, rows: Any) -> None:
    good: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    for life in edge.lives:
        for outcome in life.polled:
            for reading in outcome.readings:
                if reading.good and isinstance(reading.value, float):
                    good[reading.device, reading.metric, reading.subject].append((reading.taken_at, reading.value))
    rules = {rule.id: rule for rule in RULES}
    for row in rows:
        if row.rule not in rules:
            world.bad(f"4: an alarm of a rule that is not there: {row}")
            continue
        rule = rules[row.rule]
        samples = good[row.device, rule.metric, row.subject]
        for at, raised in ((row.raised_at, True), (row.ended_at, False)):
            if at is None or (not raised and row.end_reason != "recovered"):
                continue
            last = max((each for each in samples if each[0] <= at), default=None)
            mildest = rule.limits[0]
            if last is None or (last[1] <= mildest.limit if raised else last[1] > mildest.clear):
                what = "raised" if raised else "cleared"
                world.bad(f"4: {row.device} {row.rule} {row.subject} {what} at {at} on {last}")


def _event_time(world: "World", edge: Edge) -> None:
    """What each incarnation said is what the samples say in event time, from where its predecessor may have stood."""
    if edge.jumped:
        return
    for device in edge.devices:
        for rule in RULES:
            for subject in [point[1] for point in edge.devices[device].scripts if point[0] == rule.metric]:
                _event_time_of(world, edge, device, rule, subject)


def _event_time_of(world: "World", edge: Edge, device: str, rule: PlainRule, subject: str) -> None:
    fresh = PointModel(rule).state
    states: list[State] = [fresh]
    for number, life in enumerate(edge.lives):
        said = [
            (str(event.kind), event.at, str(event.severity))
            for event in life.said
            if (event.device, event.rule, event.subject) == (device, rule.id, subject)
        ]
        tries = []
        for state in states:
            model = PointModel.going_on(rule, state)
            for outcome in life.polled:
                for reading in outcome.readings:
                    if (reading.metric, reading.subject, reading.device) == (rule.metric, subject, device):
                        model.sample(reading.taken_at, reading.value if reading.good else None)  # type: ignore[arg-type]
            end = life.killed_ms if life.killed is not None else world_ms(edge)
            # The engine's timers act once a second, so of the last second nobody can say.
            model.pass_time(end - 1_100)
            tries.append((model, end))
        fits = [(model, end) for model, end in tries if _agree(model.said, said, end)]
        if not fits:
            want = tries[0][0].said
            world.bad(f"2: {edge.name} life {number}: {device} {rule.id} {subject} said {said}, should be {want}")
            return
        window = STATE_SAVED_MS
        if life.killed is not None and life.unsaved_since is not None:
            window += round((life.killed - life.unsaved_since) * 1000)
        found = [state for model, end in fits for state in model.states_since(end - window)]
        states = [state for state in dict.fromkeys(found) if state.active is _held(edge, number, device, rule, subject)]
        if not states:
            states = list(dict.fromkeys(found))


def _agree(want: list[tuple[str, int, str]], said: list[tuple[str, int, str]], end: int) -> bool:
    """The same, but for a timer of the last second, which may have been let act or not."""
    if want == said:
        return True
    return len(said) == len(want) + 1 and said[:-1] == want and said[-1][1] >= end - 2_200


def _held(edge: Edge, number: int, device: str, rule: PlainRule, subject: str) -> bool:
    """Whether an alarm of the key stood on the disk when an incarnation ended."""
    newest: dict[str, AlarmEvent] = {}
    for life in edge.lives[: number + 1]:
        for event in life.said:
            if (event.device, event.rule, event.subject) != (device, rule.id, subject):
                continue
            if life.killed is None or (event.occurrence, event.revision) in life.durable_events:
                newest[event.occurrence] = event
    return any(event.kind != "ended" for event in newest.values())


def world_ms(edge: Edge) -> int:
    assert edge.agent is not None
    return to_ms(edge.agent._clock.now())


# --- tickets -------------------------------------------------------------------------------------------------------


def _tickets(world: "World", main: Path) -> None:
    """At most one open ticket of a key; every alarm that was bad enough is in one."""
    tickets = _rows(main, "SELECT id, alarm_key_id, state FROM tickets WHERE alarm_key_id IS NOT NULL")
    world.result.tickets = len(tickets)
    open_ones = Counter(key for _, key, state in tickets if state not in ("resolved", "closed", "cancelled"))
    for key, count in open_ones.items():
        if count > 1:
            world.bad(f"3: {count} open tickets of the alarm key {key}")
    query = (
        "SELECT id, device, rule, worst_severity FROM alarms"
        " WHERE worst_severity != 'info' AND id NOT IN (SELECT alarm_id FROM ticket_alarms)"
    )
    for row in _rows(main, query):
        world.bad(f"3: no ticket for the alarm {row}")


# --- reading the files ---------------------------------------------------------------------------------------------


def _alarm_rows(main: Path, origin: str) -> list[Row]:
    columns = "id, device, rule, subject, revision, severity, worst_severity, end_reason, active, raised_at, ended_at"
    found = []
    for row in _rows(main, f"SELECT {columns} FROM alarms WHERE origin = ?", origin):
        ended_at = None if row[10] is None else _ms(row[10])
        rest: dict[str, Any] = {"active": bool(row[8]), "raised_at": _ms(row[9]), "ended_at": ended_at}
        found.append(Row(*row[:8], **rest))
    return found


def _ms(text: str | int) -> int:
    if isinstance(text, int):
        return text // 1000
    return to_ms(datetime.fromisoformat(text))


def _rows(path: Path, query: str, *values: object) -> list[Any]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query, values).fetchall()
    finally:
        db.close()


def _short(events: dict[int, AlarmEvent]) -> list[tuple[int, str, int]]:
    return [(event.revision, str(event.kind), event.at) for event in events.values()]
