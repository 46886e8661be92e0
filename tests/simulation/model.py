"""What alarms must be, worked out anew from the samples of a point in event time, by a plain reading of the rules.

It shares nothing with the engine but the words: a limit is on from a good sample above it that stays so for its delay,
off from one at or below its clear value that stays so for the delay of clearing; a value holds until the next reading,
at most for the gap; what was being counted when a value stopped holding acts at the next good sample at the earliest.
"""

from dataclasses import dataclass
from typing import NamedTuple


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


GAP_MS = 300_000
Said = tuple[str, int, str, str]  # raised, updated or ended; at; severity; why it ended


class State(NamedTuple):
    """Everything that matters of a rule on a point; rule: None where there is none. Two are made of each sample.

    on and since are by level; holds: the last value still holds. stated: the limit that the alarm names; carried: the
    limits changed under it, and no sample has confirmed it yet.
    """

    rule: PlainRule | None
    on: tuple[bool, ...] = ()
    since: tuple[int | None, ...] = ()
    seen: int | None = None
    holds: bool = False
    stated: float | None = None
    carried: bool = False

    @classmethod
    def fresh(cls, rule: PlainRule | None) -> "State":
        levels = () if rule is None else rule.limits
        return cls(rule, tuple(False for _ in levels), tuple(None for _ in levels))

    @property
    def active(self) -> bool:
        return any(self.on)

    def moved(self, step_ms: int) -> "State":
        """The same, as a clock has it that is set by `step_ms`."""
        since = tuple(None if at is None else at + step_ms for at in self.since)
        return self._replace(since=since, seen=None if self.seen is None else self.seen + step_ms)


class PointModel:
    """One rule on one point. `said` is what must have been said since it began."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.said: list[Said] = []
        self.past: list[tuple[int, State]] = [(0, state)]

    @classmethod
    def going_on(cls, state: State, *, began: int, moved: int = 0) -> "PointModel":
        """After a restart at `began`: what it remembered, but nobody saw the value hold meanwhile.

        Nothing it remembers was later than that; and all of it is moved with the clock of an agent that began in 1970.
        """
        since = tuple(None if at is None else min(at, began) + moved for at in state.since)
        seen = None if state.seen is None else min(state.seen, began) + moved
        return cls(state._replace(since=since, seen=seen, holds=False))

    def change(self, at: int, rule: PlainRule | None, *, gone: str) -> None:
        """The rule is another from now on: what stands stays until a sample says otherwise. Or it is none, as `gone`
        says: what stands ends.
        """
        state = self.state
        if rule == state.rule:
            return
        if not state.active or state.rule is None:
            self._be(at, State.fresh(rule))
        elif rule is None:
            self.said.append(("ended", at, self._severity(state), gone))
            self._be(at, State.fresh(None))
        else:
            self._be(at, State.fresh(rule)._replace(on=state.on, stated=state.stated, carried=True))

    def sample(self, at: int, value: float | None) -> None:
        self.pass_time(at)
        if value is None:
            self._be(at, self.state._replace(holds=False))
            return
        state = self.state
        if state.rule is None:
            return
        broken = state.seen is not None and at - state.seen > GAP_MS
        since = list(state.since)
        for i, limit in enumerate(state.rule.limits):
            turning = value <= limit.clear if state.on[i] else value > limit.limit
            if not turning:
                since[i] = None
            elif since[i] is None or broken:
                since[i] = at
        self._be(at, state._replace(since=tuple(since), seen=at, holds=True))
        self._turn(at)
        state = self.state
        if state.carried and any(on and count is None for on, count in zip(state.on, state.since, strict=True)):
            self._be(at, state._replace(carried=False))

    def step(self, at: int, step_ms: int) -> None:
        """The clock is set by `step_ms` to show `at`: what is remembered goes with it, what was saved does not."""
        self.past = [(when + step_ms, state) for when, state in self.past]
        self._be(at, self.state.moved(step_ms))

    def pass_time(self, before: int) -> None:
        """Let delays that ended before this instant act, each at its own."""
        while True:
            state = self.state
            due = min((end for end in self._ends() if end is not None), default=None)
            if due is None or due >= before or not state.holds or state.seen is None or due > state.seen + GAP_MS:
                return
            self._turn(due)

    def _ends(self) -> list[int | None]:
        rule = self.state.rule
        if rule is None:
            return []
        return [
            None if since is None else since + (rule.clear_after_ms if on else limit.after_ms)
            for limit, on, since in zip(rule.limits, self.state.on, self.state.since, strict=True)
        ]

    def _turn(self, at: int) -> None:
        before = self.state
        assert before.rule is not None
        on, since = list(before.on), list(before.since)
        for i, end in enumerate(self._ends()):
            if end is not None and end <= at:
                on[i], since[i] = not on[i], None
                if on[i]:
                    for milder in range(i):
                        if not on[milder]:
                            on[milder], since[milder] = True, None
        now = _strongest(tuple(on))
        limit = None if now is None else before.rule.limits[now].limit
        carried = before.carried and now is not None
        self._be(at, before._replace(on=tuple(on), since=tuple(since), stated=limit, carried=carried))
        if limit is None:
            if before.active:
                why = "rule_changed" if before.carried else "recovered"
                self.said.append(("ended", at, self._severity(before), why))
        elif _strongest(before.on) != now or before.stated != limit:
            self.said.append(("updated" if before.active else "raised", at, self._severity(self.state), ""))

    def _severity(self, state: State) -> str:
        strongest = _strongest(state.on)
        assert strongest is not None
        assert state.rule is not None
        return state.rule.limits[strongest].severity

    def _be(self, at: int, state: State) -> None:
        self.state = state
        self.past.append((at, state))

    def states_since(self, at: int) -> list[State]:
        """How it stood at that instant, and every way it stood after."""
        before = [state for when, state in self.past if when <= at]
        after = [state for when, state in self.past if when > at]
        return list(dict.fromkeys([*before[-1:], *after]))


def _strongest(on: tuple[bool, ...]) -> int | None:
    return max((i for i, each in enumerate(on) if each), default=None)
