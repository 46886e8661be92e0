"""What must be true when everything has drained, read from the files of the centre past the server's code."""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.app import CLOCK_LOOK_S
from facility import wire
from facility.alarms import AlarmEvent
from facility.clock import STEP_MS, to_ms
from facility.items import AHEAD_MS, EARLIEST_MS, decode_series
from facility.reading import QualityReason, Reading
from facility.wire import Kind, RejectReason
from tests.simulation.lives import Life, Step, forgotten, standing, unsaved
from tests.simulation.machines import START, Edge
from tests.simulation.model import PlainRule, PointModel, State
from tests.simulation.rows import Files, Name, Row, alarm_rows
from tests.simulation.rulebook import RULES
from tests.simulation.tickets import SEVERITIES

if TYPE_CHECKING:
    from tests.simulation.run import World

# A group commit, the commit's own time and a tick of whoever writes the time down.
LOSS_BOUND_S = 1.2
# The rule state is saved with each alarm, and else this often (agent.journal.taken.RULES_EVERY_S) and a group commit.
STATE_SAVED_MS = 31_500
Samples = list[tuple[int, Reading]]  # of a point in a life, each with the number of its poll


def waiting(edge: Edge) -> dict[str, int]:
    """What of an agent has not reached the centre."""
    assert edge.agent is not None
    assert edge.agent.uplink is not None
    journal = edge.agent.journal
    store = journal._store
    unsent = {kind: count for kind, count in store.unsent.blocks.items() if count}
    if edge.metered and unsent.pop(Kind.READINGS, 0):
        # Those that are not packed yet wait for that.
        unsent[Kind.READINGS] = len(store.unsent_of(Kind.READINGS, upto=store.packed, limit=1))
    return {
        "taken": len(journal._taken),
        "in memory": len(journal._waiting),
        "in flight": edge.agent.uplink.in_flight,
        "answered": len(journal._answered),
        "unsent": sum(unsent.values()),
    }


def check(world: "World") -> None:
    files = world.centre.files
    readings = _history(files)
    for name, fell in ((world.centre.name, world.centre.fell), *((e.name, e.fell) for e in world.edges.values())):
        for why in fell:
            world.bad(f"0: {name} fell by itself: {why}")
    for edge in world.edges.values():
        _readings(world, edge, readings)
        _alarms(world, edge, files)
        _event_time(world, edge)
        _stamps(world, edge)
    world.result.tickets = world.watch.tickets.check()


# --- 1: readings ---------------------------------------------------------------------------------------------------


def _readings(world: "World", edge: Edge, kept: dict[Name, dict[int, Any]]) -> None:
    """Each accepted sample is in history, or was refused, or was lost within the bound of a kill, or is counted.

    That nothing else is there, and nothing with another value, `Watch` has looked after.
    """
    accepted: dict[Name, set[int]] = defaultdict(set)
    excused: set[tuple[str, str, str, int]] = set()
    ahead: set[tuple[str, str, str, int]] = set()
    counted = lost = 0
    for number, life in enumerate(edge.lives):
        polled = sum(len(outcome.readings) for outcome in life.polled)
        if polled != len(life.accepted) + life.held + life.drops.get("clock", 0):
            world.bad(
                f"1: {edge.name} life {number}: {polled} readings polled, {len(life.accepted)} taken, {life.held} held,"
                f" drops {life.drops}"
            )
        # What was dropped for its clock was never taken.
        counted += sum(life.drops.values()) - life.drops.get("clock", 0) + life.thinned
        for position, (at, reading) in enumerate(life.accepted):
            name = reading.device, reading.metric, reading.subject
            accepted[name].add(reading.taken_at)
            if reading.taken_at > to_ms(START) + at * 1000 + AHEAD_MS:
                ahead.add((*name, reading.taken_at))
            if life.killed is None or position < life.durable_readings:
                continue
            excused.add((*name, reading.taken_at))
            if at < life.killed - LOSS_BOUND_S and life.unsaved_since is None:
                world.bad(
                    f"1: {edge.name} life {number}: taken at {at:.2f} s, not on the disk at {life.killed:.2f}, the kill"
                )
    missing = []
    unsent = _held_back(edge)
    for name, samples in accepted.items():
        found = kept.get(name, {})
        world.result.readings += len(samples)
        for at in samples - found.keys() - unsent.get(name, set()):
            why = world.centre.refused.get((*name, at))
            if why is RejectReason.BAD_TIME and (*name, at) in ahead:
                world.result.refused += 1
            elif why is not None:
                world.bad(f"1: {edge.name}: the centre refused the reading {(*name, at)}: {why}")
            elif (*name, at) in excused:
                lost += 1
            else:
                missing.append((*name, at))
    world.result.lost += lost
    # Which of those that were dropped a kill would have taken anyway, nobody knows.
    if not len(missing) <= counted <= len(missing) + lost:
        world.bad(
            f"1: {edge.name}: {len(missing)} readings are missing and {lost} lost by kills, {counted} counted as"
            f" dropped: {missing[:3]}"
        )


def _held_back(edge: Edge) -> dict[Name, set[int]]:
    """What waits at an agent on a metered link for being packed."""
    assert edge.agent is not None
    store = edge.agent.journal._store
    found: dict[Name, set[int]] = defaultdict(set)
    if edge.metered:
        for each in store.unsent_of(Kind.READINGS, above=store.packed, limit=100_000):
            for series in decode_series(wire.decode(each.block.payload()).items, now_ms=1 << 60)[0]:
                found[series.point.device, series.point.metric, series.point.subject].update(series.at)
    return found


def _stamps(world: "World", edge: Edge) -> None:
    """What is kept bears the time at which it was read, also if nobody knew that time then."""
    for number, life in enumerate(edge.lives):
        times = {(reading.device, reading.taken_at) for outcome in life.polled for reading in outcome.readings}
        strange = [reading for _, reading in life.accepted if (reading.device, reading.taken_at) not in times]
        if strange:
            world.bad(f"1: {edge.name} life {number}: kept under a time at which nothing was read: {strange[:3]}")
        for at, outcome in zip(life.polled_at, life.polled, strict=True):
            for reading in outcome.readings:
                if reading.taken_at < EARLIEST_MS:
                    continue  # the time was never learnt
                late = at - (reading.taken_at / 1000 - START.timestamp())
                if not any(abs(late + jump) <= STEP_MS / 1000 for jump in _jumps(edge, life, at)):
                    world.bad(f"1: {edge.name} life {number}: read at {at:.2f}, stamped {late:.2f} s before: {reading}")
                break  # those of a poll have one time
        knew = life.began_ms >= EARLIEST_MS
        if knew and any(reading.reason is QualityReason.CLOCK for _, reading in life.accepted):
            world.bad(f"1: {edge.name} life {number}: readings are doubted though the clock was right")
        if life.held and (knew or life.moved):
            world.bad(f"1: {edge.name} life {number}: {life.held} readings are held though the time is known")


def _jumps(edge: Edge, life: Life, at: float) -> list[float]:
    """How wrong an agent's clock may have been: it looks at the machine's every so often."""
    if life.moved and at < life.set_at / 1000 - START.timestamp():
        return [0.0]
    following = [until for until, _ in edge.jumps[1:]] + [math.inf]
    return [
        jump
        for (since, jump), until in zip(edge.jumps, following, strict=True)
        if since <= at <= until + CLOCK_LOOK_S + STEP_MS / 1000
    ]


def _history(files: Files) -> dict[tuple[str, str, str], dict[int, Any]]:
    points = {
        row[0]: (row[1], row[2], row[3])
        for row in files.ask(
            "main", "SELECT p.id, d.device, p.metric, p.subject FROM points p JOIN devices d ON d.id = p.device_id"
        )
    }
    found: dict[tuple[str, str, str], dict[int, Any]] = defaultdict(dict)
    query = "SELECT s.point, r.taken_at, r.value FROM history_readings r JOIN history_series s ON s.id = r.series"
    for point, at, value in files.ask("history", query):
        found[points[point]][at] = value
    return found


# --- 2 and 4: alarms -----------------------------------------------------------------------------------------------


def _alarms(world: "World", edge: Edge, files: Files) -> None:
    """The centre's alarms are the fold of what the agent said and kept."""
    rows = {row.id: row for _, row in alarm_rows(files, "origin = ?", edge.name)}
    world.result.alarms += len(rows)
    durable: dict[str, dict[int, AlarmEvent]] = defaultdict(dict)
    vague, lost = unsaved(edge.lives), forgotten(edge.lives)
    for life in edge.lives:
        for event in life.said:
            if life.killed is None or (event.occurrence, event.revision) in life.durable_events:
                durable[event.occurrence][event.revision] = event
    for occurrence, events in durable.items():
        row = rows.get(occurrence)
        if row is None:
            if occurrence not in vague:
                world.bad(f"2: {edge.name}: alarm {occurrence} never came: {_short(events)}")
        elif occurrence not in vague:
            _fold(world, row, events, lost=occurrence in lost)
    for occurrence in rows.keys() - durable.keys() - vague:
        world.bad(f"2: {edge.name}: nobody raised {occurrence}")
    _order(world, edge)
    assert edge.agent is not None
    held = {each.occurrence for each in edge.agent.engine.active()}
    active = {row.id for row in rows.values() if row.active}
    if held != active:
        world.bad(f"2: {edge.name} holds {sorted(held)}, the centre {sorted(active)}")


def _order(world: "World", edge: Edge) -> None:
    """The centre takes the greater id of a key for the younger alarm, whatever clock the agent had when.

    Without a clock it goes on after what its disk knows; of what was never there, or is lost, it cannot know.
    """
    newest: dict[tuple[str, str, str], str] = {}
    on_disk: dict[tuple[str, str, str], str] = {}
    said: set[str] = set()
    for life in edge.lives:
        known = dict(on_disk) if not life.forgot else {}
        for event in life.said:
            if event.occurrence in said:
                continue
            said.add(event.occurrence)
            key = (event.device, event.rule, event.subject)
            clock = life.began_ms >= EARLIEST_MS or (life.moved and event.at >= life.set_at)
            before = (newest if clock else known).get(key, "")
            if event.occurrence < before:
                world.bad(f"2: {edge.name} life {life.number}: {event.occurrence} of {key} was raised after {before}")
            newest[key] = max(newest.get(key, ""), event.occurrence)
            known[key] = max(known.get(key, ""), event.occurrence)
            if (event.occurrence, event.revision) in life.durable_events:
                on_disk[key] = max(on_disk.get(key, ""), event.occurrence)


def _fold(world: "World", row: Row, events: dict[int, AlarmEvent], *, lost: bool) -> None:
    """lost: the agent forgot it while it stood, so a snapshot or its successor may have ended it."""
    ordered = [events[revision] for revision in sorted(events)]
    newest = ordered[-1]
    ended = newest.kind == "ended"
    living = [event for event in ordered if event.kind != "ended"] or ordered
    want: tuple[object, ...] = (
        newest.revision,
        str(living[-1].severity),
        max((str(event.severity) for event in ordered), key=SEVERITIES.index),
        not ended,
        ordered[0].at,
        newest.at if ended else None,
        newest.reason if ended else None,
    )
    have: tuple[object, ...] = (
        *(row.revision, row.severity, row.worst, row.active),
        *(row.raised_at, row.ended_at, row.end_reason),
    )
    if lost and not ended and not row.active and row.end_reason == "superseded":
        want, have = want[:3], have[:3]
    if want != have:
        world.bad(f"2: alarm {row.id} of {row.device} {row.rule}: centre has {have}, the events make {want}")


def _event_time(world: "World", edge: Edge) -> None:
    """What each incarnation said is what the samples say in event time, from where its predecessor may have stood."""
    samples = [_samples(life) for life in edge.lives]
    for device in edge.devices:
        for rule in RULES.values():
            for subject in [point[1] for point in edge.devices[device].scripts if point[0] == rule.metric]:
                name = (device, rule.metric, subject)
                _event_time_of(world, edge, device, rule, subject, [each[name] for each in samples])


def _samples(life: Life) -> dict[Name, Samples]:
    found: dict[Name, Samples] = defaultdict(list)
    for number, outcome in enumerate(life.polled):
        for reading in outcome.readings:
            found[reading.device, reading.metric, reading.subject].append((number, reading))
    return found


def _event_time_of(
    world: "World", edge: Edge, device: str, rule: PlainRule, subject: str, samples: Sequence[Samples]
) -> None:
    """samples: the point's, by life."""
    fresh = State.fresh(edge.lives[0].watched[0].rule(device, rule.id))
    states: list[State] = [fresh]
    for number, life in enumerate(edge.lives):
        said = [
            (str(event.kind), event.at, str(event.severity), event.reason if event.kind == "ended" else "")
            for event in life.said
            if (event.device, event.rule, event.subject) == (device, rule.id, subject)
        ]
        tries = []
        for state in [State.fresh(None)] if life.forgot else states:
            model = PointModel.going_on(state, began=life.began_ms, moved=life.moved)
            _live(model, life, samples[number], device, rule.id)
            end = life.killed_ms if life.killed is not None else world_ms(edge)
            # The engine's timers act within a second of running out, so of the last second nobody can say.
            model.pass_time(end - 1_100)
            if model.said != said:
                model.pass_time(end)
            tries.append((model, end))
        fits = [(model, end) for model, end in tries if model.said == said]
        if not fits:
            want = tries[0][0].said
            world.bad(f"2: {edge.name} life {number}: {device} {rule.id} {subject} said {said}, should be {want}")
            return
        # None is saved while an event waits for its time.
        window = STATE_SAVED_MS + life.undated_ms
        if life.killed is not None and life.unsaved_since is not None:
            window += round((life.killed - life.unsaved_since) * 1000)
        found = [state for model, end in fits for state in model.states_since(end - window)]
        if life.forgot and end - window <= life.began_ms + life.moved + sum(step.step_ms for step in life.steps):
            found += states  # it may not have saved anything over what it could not read
        if life.moved and end - window < life.set_at:
            found += [state.moved(-life.moved) for state in found]
        held = _held(edge, number, device, rule, subject)
        states = [state for state in dict.fromkeys(found) if state.active in held]
        if not states:
            states = list(dict.fromkeys(found))


def _live(model: PointModel, life: Life, samples: Samples, device: str, rule: str) -> None:
    """What a point's samples and the rules that came and went make of it in a life."""
    turns = deque(life.turns)
    for number, reading in (*samples, (len(life.polled), None)):
        while turns and turns[0].polls <= number:
            change = turns.popleft()
            model.pass_time(change.advanced)
            if isinstance(change, Step):
                model.step(change.at, change.step_ms)
                continue
            gone = "rule_removed" if device in change.devices else "device_retired"
            model.change(change.at, change.rule(device, rule), gone=gone)
        if reading is not None:
            model.sample(reading.taken_at, reading.value if reading.good else None)  # type: ignore[arg-type]


def _held(edge: Edge, number: int, device: str, rule: PlainRule, subject: str) -> set[bool]:
    """Whether an alarm of the key may have stood on the disk when an incarnation ended.

    One whose end was not saved, and that was then forgotten, is there no more, unless nothing was saved over it.
    """
    lives = edge.lives[: number + 1]
    stood = {
        event.occurrence
        for event in standing(lives)
        if (event.device, event.rule, event.subject) == (device, rule.id, subject)
    }
    return {True, False} if stood and stood <= forgotten(lives) else {bool(stood)}


def world_ms(edge: Edge) -> int:
    assert edge.agent is not None
    return to_ms(edge.agent._clock.now())


def _short(events: dict[int, AlarmEvent]) -> list[tuple[int, str, int]]:
    return [(event.revision, str(event.kind), event.at) for event in events.values()]
