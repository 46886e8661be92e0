"""`/metrics`: live values under canonical names, and the agent's own health.

Series are made at the moment they are asked for, from what holds then. A dead device's values are not among them, so
its series end at the next scrape. Names, rooms and models stand on `coldaisle_device_info` only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agent.figures import POLL_BUCKETS, DeviceFigures, Figures
from agent.guard import ClockGuard
from agent.journal import Journal
from agent.live import LiveTable
from agent.site import Site
from agent.uplink import Uplink
from collectors.device import ModbusLinks
from facility.clock import Clock, now_ms
from facility.metrics import metric
from facility.reading import QualityReason, Reading
from facility.severity import Severity
from facility.wire import Kind
from rules.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    """Everything the agent shows. site and uplink are set by the composition root and follow a reload."""

    def __init__(
        self,
        site: Site,
        *,
        version: str,
        live: LiveTable,
        figures: Figures,
        guard: ClockGuard,
        journal: Journal,
        engine: Engine,
        uplink: Uplink | None,
        links: ModbusLinks,
        clock: Clock,
    ) -> None:
        self.site = site
        self._version = version
        self._live = live
        self._figures = figures
        self._guard = guard
        self._journal = journal
        self._engine = engine
        self._uplink = uplink
        self._links = links
        self._clock = clock
        self._started = clock.monotonic()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        # Nothing is said in advance: which series there are depends on the devices.
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._devices()
        yield from self._values()
        yield from self._polling()
        yield from self._outbox()
        yield from self._alarms()

    # --- the room --------------------------------------------------------------------------------------------------

    def _devices(self) -> Iterator[Metric]:
        place = self.site.loaded.config.site
        names = ["site", "device", "kind", "name", "name_zh", "room", "zone", "rack", "vendor", "model", "profile"]
        info = GaugeMetricFamily("coldaisle_device_info", "What a device is and where it stands.", labels=names)
        up = GaugeMetricFamily(
            "coldaisle_device_up", "Whether the last poll of a device was answered.", labels=["site", "device"]
        )
        for device in self.site.devices:
            config, profile = device.config, device.profile
            name = config.name.en or config.name.zh or config.id
            values = [place, config.id, device.kind, name, config.name.zh or name, config.room or ""]
            info.add_metric([*values, config.zone, config.rack, profile.vendor, profile.model, profile.id], 1)
            state = self._live.devices.get(config.id)
            if state is not None and state.up is not None:
                up.add_metric([place, config.id], float(state.up))
        yield info
        yield up
        yield from self._accounts(place)

    def _accounts(self, place: str) -> Iterator[Metric]:
        """What polling each device costs."""
        last = GaugeMetricFamily(
            "coldaisle_device_last_poll_seconds", "How long the last poll of a device took.", labels=["site", "device"]
        )
        counted: tuple[tuple[str, str, Callable[[DeviceFigures], float]], ...] = (
            ("poll_seconds", "Time spent polling a device.", lambda each: each.seconds),
            ("polls", "Polls of a device.", lambda each: each.polls),
            ("requests", "Requests sent to a device.", lambda each: each.requests),
            ("overruns", "Polls of a device that took longer than its interval.", lambda each: each.overruns),
            ("missed_slots", "Polls of a device that were due and skipped.", lambda each: each.missed_slots),
        )
        left_out = GaugeMetricFamily(
            "coldaisle_device_points_left_out", "Points beyond the 5,000 of one device.", labels=["site", "device"]
        )
        for device, figures in self._figures.devices.items():
            last.add_metric([place, device], figures.last_s)
            left_out.add_metric([place, device], figures.left_out)
        yield last
        yield left_out
        for name, what, of in counted:
            family = CounterMetricFamily(f"coldaisle_device_{name}", what, labels=["site", "device"])
            for device, figures in self._figures.devices.items():
                family.add_metric([place, device], of(figures))
            yield family

    def _values(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        place = self.site.loaded.config.site
        for device, reading in self._live.living(now_ms(self._clock)):
            entry = metric(reading.metric)
            family = families.get(reading.metric)
            if family is None:
                name, what = entry.prometheus_name, f"{entry.en} ({entry.zh})."
                labels = ["site", "device", "subject"]
                family = (
                    CounterMetricFamily(name.removesuffix("_total"), what, labels=labels)
                    if entry.counter
                    else GaugeMetricFamily(name, what, labels=labels)
                )
                families[reading.metric] = family
            if isinstance(family, GaugeMetricFamily | CounterMetricFamily):
                family.add_metric([place, device, reading.subject], _number(reading))
        yield from families.values()

    # --- the agent -------------------------------------------------------------------------------------------------

    def _polling(self) -> Iterator[Metric]:
        figures = self._figures
        info = InfoMetricFamily("coldaisle_agent", "The agent's version and the configuration it runs.")
        config = self.site.loaded.config
        info.add_metric(
            [],
            {
                "version": self._version,
                "site": config.site,
                "agent": config.agent,
                "config_digest": self.site.loaded.digest,
            },
        )
        yield info
        yield _gauge("uptime_seconds", "Since the agent started.", self._clock.monotonic() - self._started)
        yield _counter("polls", "Polls of devices by result.", "result", figures.polls)
        buckets, total = [], 0
        for bound in POLL_BUCKETS:
            total += figures.poll_buckets[bound]
            buckets.append((str(bound), float(total)))
        buckets.append(("+Inf", float(total + figures.poll_buckets[float("inf")])))
        yield HistogramMetricFamily(
            "coldaisle_agent_poll_seconds", "How long polls took.", buckets, sum_value=figures.poll_seconds
        )
        yield _count("requests", "Requests sent to devices.", figures.requests)
        held = 0 if self._links.budgets is None else self._links.budgets.held
        yield _count("requests_held", "Requests that waited, for their address was asked enough.", held)
        thrown_away = self._links.discarded
        yield _counter("modbus_discarded", "Modbus frames and stray bytes of no use.", "reason", thrown_away)
        bad = {str(reason): figures.bad_readings[reason] for reason in QualityReason}
        yield _counter("bad_readings", "Readings that are no good value, by why.", "reason", bad)
        yield _count("missed_slots", "Polls that were due and skipped.", figures.missed_slots)
        yield _count("bus_faults", "Faults of the agent itself while polling a bus.", figures.bus_faults)
        yield _gauge("clock_held_readings", "Readings held until the clock can be believed.", self._guard.held)
        yield _counter("reloads", "Reloads of the configuration by result.", "result", figures.reloads)
        if self.site.traps is not None:
            yield _counter("traps", "Trap datagrams by what became of them.", "result", figures.traps)
            yield _count(
                "informs_answered", "Informs answered, each after its event was committed.", figures.informs_answered
            )
            yield _gauge("traps_listening", "1 while the trap port is open.", float(figures.traps_listening))
            yield _count("trap_polls", "Polls made because of a trap.", figures.trap_polls)

    def _outbox(self) -> Iterator[Metric]:
        stats, figures = self._journal.stats(), self._figures
        yield _count("readings", "Readings taken into the journal.", stats.readings)
        yield _counter("dropped", "Readings and items lost before the centre had them.", "reason", stats.drops)
        yield _count("thinned", "Readings left out to keep the month's traffic in its budget.", figures.thinned)
        yield _gauge("journal_used_bytes", "What the journal's file holds.", stats.used_bytes)
        yield _gauge("journal_memory_bytes", "Blocks that wait for the disk.", stats.memory_bytes)
        yield _gauge("journal_degraded", "1 while the disk refuses and memory stands in.", float(bool(stats.degraded)))
        unsent = GaugeMetricFamily(
            "coldaisle_agent_unsent_blocks", "Blocks the centre has not answered for.", labels=["kind"]
        )
        for kind in Kind:
            unsent.add_metric([kind], stats.unsent_blocks.get(kind, 0))
        yield unsent
        yield _gauge("unsent_bytes", "Bytes of the blocks the centre has not answered for.", stats.unsent_bytes)
        oldest = stats.oldest_unsent_ms
        age = 0.0 if oldest is None else max(0.0, (now_ms(self._clock) - oldest) / 1000)
        yield _gauge("oldest_unsent_seconds", "Age of the oldest block the centre has not answered for.", age)
        connected = self._uplink is not None and self._uplink.connected
        yield _gauge("uplink_connected", "1 while connected to the broker.", float(connected))
        flying = self._uplink.in_flight if self._uplink is not None else 0
        yield _gauge("uplink_in_flight_blocks", "Blocks sent and not answered.", flying)
        yield _count("uplink_connections", "Connections made to the broker.", figures.connections)
        yield _counter("sent_blocks", "Blocks sent, each sending counted.", "kind", figures.sent)
        yield _count("resent_blocks", "Blocks sent again because no answer came.", figures.resent)
        yield _counter("answers", "Answers of the centre by verdict.", "verdict", figures.answers)
        yield _counter("rejected", "Blocks and items the centre refused.", "reason", figures.rejected)
        if self.site.loaded.config.notify is not None:
            yield _counter("notices", "Local notices by what became of them.", "outcome", figures.notices)

    def _alarms(self) -> Iterator[Metric]:
        severities = self._engine.severities()
        active = GaugeMetricFamily(
            "coldaisle_agent_alarms_active", "Alarms this agent holds active.", labels=["severity"]
        )
        for severity in Severity:
            active.add_metric([severity], severities.get(severity, 0))
        yield active
        yield _counter("alarm_events", "Alarm events by kind.", "kind", self._figures.alarm_events)


def _number(reading: Reading) -> float:
    """The value, or a state's code."""
    if isinstance(reading.value, str):
        states = metric(reading.metric).states
        return float(states.by_word(reading.value).code) if states is not None else float("nan")
    return float(reading.value if reading.value is not None else "nan")


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"coldaisle_agent_{name}", what, value)


def _count(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"coldaisle_agent_{name}", what, value)


def _counter(name: str, what: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"coldaisle_agent_{name}", what, labels=[label])
    for word, count in sorted(values.items()):
        family.add_metric([str(word)], count)
    return family
