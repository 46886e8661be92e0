"""Severity: one ordered enum everywhere, from the rule to the screen."""

from enum import StrEnum


class Severity(StrEnum):
    """The four alarm levels of Chinese power-and-environment monitoring; `CRITICAL` is the highest."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"

    @property
    def rank(self) -> int:
        """1 for critical to 4 for info, as in 一级 to 四级; stored and exported under this number."""
        return RANKS[self]

    def worse_than(self, other: "Severity") -> bool:
        return self.rank < other.rank


RANKS = {Severity.CRITICAL: 1, Severity.MAJOR: 2, Severity.MINOR: 3, Severity.INFO: 4}
COLOURS = {Severity.CRITICAL: "red", Severity.MAJOR: "orange", Severity.MINOR: "yellow", Severity.INFO: "blue"}
LABELS_ZH = {
    Severity.CRITICAL: "一级 紧急",
    Severity.MAJOR: "二级 重要",
    Severity.MINOR: "三级 一般",
    Severity.INFO: "四级 提示",
}
LABELS_EN = {
    Severity.CRITICAL: "Critical",
    Severity.MAJOR: "Major",
    Severity.MINOR: "Minor",
    Severity.INFO: "Info",
}


def worst(severities: list[Severity]) -> Severity:
    """The most severe of a non-empty list."""
    return min(severities, key=lambda severity: severity.rank)
