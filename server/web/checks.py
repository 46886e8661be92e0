"""A checklist as a form: field names, what was typed, and what is wrong with it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facility.units import Unit, symbol
from server.maintenance.checklist import OrderItem, ResultIn, ValueType
from server.web.words import N_

VALUE, NOTE = "value.", "note."
YES, NO = "yes", "no"

# What is wrong with a value, by the kind of the problem.
WRONG: Mapping[str, str] = {
    "required": N_("Fill this in."),
    "type": N_("Enter a number."),
    "choice": N_("Choose one of the answers."),
}
_OTHERWISE = N_("This value is not right.")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form: the item, what was typed so far, and a message about it ("" when it is well)."""

    item: OrderItem
    value: str
    note: str
    message: str

    @property
    def unit(self) -> str:
        return "" if self.item.unit in (None, Unit.NONE) else symbol(self.item.unit)

    @property
    def bounds(self) -> str:
        """The limits, as people write them."""
        low, high = self.item.lower, self.item.upper
        if low is not None and high is not None:
            return f"{low:g} – {high:g}"
        return f"≥ {low:g}" if low is not None else f"≤ {high:g}" if high is not None else ""


def fields(
    items: Sequence[OrderItem], typed: Mapping[str, Any], errors: Sequence[Mapping[str, Any]] = ()
) -> list[Field]:
    """The lines of the form; `errors` are those of a refused completion (path `results.KEY...` and kind)."""
    wrong = {}
    for error in errors:
        key = str(error.get("path", "")).removeprefix("results.")
        wrong[key.rsplit(".", 1)[0]] = WRONG.get(str(error.get("kind")), _OTHERWISE)
    return [
        Field(item, str(typed.get(VALUE + item.key, "")), str(typed.get(NOTE + item.key, "")), wrong.get(item.key, ""))
        for item in items
    ]


def results(items: Sequence[OrderItem], typed: Mapping[str, Any]) -> dict[str, ResultIn]:
    """What was typed as results; a number that is none stays text, so that the checklist refuses it by name."""
    found = {}
    for item in items:
        text, note = str(typed.get(VALUE + item.key, "")).strip(), str(typed.get(NOTE + item.key, "")).strip()
        if text or note:
            found[item.key] = ResultIn(value=_value(item, text[:2000]), note=note[:1000])
    return found


def _value(item: OrderItem, text: str) -> bool | float | str | None:
    if not text:
        return None
    if item.type is ValueType.BOOL:
        return {YES: True, NO: False}.get(text, text)
    if item.type is ValueType.NUMBER:
        try:
            return float(text.replace(",", ".").replace("\u2212", "-"))
        except ValueError:
            return text
    return text
