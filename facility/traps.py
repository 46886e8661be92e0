"""What the traps of a device family mean: part of its profile.

A trap says that something may have happened; the device's own objects say what holds. So a trap names the metric it is
about, and the agent asks the device (`confirm: poll`) before anybody is told of an alarm.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from facility.metrics import metric
from facility.severity import Severity
from facility.sources import Model, Oid


class TrapMeaning(StrEnum):
    """What a trap tells, whoever made the device; a label and a word on the screen, so the list is closed."""

    ON_BATTERY = "on_battery"
    BATTERY_LOW = "battery_low"
    BATTERY_DEPLETED = "battery_depleted"
    BATTERY_FAULT = "battery_fault"
    BATTERY_REPLACE = "battery_replace"
    BATTERY_TEST = "battery_test"
    BATTERY_TEST_FAILED = "battery_test_failed"
    INPUT_BAD = "input_bad"
    OUTPUT_BAD = "output_bad"
    OUTPUT_OFF = "output_off"
    OVERLOAD = "overload"
    BYPASS = "bypass"
    BYPASS_BAD = "bypass_bad"
    CHARGER_FAULT = "charger_fault"
    REDUNDANCY_LOST = "redundancy_lost"
    TEMPERATURE = "temperature"
    HUMIDITY = "humidity"
    LEAK = "leak"
    SMOKE = "smoke"
    AIRFLOW = "airflow"
    COMPRESSOR = "compressor"
    FILTER = "filter"
    HUMIDIFIER = "humidifier"
    FAN = "fan"
    SENSOR = "sensor"
    CONTACT = "contact"
    COMMUNICATION_LOST = "communication_lost"
    SHUTDOWN = "shutdown"
    FAULT = "fault"
    CONDITION = "condition"
    RESTARTED = "restarted"
    LINK_DOWN = "link_down"
    ACCESS_REFUSED = "access_refused"
    CONFIGURATION = "configuration"


class Confirm(StrEnum):
    """Who decides: a poll of the device, or nobody, since the trap is of a moment that no object keeps."""

    POLL = "poll"
    NONE = "none"


class TrapTitle(Model):
    """The trap in words for people, as the condition that begins: "UPS on battery"."""

    en: str = Field(min_length=1, max_length=120)
    zh: str = Field(min_length=1, max_length=120)


class Told(Model):
    """What a trap, or one condition it can name, is about. metric and subject: the point, where there is one."""

    meaning: TrapMeaning
    title: TrapTitle
    severity: Severity
    metric: str = ""
    subject: str = ""

    @model_validator(mode="after")
    def _known_metric(self) -> Self:
        if self.subject and not self.metric:
            raise ValueError("subject without metric")
        if self.metric:
            try:
                metric(self.metric)
            except KeyError as error:
                raise ValueError(str(error)) from error
        return self


def _texts(value: object) -> object:
    """YAML reads a bare number as one; what a device sends is compared as text."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


class Trap(Told):
    """One trap, and the trap that says it is over.

    told_by: a column or object among the trap's values; `conditions` says what its values stand for, and a value that
    is not there means no more than the trap itself.
    """

    oid: Oid
    name: str = Field(min_length=1, max_length=80)
    cleared_by: Oid | None = None
    told_by: Oid | None = None
    conditions: Annotated[dict[str, Told], BeforeValidator(_texts)] = Field(default_factory=dict)
    confirm: Confirm = Confirm.POLL
    note: str = ""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.cleared_by is not None and same_trap(self.cleared_by) == same_trap(self.oid):
            raise ValueError("cleared_by is the trap itself")
        if (self.told_by is None) != (not self.conditions):
            raise ValueError("told_by and conditions go together")
        return self


def same_trap(oid: str) -> str:
    """One spelling for the forms of a trap's name: without the zero before its last part.

    `upsTraps.1` of the MIB is `upsTraps.0.1` once an SNMPv1 card has sent it (RFC 3584 section 3.1), and some v2c cards
    send that form by themselves.
    """
    head, _, last = oid.rpartition(".")
    return f"{head.removesuffix('.0')}.{last}" if head.endswith(".0") else oid


def trap_problems(traps: tuple[Trap, ...]) -> Iterator[str]:
    """What is wrong with the traps of one profile taken together."""
    # Several may share one `cleared_by`: three ways into bypass have one way back.
    seen: set[str] = set()
    for trap in traps:
        if same_trap(trap.oid) in seen:
            yield f"the trap {trap.oid} stands here twice"
        seen.add(same_trap(trap.oid))


def merged_traps(own: tuple[Trap, ...], inherited: tuple[Trap, ...]) -> tuple[Trap, ...]:
    """A profile's traps with those it takes over from the profile it extends; its own win."""
    known = {same_trap(trap.oid) for trap in own}
    return own + tuple(trap for trap in inherited if same_trap(trap.oid) not in known)
