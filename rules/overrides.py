"""Other numbers for some rules on some devices, in bulk: rules made of rules."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field, field_validator

from rules.model import Rule, RuleSet
from rules.parts import Part, Select

# What an override may say; `enabled: false` switches the rules off there.
SETTABLE = ("levels", "for", "clear_for", "deadband", "gap", "flap", "rate", "forecast", "absent", "enabled")
_NO_HOURS = (
    "'hours' cannot be set here: outside them nobody would judge these devices; switch the rules off for them "
    "(`set: {enabled: false}`) and write two rules for them, one with these `hours` and one with the others"
)


class Override(Part):
    """Other numbers for some rules on some devices, without writing the rules again.

    rules: ids as shell-like patterns; select: which devices; set: what is other there, as in a rule (`levels` are
    merged level by level). Each rule then is two: itself for all other devices, and `ID-NAME` for these. A rule that
    judges none of these devices stays as it is.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$")
    rules: tuple[str, ...] = Field(min_length=1)
    select: Select
    set: Mapping[str, Any] = Field(min_length=1)
    source: str = Field(min_length=3)

    @field_validator("set")
    @classmethod
    def _can_be_set(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for key in value:
            if key == "hours":
                raise ValueError(_NO_HOURS)
            if key not in SETTABLE:
                near = difflib.get_close_matches(key, SETTABLE, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"{key!r} cannot be set here: {', '.join(SETTABLE)}{hint}")
        return value

    @field_validator("select")
    @classmethod
    def _is_of_devices(cls, value: Select) -> Select:
        if value.subject != "*":
            raise ValueError("an override is for whole devices: no `subject`; write a rule for a part of one")
        return value

    def names(self, rule: Rule) -> bool:
        """Whether it is for this rule, by its id."""
        return any(fnmatchcase(rule.id, pattern) for pattern in self.rules)

    def shadowed(self, rules: RuleSet, earlier: Sequence["Override"]) -> list[str]:
        """The earlier overrides that leave nothing for this one: each device it selects is one of theirs; [] if not."""
        found: dict[str, None] = {}
        for rule in rules:
            meant = rule.id not in rules.special and self.names(rule)
            select = _both(self.select, rule.select) if meant else None
            if select is None:
                continue
            first = next((each for each in earlier if each.names(rule) and _covers(each.select, select)), None)
            if first is None:
                return []
            found[first.name] = None
        return list(found)

    def of(self, rule: Rule) -> Rule | None:
        """The rule as it is on these devices, None when it judges none of them.

        ValueError (of pydantic) when the new numbers do not fit.
        """
        select = _both(self.select, rule.select)
        if select is None:
            return None
        content = rule.model_dump(by_alias=True, exclude_none=True)
        content["flap"] = content.get("flap", "off")
        numbers = _numbers(content)
        for key, value in self.set.items():
            content[key] = _merged(content.get(key), value)
        content |= {"id": f"{rule.id}-{self.name}", "select": select, "source": self.source}
        if rule.levels is not None:
            content["levels"] = self._with_sources(rule, content["levels"])
        elif _numbers(content) == numbers:
            content["source"] = f"{rule.source}; {self.source}"
        return Rule.model_validate(content)

    def _with_sources(self, rule: Rule, levels: Any) -> Any:
        """The levels, each with the source of its own number: a standard is not the source of another number."""
        given = self.set.get("levels", {})
        if not isinstance(levels, Mapping) or not isinstance(given, Mapping):
            return levels  # no levels at all, as reading them will say
        found = dict(levels)
        for name, level in levels.items():
            old, new = getattr(rule.levels, name, None), given.get(name, {})
            if not isinstance(level, Mapping) or not isinstance(new, Mapping) or "source" in new:
                continue
            own = None if old is None or level.get("limit") != old.limit else old.source or rule.source
            found[name] = {**level, "source": own}
        return found


def _numbers(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a rule's condition a standard may be the source of."""
    return {
        name: {key: value for key, value in part.items() if key != "severity"}
        for name in ("rate", "forecast", "absent")
        if isinstance(part := content.get(name), Mapping)
    }


def _both(narrow: Select, wide: Select) -> Select | None:
    """What both select; None when that is nothing. Of `narrow` all but its subject counts.

    Never more than `wide`: other numbers for a room must not have its UPS judged by a rule for sensors.
    """
    parts: dict[str, Any] = {"labels": {**wide.labels, **narrow.labels}, "subject": wide.subject}
    if any(narrow.labels.get(name, value) != value for name, value in wide.labels.items()):
        return None
    for name in ("kinds", "rooms", "zones", "devices"):
        mine, theirs = getattr(narrow, name), getattr(wide, name)
        parts[name] = _shared(mine, theirs) if mine and theirs else mine or theirs
        if (mine or theirs) and not parts[name]:
            return None
    return Select(**parts)


def _shared(mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Of each two the narrower one, if one lies within the other (`ups-1*` in `ups-*`; names are patterns, too)."""
    found = [a if fnmatchcase(a, b) else b for a in mine for b in theirs if fnmatchcase(a, b) or fnmatchcase(b, a)]
    return tuple(dict.fromkeys(found))


def _covers(wide: Select, narrow: Select) -> bool:
    """Whether `wide` certainly selects every device that `narrow` does."""
    for name in ("kinds", "rooms", "zones"):
        mine, theirs = getattr(wide, name), getattr(narrow, name)
        if mine and not (theirs and set(theirs) <= set(mine)):
            return False
    if wide.devices and not (narrow.devices and all(_within(each, wide.devices) for each in narrow.devices)):
        return False
    return all(narrow.labels.get(name) == value for name, value in wide.labels.items())


def _within(pattern: str, others: Sequence[str]) -> bool:
    plain = not set("*?[") & set(pattern)
    # Of two patterns only what a `*` alone lets through is sure: `ups-*` looks as if `ups-?` let it.
    return any(
        pattern == other or (fnmatchcase(pattern, other) and (plain or not set("?[") & set(pattern + other)))
        for other in others
    )


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def overridden(rules: RuleSet, override: Override) -> RuleSet:
    """The rules with the override's rules beside those it names; of several overrides on one device the first counts.

    ValueError when it names no rule that judges such devices, or two overrides share a name.
    """
    found: list[Rule] = []
    special: set[str] = set()
    known = {rule.id for rule in rules}
    named = False
    for rule in rules:
        meant = rule.id not in rules.special and override.names(rule)
        named = named or meant
        made = override.of(rule) if meant else None
        if made is None:
            found.append(rule)
            continue
        if made.id in known:
            raise ValueError(f"override {override.name}: there is a rule {made.id} already")
        special.add(made.id)
        found += [rule.model_copy(update={"unless": (*rule.unless, override.select)}), made]
    if not special:
        wanted = ", ".join(override.rules)
        why = f"no rule {wanted} judges devices it selects" if named else f"there is no rule {wanted}"
        raise ValueError(f"override {override.name}: {why}")
    return replace(rules, rules=tuple(found), special=rules.special | special)
