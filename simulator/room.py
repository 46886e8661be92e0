"""The physics of the simulated room: air, heat, moisture, pressure and batteries. Pure: no clock, no I/O.

Flow picture: each CRAC blows supply air into two cold-aisle zones; servers draw from the zones, heat the air and
push it into the hot aisle; what the CRACs do not deliver is drawn back from the hot aisle (recirculation), what they
deliver too much goes straight to the return (bypass). Units: C, kg/s, kW, kJ/K, s, Pa, hPa, kg water per kg dry air.

Invariants: the same seed and the same calls give the same values; without a fault every value stays inside the
recommended ranges of GB 50174-2017 (cold aisle 18-27 C, dew point 5.5-15 C, RH <= 60 %, over-pressure >= 5 Pa).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

ZONES = ("cold-a", "cold-b")
CRACS = ("crac-1", "crac-2", "crac-3")

CP_AIR = 1.006  # kJ/(kg K), dry air near 25 C
STEP_S = 5.0  # longest integration step; the shortest thermal time constant below is about 110 s
IT_LOAD_KW = 50.0
SERVER_AIRFLOW = 4.5  # kg/s; gives the usual 11 K across a rack at 50 kW
ZONE_HEAT_CAPACITY = 350.0  # kJ/K, air and steel of one cold aisle
HOT_HEAT_CAPACITY = 250.0
DRY_AIR_KG = 720.0  # 200 m2 x 3 m of room
CRAC_CAPACITY_KW = 27.0  # N+1: two units carry the load, one does not
CRAC_AIRFLOW = (1.65, 1.9)  # kg/s each at normal and at full fan speed
# Share of each unit's air per zone: crac-1 stands at aisle A, crac-3 at aisle B, crac-2 between.
CRAC_SHARE = {"crac-1": (0.85, 0.15), "crac-2": (0.5, 0.5), "crac-3": (0.15, 0.85)}
WALL_LOSS = 0.1  # kW/K from the hot side to the building around it, which keeps OUTSIDE_C
OUTSIDE_C = 24.0
SUPPLY_SETPOINT_C = 22.0
RH_SETPOINT = 50.0
COLD_TARGET_C = 22.6
CORRIDOR_PRESSURE_PA = 12.0


def saturation_hpa(celsius: float) -> float:
    """Saturation vapour pressure over water (Magnus form, WMO coefficients), hPa."""
    return 6.112 * math.exp(17.62 * celsius / (243.12 + celsius))


def relative_humidity(celsius: float, ratio: float, pressure_hpa: float) -> float:
    """Relative humidity in % of air at a temperature holding `ratio` kg of water per kg of dry air."""
    vapour = pressure_hpa * ratio / (0.622 + ratio)
    return min(100.0, 100.0 * vapour / saturation_hpa(celsius))


def humidity_ratio(celsius: float, percent: float, pressure_hpa: float) -> float:
    """The inverse of `relative_humidity`."""
    vapour = saturation_hpa(celsius) * percent / 100.0
    return 0.622 * vapour / (pressure_hpa - vapour)


def dew_point(celsius: float, percent: float) -> float:
    """Dew point in C, from the same Magnus form."""
    logarithm = math.log(max(percent, 0.1) / 100.0 * saturation_hpa(celsius) / 6.112)
    return 243.12 * logarithm / (17.62 - logarithm)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is broken now. The room obeys it at once; its consequences follow at the pace of physics."""

    mains: bool = True
    failed_cracs: frozenset[str] = frozenset()
    hot_aisle: bool = False
    humidifier_stuck: bool = False
    pressure_lost: bool = False
    leak: bool = False
    door_open: bool = False


@dataclass(slots=True)
class Crac:
    """One precision air conditioner: what it blows, what it takes back, how hard it works."""

    running: bool = True
    fan: float = CRAC_AIRFLOW[0] / CRAC_AIRFLOW[1]  # share of full airflow
    supply: float = SUPPLY_SETPOINT_C
    returned: float = 32.5
    cooling: float = 0.6  # share of capacity
    run_seconds: float = 0.0


@dataclass(slots=True)
class Ups:
    """One UPS: a battery of `energy_kwh` behind a share of the IT load."""

    rated_kw: float
    energy_kwh: float
    share: float
    charge: float = 1.0
    seconds_on_battery: float = 0.0
    load_kw: float = 0.0

    @property
    def load_percent(self) -> float:
        return 100.0 * self.load_kw / self.rated_kw

    @property
    def runtime_minutes(self) -> float:
        """Minutes the battery would carry the present load; the card never promises more than 999."""
        return min(999.0, 60.0 * self.charge * self.energy_kwh / max(self.load_kw, 0.1))

    @property
    def on_battery(self) -> bool:
        return self.seconds_on_battery > 0.0

    @property
    def exhausted(self) -> bool:
        return self.charge <= 0.0 and self.on_battery


def _approach(value: float, target: float, seconds: float, tau: float) -> float:
    return target + (value - target) * math.exp(-seconds / tau)


@dataclass(slots=True)
class Room:
    """The room. `advance` moves it; everything else only reads. Give the same seed to repeat a run."""

    seed: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    elapsed: float = 0.0
    heat_kw: float = IT_LOAD_KW
    cold: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ZONES, COLD_TARGET_C))
    hot: float = 33.6
    ups_room: float = 23.5
    battery_room: float = 22.5
    moisture: float = humidity_ratio(COLD_TARGET_C, RH_SETPOINT, 1013.2)
    plume: float = 0.0  # extra moisture in aisle A while the humidifier there is stuck, kg/kg
    hot_spot: float = 0.0  # extra heat at the hot-aisle sensors while exhaust air cannot leave, K
    over_pressure: float = CORRIDOR_PRESSURE_PA
    cracs: dict[str, Crac] = field(default_factory=lambda: {name: Crac() for name in CRACS})
    upses: dict[str, Ups] = field(default_factory=lambda: {"ups-1": Ups(36.0, 6.0, 0.4), "ups-2": Ups(54.0, 9.0, 0.6)})
    _noise: dict[str, float] = field(default_factory=dict)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        for ups in self.upses.values():
            ups.load_kw = IT_LOAD_KW * ups.share
        # Settle the start-up transient, so that the first reading is already a room in balance.
        for _ in range(120):
            self._step(STEP_S)
        self.elapsed = 0.0

    def advance(self, seconds: float) -> None:
        """Move the room on by `seconds` (>= 0) of its own time."""
        if seconds < 0:
            raise ValueError("a room does not run backwards")
        left = seconds
        while left > 1e-9:
            step = min(STEP_S, left)
            self._step(step)
            left -= step
        keep = math.exp(-seconds / 60.0)
        fresh = math.sqrt(1.0 - keep * keep)
        for name in self._noise:
            self._noise[name] = keep * self._noise[name] + fresh * self._random.gauss(0.0, 1.0)

    def noise(self, sensor: str) -> float:
        """A slow random walk of unit spread per sensor name, so that no two sensors read the same."""
        if sensor not in self._noise:
            # Seeded by name: the value does not depend on who asked first.
            self._noise[sensor] = random.Random(f"{self.seed}/{sensor}").gauss(0.0, 1.0)
        return max(-2.5, min(2.5, self._noise[sensor]))

    def barometric(self) -> float:
        """Atmospheric pressure, hPa: the weather swings by 2 hPa over half a day."""
        return 1013.2 + 2.0 * math.sin(2.0 * math.pi * self.elapsed / 43200.0)

    def zone_temperature(self, zone: str) -> float:
        """Air temperature of a zone (cold-a, cold-b, hot, ups, battery), C."""
        match zone:
            case "hot":
                return self.hot + self.hot_spot
            case "ups":
                return self.ups_room
            case "battery":
                return self.battery_room
            case _:
                return self.cold[zone]

    def zone_humidity(self, zone: str) -> float:
        """Relative humidity of a zone, %. All zones share the room's moisture; aisle A has the humidifier."""
        ratio = self.moisture + (self.plume if zone == "cold-a" else 0.0)
        return relative_humidity(self.zone_temperature(zone), ratio, self.barometric())

    def _step(self, dt: float) -> None:
        self.elapsed += dt
        self._power(dt)
        self._air(dt)
        self._moisture(dt)
        broken = self.conditions
        target = 0.8 if broken.pressure_lost else 6.5 if broken.door_open else CORRIDOR_PRESSURE_PA
        self.over_pressure = _approach(self.over_pressure, target, dt, 2.0)

    def _power(self, dt: float) -> None:
        daily = 1.0 + 0.05 * math.sin(2.0 * math.pi * self.elapsed / 86400.0)
        # Servers throttle and then trip on hot inlet air, which bounds the worst case.
        hottest = max(self.cold.values())
        throttle = max(0.05, min(1.0, 1.0 - 0.07 * (hottest - 38.0)))
        self.heat_kw = 0.0
        for ups in self.upses.values():
            ups.load_kw = 0.0 if ups.exhausted else IT_LOAD_KW * ups.share * daily * throttle
            self.heat_kw += ups.load_kw
            if self.conditions.mains:
                ups.seconds_on_battery = 0.0
                ups.charge = min(1.0, ups.charge + 0.5 * dt / 3600.0)  # half the battery an hour
            else:
                ups.seconds_on_battery += dt
                ups.charge = max(0.0, ups.charge - ups.load_kw * dt / 3600.0 / ups.energy_kwh)
        discharging = not self.conditions.mains
        self.ups_room = _approach(self.ups_room, 23.5 + (1.0 if discharging else 0.0), dt, 1800.0)
        self.battery_room = _approach(self.battery_room, 22.5 + (2.5 if discharging else 0.0), dt, 1800.0)

    def _air(self, dt: float) -> None:
        broken = self.conditions
        demand = SERVER_AIRFLOW / 2.0 * (0.5 if broken.hot_aisle else 1.0)
        leakage = 0.25 if broken.hot_aisle else 0.05
        supplied = dict.fromkeys(ZONES, 0.0)
        heat_in = dict.fromkeys(ZONES, 0.0)
        full = broken.failed_cracs or max(self.cold.values()) > 25.0
        for name, crac in self.cracs.items():
            crac.running = name not in broken.failed_cracs
            wanted = 0.0 if not crac.running else 1.0 if full else CRAC_AIRFLOW[0] / CRAC_AIRFLOW[1]
            crac.fan = _approach(crac.fan, wanted, dt, 8.0)
            if crac.running:
                crac.run_seconds += dt
            for zone, share in zip(ZONES, CRAC_SHARE[name], strict=True):
                flow = crac.fan * CRAC_AIRFLOW[1] * share
                supplied[zone] += flow
                heat_in[zone] += flow * crac.supply
        recirculated = {zone: max(leakage * demand, demand - supplied[zone]) for zone in ZONES}
        bypass = {zone: supplied[zone] + recirculated[zone] - demand for zone in ZONES}
        total = sum(supplied.values())
        returned = self.hot
        if total > 0.05:
            from_hot = 2.0 * demand - sum(recirculated.values())
            returned = (sum(bypass[zone] * self.cold[zone] for zone in ZONES) + from_hot * self.hot) / total
        before = dict(self.cold)
        for zone in ZONES:
            flow = supplied[zone] + recirculated[zone]
            mixed = (heat_in[zone] + recirculated[zone] * self.hot) / flow
            self.cold[zone] = _approach(self.cold[zone], mixed, dt, ZONE_HEAT_CAPACITY / (CP_AIR * flow))
        kept = self.heat_kw - WALL_LOSS * (self.hot - OUTSIDE_C)
        exhaust = sum(before.values()) / 2.0 + kept / (CP_AIR * 2.0 * demand)
        self.hot = _approach(self.hot, exhaust, dt, HOT_HEAT_CAPACITY / (CP_AIR * 2.0 * demand))
        self.hot_spot = _approach(self.hot_spot, 8.0 if broken.hot_aisle else 0.0, dt, 3.0)
        for crac in self.cracs.values():
            flow = crac.fan * CRAC_AIRFLOW[1]
            crac.returned = _approach(crac.returned, returned, dt, 15.0)
            if not crac.running:
                # Still air inside a stopped unit takes the temperature of the room around it.
                crac.cooling = 0.0
                crac.supply = _approach(crac.supply, returned, dt, 120.0)
                continue
            coldest = returned - CRAC_CAPACITY_KW / (CP_AIR * max(flow, 0.1))
            crac.supply = _approach(crac.supply, max(SUPPLY_SETPOINT_C, coldest), dt, 30.0)
            taken = CP_AIR * flow * max(0.0, returned - crac.supply)
            crac.cooling = min(1.0, taken / CRAC_CAPACITY_KW)

    def _moisture(self, dt: float) -> None:
        broken = self.conditions
        if broken.humidifier_stuck:
            # 9 g/s of steam with dehumidification overruled; coils keep the air below saturation.
            limit = humidity_ratio(min(self.cold.values()), 92.0, self.barometric())
            self.moisture = min(limit, self.moisture + 0.009 * dt / DRY_AIR_KG)
        elif any(crac.running for crac in self.cracs.values()):
            wanted = humidity_ratio(COLD_TARGET_C, RH_SETPOINT, self.barometric())
            self.moisture = _approach(self.moisture, wanted, dt, 600.0)
        self.plume = _approach(self.plume, 0.0025 if broken.humidifier_stuck else 0.0, dt, 3.0)

    def truth(self) -> dict[str, object]:
        """The physical state as plain values, for `/state` and for tests. Temperatures C, pressures Pa and hPa."""
        return {
            "elapsed_s": round(self.elapsed, 3),
            "heat_kw": round(self.heat_kw, 3),
            "zones": {
                zone: {
                    "temperature_c": round(self.zone_temperature(zone), 3),
                    "humidity_percent": round(self.zone_humidity(zone), 2),
                }
                for zone in (*ZONES, "hot", "ups", "battery")
            },
            "over_pressure_pa": round(self.over_pressure, 2),
            "barometric_hpa": round(self.barometric(), 2),
            "cracs": {
                name: {
                    "running": crac.running,
                    "fan_percent": round(100.0 * crac.fan, 1),
                    "cooling_percent": round(100.0 * crac.cooling, 1),
                    "supply_c": round(crac.supply, 3),
                    "return_c": round(crac.returned, 3),
                }
                for name, crac in self.cracs.items()
            },
            "upses": {
                name: {
                    "on_battery": ups.on_battery,
                    "charge_percent": round(100.0 * ups.charge, 2),
                    "runtime_minutes": round(ups.runtime_minutes, 2),
                    "load_kw": round(ups.load_kw, 3),
                }
                for name, ups in self.upses.items()
            },
            "leak": self.conditions.leak,
            "door_open": self.conditions.door_open,
        }
