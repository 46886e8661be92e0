"""Counts of the agent's own work, kept by its parts and shown by `/metrics` and health blocks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collectors.exchange import PollOutcome, PollProblem
from facility.alarms import AlarmEvent
from facility.reading import QualityReason

# Upper bounds of the poll-time histogram in seconds: from a loopback answer to a device that takes its whole deadline.
POLL_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class DeviceFigures:
    """Of one device. last_s: how long its last poll took; overruns: polls that took longer than their interval."""

    interval_s: float
    polls: int = 0
    seconds: float = 0.0
    last_s: float = 0.0
    requests: int = 0
    overruns: int = 0
    missed_slots: int = 0
    left_out: int = 0  # points beyond what is read of one device


@dataclass(slots=True)
class Figures:
    """Plain counters since the start; labels are bounded by enums and by the number of devices."""

    polls: Counter[str] = field(default_factory=Counter)  # by result: ok or a PollProblem
    poll_buckets: Counter[float] = field(default_factory=Counter)
    poll_seconds: float = 0.0
    requests: int = 0
    missed_slots: int = 0
    devices: dict[str, DeviceFigures] = field(default_factory=dict)
    bad_readings: Counter[QualityReason] = field(default_factory=Counter)
    bus_faults: int = 0
    alarm_events: Counter[str] = field(default_factory=Counter)  # by kind
    sent: Counter[str] = field(default_factory=Counter)  # blocks by kind, every sending counted
    resent: int = 0
    answers: Counter[str] = field(default_factory=Counter)  # by verdict
    rejected: Counter[str] = field(default_factory=Counter)  # blocks and items, by RejectReason
    thinned: int = 0  # readings left out for the budget of a metered link
    connections: int = 0
    reloads: Counter[str] = field(default_factory=Counter)  # by result
    traps: Counter[str] = field(default_factory=Counter)  # by TrapResult
    traps_listening: bool = False
    informs_answered: int = 0
    trap_polls: int = 0
    notices: Counter[str] = field(default_factory=Counter)  # by Fate

    def configure(self, intervals_ms: Mapping[str, int]) -> None:
        """The devices there are now; those of others are forgotten."""
        before, self.devices = self.devices, {}
        for device, interval in intervals_ms.items():
            figures = self.devices[device] = before.get(device) or DeviceFigures(interval / 1000)
            figures.interval_s = interval / 1000

    def missed(self, device: str, slots: int) -> None:
        """Slots of a device were due and skipped."""
        self.missed_slots += slots
        if device in self.devices:
            self.devices[device].missed_slots += slots

    def polled(self, outcome: PollOutcome) -> None:
        for reading in outcome.readings:
            if reading.reason is not None:
                self.bad_readings[reading.reason] += 1
        device = self.devices.get(outcome.device)
        if outcome.problem is PollProblem.HELD_BACK:
            self.missed(outcome.device, 1)
        elif device is not None and outcome.problem is not PollProblem.BACKING_OFF:
            device.polls += 1
            device.seconds += outcome.seconds
            device.last_s = outcome.seconds
            device.requests += outcome.requests
            device.overruns += outcome.seconds > device.interval_s
            device.left_out = outcome.left_out
        self.polls["ok" if outcome.problem is None else str(outcome.problem)] += 1
        self.requests += outcome.requests
        self.poll_seconds += outcome.seconds
        for bound in POLL_BUCKETS:
            if outcome.seconds <= bound:
                self.poll_buckets[bound] += 1
                break
        else:
            self.poll_buckets[float("inf")] += 1

    def judged(self, events: Sequence[AlarmEvent]) -> None:
        for event in events:
            self.alarm_events[event.kind] += 1
