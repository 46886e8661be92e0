"""Wording for templates: names, values with units, states, times; in the reader's language and the site's zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_timedelta
from babel.numbers import format_decimal
from markupsafe import Markup

from facility.clock import from_ms
from facility.metrics import Metric, UnknownMetricError, metric
from facility.severity import LABELS_EN, LABELS_ZH, Severity
from facility.states import Tone
from facility.units import Unit, convert, symbol
from server.kit.i18n import Translations
from server.kit.templates import local_time
from server.web.words import ICONS, N_, WORDS, nN_

_GROUPED_FROM = 10_000
_LONG_AGO = timedelta(days=2)


class Named(Protocol):
    """Something with a name in both languages."""

    name_en: str
    name_zh: str


class Recurring(Protocol):
    """The rule of a maintenance plan: RFC 5545 text, or so many days or months after completion."""

    rrule: Any
    every: Any
    step: Any


_SPANS = {
    "days": nN_("%(count)s day", "%(count)s days"),
    "weeks": nN_("%(count)s week", "%(count)s weeks"),
    "months": nN_("%(count)s month", "%(count)s months"),
    "years": nN_("%(count)s year", "%(count)s years"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A value for people: its text, and a tone where it is a state."""

    text: str
    tone: str = ""


def metric_of(name: str) -> Metric | None:
    """The register's entry; None for a name of a newer agent that this register does not know yet."""
    try:
        return metric(name)
    except UnknownMetricError:
        return None


def unit_of(name: str) -> str:
    """The unit a metric is read in; relative humidity has one of its own (58.4 %RH)."""
    entry = metric_of(name)
    if entry is None:
        return ""
    return "%RH" if entry.display is Unit.PERCENT and name.endswith("humidity") else symbol(entry.display)


def displayed(name: str, value: float) -> float:
    """A stored value in the unit people read it in."""
    entry = metric_of(name)
    return value if entry is None else convert(value, entry.unit, entry.display)


def offset_name(at: datetime, zone: str) -> str:
    """UTC+8, UTC-3:30: how far local time was from UTC at that moment."""
    offset = at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / 60)
    sign = "+" if minutes >= 0 else "\u2212"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02d}" if rest else "")


def quantity(value: float, unit: str, language: str, decimals: int) -> str:
    """A number and its unit (1013.2 hPa); digits are grouped from five in front of the point on (12,457.3 kWh)."""
    whole = "#,##0" if abs(value) >= _GROUPED_FROM else "0"
    pattern = f"{whole}.{'0' * decimals}" if decimals else whole
    number = format_decimal(value, format=pattern, locale=Locale.parse(language))
    return f"{number}\u00a0{unit}" if unit else str(number)


class Ui:
    """Bound to one reader and one moment."""

    def __init__(self, *, language: str, zone: str, now: datetime, translations: Translations) -> None:
        self.language = language
        self.zone = zone
        self.now = now
        self._translations = translations

    @property
    def chinese(self) -> bool:
        return self.language == "zh_CN"

    def gettext(self, message: str) -> str:
        return self._translations.gettext(self.language, message)

    def word(self, group: str, code: object) -> str:
        """The word of a code; a code of a newer program is shown as it is."""
        message = WORDS[group].get(str(code))
        return str(code) if message is None else self.gettext(message)

    def words(self, group: str) -> dict[str, str]:
        return {code: self.gettext(message) for code, message in WORDS[group].items()}

    def name(self, row: Named, fallback: str = "") -> str:
        first, second = (row.name_zh, row.name_en) if self.chinese else (row.name_en, row.name_zh)
        return first or second or fallback

    def pick(self, en: str, zh: str, fallback: str = "") -> str:
        first, second = (zh, en) if self.chinese else (en, zh)
        return first or second or fallback

    def metric(self, name: str) -> str:
        entry = metric_of(name)
        return name if entry is None else self.pick(entry.en, entry.zh, name)

    def point(self, point: Any) -> str:
        """The label of a fleet point, with its subject."""
        label = self.pick(point.label_en, point.label_zh) or self.metric(point.metric)
        return f"{label} · {point.subject}" if point.subject else label

    def value(self, name: str, value: float | str | None) -> Said:
        """A stored value of a metric for people: 26.3 ℃, 58.4 %RH, a state's word; a dash when there is none."""
        if value is None:
            return Said("–")
        entry = metric_of(name)
        if isinstance(value, str):
            if entry is None or entry.states is None or value not in entry.states.words:
                return Said(value, Tone.WARNING)
            state = entry.states.by_word(value)
            return Said(self.pick(state.en, state.zh), state.tone)
        if name.endswith(".timestamp"):
            return Said(local_time(from_ms(round(value * 1000)), self.zone, self.language, "yyyy-MM-dd"))
        decimals = 1 if entry is None else entry.decimals
        return Said(quantity(displayed(name, value), unit_of(name), self.language, decimals))

    def range(self, name: str, low: float, high: float) -> str:
        """The lowest and highest of several sensors."""
        decimals = 1 if (entry := metric_of(name)) is None else entry.decimals
        first = quantity(displayed(name, low), "", self.language, decimals)
        return f"{first} – {quantity(displayed(name, high), unit_of(name), self.language, decimals)}"

    def limit(self, name: str, value: object) -> str:
        """A threshold as stored in alarms and rules: a number, a state word, or several words."""
        if isinstance(value, str):
            return ", ".join(self.value(name, word.strip()).text for word in value.split(",")) or "–"
        if isinstance(value, (int, float)):
            return self.value(name, float(value)).text
        return "–"

    def level(self, name: str, side: str, limit: object) -> str:
        """A level of a rule: `≥ 27.0 ℃`, a state's word, "no values", or how far ahead a forecast looks."""
        if side == "absent":
            return self.gettext("no values")
        if side == "forecast" and isinstance(limit, (int, float)):
            return self.gettext("within %(minutes)g min") % {"minutes": limit / 60}
        return {"high": "≥ ", "low": "≤ "}.get(side, "") + self.limit(name, limit)

    def time(self, at: datetime | None, zone: str | None = None, *, seconds: bool = True) -> Markup:
        """Local time with its zone, as a `time` element."""
        if at is None:
            return Markup("–")
        zone = zone or self.zone
        text = local_time(at, zone, self.language, "yyyy-MM-dd HH:mm:ss" if seconds else "yyyy-MM-dd HH:mm")
        return Markup('<time datetime="{}" title="{}">{} <span class="zone">{}</span></time>').format(
            at.isoformat(), f"{text} {zone}", text, offset_name(at, zone)
        )

    def ago(self, at: datetime | None, zone: str | None = None) -> Markup:
        """How long ago; the full local time stands in the tooltip."""
        if at is None:
            return Markup("–")
        age = self.now - at
        if age > _LONG_AGO or age < -_LONG_AGO:
            return self.time(at, zone, seconds=False)
        locale = Locale.parse(self.language)
        text = format_timedelta(-age, add_direction=True, locale=locale, threshold=1.2)
        zone = zone or self.zone
        full = f"{local_time(at, zone, self.language)} {zone}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), full, text)

    def lasting(self, start: datetime, end: datetime | None = None) -> str:
        """How long something lasted, in its largest unit."""
        span = max((end or self.now) - start, timedelta())
        return str(format_timedelta(span, locale=Locale.parse(self.language), threshold=1.2))

    def recurs(self, plan: Recurring) -> str:
        """How often a plan comes: `Every 3 months`, or `3 months after it was done`."""
        if plan.rrule is None:
            count, unit, floating = plan.every or 1, str(plan.step), True
        else:
            parts = dict(part.split("=", 1) for part in plan.rrule.upper().split(";") if "=" in part)
            unit = {"DAILY": "days", "WEEKLY": "weeks", "MONTHLY": "months"}.get(parts.get("FREQ", ""), "years")
            count, floating = int(parts.get("INTERVAL", "1")), False
        span = self._translations.catalog(self.language).ngettext(*_SPANS[unit], count) % {"count": count}
        pattern = N_("%(span)s after it was done") if floating else N_("Every %(span)s")
        return self.gettext(pattern) % {"span": span}

    def bounds(self, item: Mapping[str, Any]) -> str:
        """The limits of a checklist item as stored, with the unit; a dash for none."""
        low, high, unit = item.get("lower"), item.get("upper"), item.get("unit")
        if low is None and high is None:
            return "–"
        text = f"{low:g} – {high:g}" if None not in (low, high) else f"≥ {low:g}" if low is not None else f"≤ {high:g}"
        return f"{text}\u00a0{symbol(Unit(unit))}" if unit else text

    def seconds(self, value: float) -> str:
        return str(format_timedelta(timedelta(seconds=value), locale=Locale.parse(self.language), threshold=1.2))

    def zone_name(self, zone: str | None = None) -> str:
        zone = zone or self.zone
        return f"{zone} ({offset_name(self.now, zone)})"

    def severity(self, severity: str) -> str:
        return (LABELS_ZH if self.chinese else LABELS_EN)[Severity(severity)]

    def rank(self, severity: str) -> str:
        """The number of a level beside its colour, so that it is told apart without colours."""
        return str(Severity(severity).rank)

    def icon(self, kind: str) -> str:
        return ICONS.get(kind, "device-desktop")
