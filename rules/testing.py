"""Tests of rule files, written by the people who write the rules.

Beside `ups.yaml` stands `ups.test.yaml`: a device, series in short notation (`rules.series`), and every alarm event
they must cause, no more and no fewer. The same engine judges as in the agent; only time is typed in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.config import ConfigErrors, ConfigProblem, Document, read_yaml, validate
from facility.metrics import UnknownMetricError
from facility.metrics import metric as register_entry
from facility.reading import PointKey, Quality, QualityReason, Reading
from facility.severity import Severity
from rules.durations import parse_duration, write_duration
from rules.engine import Engine
from rules.facts import DeviceFacts
from rules.files import LIBRARY, TEST_SUFFIX, RuleErrors, library, load_rules
from rules.model import RuleSet
from rules.parts import Where
from rules.series import Step, parse_series

_Duration = Annotated[int, BeforeValidator(parse_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _check_point(name: str) -> None:
    try:
        register_entry(name.partition("#")[0])
    except UnknownMetricError as exc:
        raise ValueError(str(exc)) from exc


class Device(_Part):
    """A device under test; every point of the series is an expected one, and `points` adds silent ones."""

    id: str = "device-1"
    kind: str = "sensor"
    zone: str = ""
    room: str = ""
    room_class: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    points: tuple[str, ...] = ()

    @field_validator("points")
    @classmethod
    def _are_registered(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            _check_point(name)
        return value


class Expected(_Part):
    """One event. What is left out is not compared, except `rule` and `kind`."""

    at: _Duration
    rule: str
    kind: AlarmEventKind
    level: str | None = None
    severity: Severity | None = None
    subject: str | None = None
    reason: str | None = None


class Case(_Part):
    """One test. rules: look only at these (default: all of the file). until: how long time goes on.

    devices: more than one; a series then begins with the id of its device: `crac-1:crac.state`.
    """

    name: str = Field(min_length=3)
    device: Device = Device()
    devices: tuple[Device, ...] = ()
    step: _Duration = Field(default=30_000, gt=0)
    series: Mapping[str, str]
    expect: tuple[Expected, ...] = ()
    rules: tuple[str, ...] = ()
    until: _Duration | None = None

    @field_validator("series")
    @classmethod
    def _is_readable(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in value.items():
            _check_point(name.rpartition(":")[2])
            parse_series(text)
        return value


class CaseFile(_Part):
    """A `*.test.yaml`."""

    version: Literal[1]
    tests: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went. place: `file:line`; differences: empty when it passed.

    raised and recovered: the rules it raised an alarm of, and those whose alarm recovered in it.
    """

    place: str
    name: str
    differences: tuple[str, ...]
    raised: frozenset[str]
    recovered: frozenset[str]

    @property
    def passed(self) -> bool:
        return not self.differences


def case_paths(paths: Iterable[Path]) -> list[Path]:
    """The test files among `paths`: a test file as given, of a rule file its neighbour, of a folder all."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob(f"*{TEST_SUFFIX}"))
        elif path.name.endswith(TEST_SUFFIX):
            found.append(path)
        else:
            found.append(path.with_name(path.stem + TEST_SUFFIX))
    return found


def run_files(paths: Iterable[Path]) -> list[CaseResult]:
    """Run the tests of files and folders. RuleErrors with everything that cannot be read, before any is run."""
    problems: list[ConfigProblem] = []
    ready: list[tuple[RuleSet, Document, CaseFile]] = []
    given = list(paths)
    files = case_paths(given)
    shipped = library()
    if not files:
        where = ", ".join(str(path) for path in given)
        raise RuleErrors([ConfigProblem(where, 0, "", f"holds no rule tests (*{TEST_SUFFIX})")])
    for path in files:
        try:
            document = read_yaml(path)
            cases = validate(document, CaseFile)
            rules = _rules_beside(path, shipped)
            problems += _unknown_rules(document, cases, rules)
            ready.append((rules, document, cases))
        except ConfigErrors as exc:
            problems += exc.problems
    if problems:
        raise RuleErrors(problems)
    return [_result(rules, document, i, case) for rules, document, cases in ready for i, case in enumerate(cases.tests)]


def _rules_beside(path: Path, shipped: RuleSet) -> RuleSet:
    """The rules of the file a test stands beside, and the shipped ones it changes: no others, they would join in."""
    made = load_rules([path.with_name(path.name.removesuffix(TEST_SUFFIX) + ".yaml")], over=shipped)
    return RuleSet(tuple(rule for rule in made if shipped.get(rule.id) is not rule), made.special)


def run_library() -> list[CaseResult]:
    """Run the tests of the shipped rules."""
    return run_files([LIBRARY])


def events_of(rules: RuleSet, case: Case) -> list[AlarmEvent]:
    """Every event the case causes, in order. Time starts at 0."""
    series = {name: parse_series(text) for name, text in case.series.items()}
    devices = case.devices or (case.device,)
    facts = [
        DeviceFacts(
            id=device.id,
            kind=device.kind,
            zone=device.zone,
            room=device.room,
            room_class=device.room_class,
            labels=device.labels,
            points=tuple(
                point
                for name in (*series, *(f"{device.id}:{silent}" for silent in device.points))
                if (point := _point(devices[0].id, name)).device == device.id
            ),
            interval_s=case.step / 1000,
        )
        for device in devices
    ]
    count = 0

    def name_occurrence(at_ms: int) -> str:
        nonlocal count
        count += 1
        return f"{at_ms}-{count}"

    engine = Engine(rules, facts, origin="test", new_id=name_occurrence, started_ms=0)
    events: list[AlarmEvent] = []
    longest = max((len(steps) for steps in series.values()), default=0)
    for i in range(longest):
        at = i * case.step
        events += engine.advance(at)
        readings = [
            _reading(_point(devices[0].id, name), steps[i], at) for name, steps in series.items() if i < len(steps)
        ]
        events += engine.samples(reading for reading in readings if reading is not None)
    end = case.until if case.until is not None else max(0, longest - 1) * case.step
    return events + engine.advance(end + 1)


def _point(device: str, name: str) -> PointKey:
    """The point of a series, of `device` unless it names another."""
    owner, _, point = name.rpartition(":")
    metric, _, subject = point.partition("#")
    return PointKey(owner or device, metric, subject)


def _reading(point: PointKey, step: Step, at: int) -> Reading | None:
    if step.failed:
        return Reading(
            point.device, point.metric, point.subject, None, at, quality=Quality.BAD, reason=QualityReason.TIMEOUT
        )
    if step.value is None:
        return None
    return Reading(point.device, point.metric, point.subject, step.value, at)


def _unknown_rules(document: Document, cases: CaseFile, rules: RuleSet) -> list[ConfigProblem]:
    problems = []
    for i, case in enumerate(cases.tests):
        named: list[tuple[tuple[str | int, ...], str]] = [
            (("tests", i, "expect", j, "rule"), expected.rule) for j, expected in enumerate(case.expect)
        ]
        named += [(("tests", i, "rules", j), name) for j, name in enumerate(case.rules)]
        problems += [
            document.problem(path, f"the rule file has no rule {name!r}")
            for path, name in named
            if rules.get(name) is None
        ]
    return problems


def _result(rules: RuleSet, document: Document, index: int, case: Case) -> CaseResult:
    place = document.problem(("tests", index), "")
    edge = RuleSet(tuple(rule for rule in rules if not case.rules or rule.id in case.rules))
    events = events_of(RuleSet(tuple(rule.model_copy(update={"where": Where.EDGE}) for rule in edge)), case)
    return CaseResult(
        place=f"{place.file}:{place.line}",
        name=case.name,
        differences=tuple(_differences(case.expect, events)),
        raised=frozenset(event.rule for event in events if event.kind is AlarmEventKind.RAISED),
        recovered=frozenset(event.rule for event in events if event.reason == EndReason.RECOVERED),
    )


def _differences(expected: Iterable[Expected], events: Iterable[AlarmEvent]) -> list[str]:
    """Expected events that did not come, and events nobody expected; order within an instant does not matter."""
    left = list(events)
    missing: list[str] = []
    for wanted in expected:
        match = next((event for event in left if _matches(wanted, event)), None)
        if match is None:
            missing.append(f"missing: {_write_expected(wanted)}")
        else:
            left.remove(match)
    return missing + [f"not expected: {_write_event(event)}" for event in left]


def _matches(wanted: Expected, event: AlarmEvent) -> bool:
    if (wanted.at, wanted.rule, wanted.kind) != (event.at, event.rule, event.kind):
        return False
    pairs: list[tuple[Any, Any]] = [
        (wanted.level, event.level),
        (wanted.severity, event.severity),
        (wanted.subject, event.subject),
        (wanted.reason, event.reason),
    ]
    return all(want is None or want == have for want, have in pairs)


def _write_expected(wanted: Expected) -> str:
    words = [write_duration(wanted.at), wanted.rule, wanted.kind, wanted.level, wanted.severity, wanted.reason]
    return " ".join(str(word) for word in words if word is not None)


def _write_event(event: AlarmEvent) -> str:
    text = f"{write_duration(event.at)} {event.rule} {event.kind} {event.level} {event.severity} {event.reason}"
    return f"{text} (value {event.value}, limit {event.limit})"
