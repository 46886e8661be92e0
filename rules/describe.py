"""A rule as the catalog tells it: for people, charts and the centre, which has no rule files."""

from facility.catalog import CatalogLevel, CatalogRule
from rules.durations import SECOND_MS
from rules.model import Rule
from rules.parts import ABSENT_LEVEL, STATE_LEVEL, Side


def catalog_rule(rule: Rule) -> CatalogRule:
    """Titles, source, delays and levels; a state rule has one level per word, absent's and a forecast's limits are
    in seconds.
    """
    return CatalogRule(
        id=rule.id,
        revision=rule.revision,
        metric=rule.metric,
        title_en=rule.title.en,
        title_zh=rule.title.zh,
        source=rule.sources,
        levels=tuple(_levels(rule)),
        for_s=rule.for_ / SECOND_MS,
        clear_for_s=rule.clear_for / SECOND_MS,
    )


def _levels(rule: Rule) -> list[CatalogLevel]:
    if rule.state is not None:
        return [CatalogLevel(STATE_LEVEL, Side.STATE, severity, word) for word, severity in rule.state.items()]
    if rule.absent is not None:
        return [CatalogLevel(ABSENT_LEVEL, Side.ABSENT, rule.absent.severity, rule.absent.after / SECOND_MS)]
    levels = []
    for level in rule.thresholds:
        side = Side.HIGH if level.sign > 0 else Side.LOW
        if rule.rate is not None:
            side = Side.RATE
        elif rule.forecast is not None:
            side = Side.FORECAST
        levels.append(CatalogLevel(level.id, side, level.severity, level.limit, level.clear))
    return levels
