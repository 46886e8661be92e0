"""What alarms must be, worked out anew from the samples of a point in event time, by a plain reading of the rules.

It shares nothing with the engine but the words: a limit is on from a good sample above it that stays so for its delay,
off from one at or below its clear value that stays so for the delay of clearing; a value holds until the next reading,
at most for the gap; what was being counted when a value stopped holding acts at the next good sample at the earliest.
"""

from dataclasses import dataclass, field, replace

INTERVAL_MS = 30_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A level of the simulated site's rules, mildest first in a tuple of them."""

    name: str
    severity: str
    limit: float
    clear: float
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class PlainRule:
    id: str
    metric: str
    limits: tuple[Limit, ...]
    clear_after_ms: int = 0


RULES = (
    PlainRule("sim-hot", "room.temperature", (Limit("hi", "minor", 27, 26), Limit("hihi", "critical", 35, 34))),
    PlainRule("sim-damp", "room.humidity", (Limit("hi", "minor", 60, 57, 100_000),), 70_000),
)
GAP_MS = 300_000

RULES_YAML = """\
version: 1
rules:
  - id: sim-hot
    title: {en: Hot, zh: 过热}
    metric: room.temperature
    flap: "off"
    gap: 5m
    source: made for the simulation
    levels:
      hi: {limit: 27, severity: minor}
      hihi: {limit: 35, severity: critical}
    deadband: 1
  - id: sim-damp
    title: {en: Damp, zh: 过潮}
    metric: room.humidity
    flap: "off"
    gap: 5m
    source: made for the simulation
    levels:
      hi: {limit: 60, severity: minor, for: 100s}
    deadband: 3
    clear_for: 70s
"""

Said = tuple[str, int, str]  # raised, updated or ended; at; severity


@dataclass(frozen=True)
class State:
    """Everything that matters of a rule on a point. on and since are by level; holds: the last value still holds."""

    on: tuple[bool, ...]
    since: tuple[int | None, ...]
    seen: int | None = None
    holds: bool = False

    @property
    def active(self) -> bool:
        return any(self.on)

    def before_set(self, step_ms: int) -> "State":
        """The same, as the clock had it that was set by `step_ms` later."""
        since = tuple(None if at is None else at - step_ms for at in self.since)
        return replace(self, since=since, seen=None if self.seen is None else self.seen - step_ms)


@dataclass
class PointModel:
    """One rule on one point. `said` is what must have been said since it began."""

    rule: PlainRule
    state: State = field(init=False)
    said: list[Said] = field(default_factory=list)
    past: list[tuple[int, State]] = field(default_factory=list)

    def __post_init__(self) -> None:
        none = tuple(None for _ in self.rule.limits)
        self.state = State(tuple(False for _ in self.rule.limits), none)
        self.past.append((0, self.state))

    @classmethod
    def going_on(cls, rule: PlainRule, state: State, *, began: int, moved: int = 0) -> "PointModel":
        """After a restart at `began`: what it remembered, but nobody saw the value hold meanwhile.

        Nothing it remembers was later than that; and all of it is moved with the clock of an agent that began in 1970.
        """
        model = cls(rule)
        since = tuple(None if at is None else min(at, began) + moved for at in state.since)
        seen = None if state.seen is None else min(state.seen, began) + moved
        model.state = replace(state, since=since, seen=seen, holds=False)
        model.past = [(0, model.state)]
        return model

    def sample(self, at: int, value: float | None) -> None:
        self.pass_time(at)
        if value is None:
            self._be(at, holds=False)
            return
        state = self.state
        broken = state.seen is not None and at - state.seen > GAP_MS
        since = list(state.since)
        for i, limit in enumerate(self.rule.limits):
            turning = value <= limit.clear if state.on[i] else value > limit.limit
            if not turning:
                since[i] = None
            elif since[i] is None or broken:
                since[i] = at
        self._be(at, since=tuple(since), seen=at, holds=True)
        self._turn(at)

    def pass_time(self, before: int) -> None:
        """Let delays that ended before this instant act, each at its own."""
        while True:
            state = self.state
            due = min((end for end in self._ends() if end is not None), default=None)
            if due is None or due >= before or not state.holds or state.seen is None or due > state.seen + GAP_MS:
                return
            self._turn(due)

    def _ends(self) -> list[int | None]:
        return [
            None if since is None else since + (self.rule.clear_after_ms if on else limit.after_ms)
            for limit, on, since in zip(self.rule.limits, self.state.on, self.state.since, strict=True)
        ]

    def _turn(self, at: int) -> None:
        before = self.state
        on, since = list(before.on), list(before.since)
        for i, end in enumerate(self._ends()):
            if end is not None and end <= at:
                on[i], since[i] = not on[i], None
                if on[i]:
                    for milder in range(i):
                        if not on[milder]:
                            on[milder], since[milder] = True, None
        self._be(at, on=tuple(on), since=tuple(since))
        was, now = _strongest(before.on), _strongest(self.state.on)
        if was == now:
            return
        kind = "raised" if was is None else "ended" if now is None else "updated"
        index = now if now is not None else was
        assert index is not None
        self.said.append((kind, at, self.rule.limits[index].severity))

    def _be(self, at: int, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.past.append((at, self.state))

    def states_since(self, at: int) -> list[State]:
        """How it stood at that instant, and every way it stood after."""
        before = [state for when, state in self.past if when <= at]
        after = [state for when, state in self.past if when > at]
        return list(dict.fromkeys([*before[-1:], *after]))


def _strongest(on: tuple[bool, ...]) -> int | None:
    return max((i for i, each in enumerate(on) if each), default=None)
