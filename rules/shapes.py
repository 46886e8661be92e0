"""The three ways a state match may be written, brought to one."""

from collections.abc import Mapping
from typing import Any

_STATE_SHAPE = "a state match is `{in: [words], severity: ...}`, a list of those, or `word: severity` lines"


def state_words(value: Any) -> Any:
    """Bring `{in: [...], severity: s}`, a list of those, or `word: severity` to the last shape."""
    if isinstance(value, Mapping) and "in" in value:
        value = [value]
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [pair for match in value for pair in _pairs(match)]
    else:
        raise ValueError(_STATE_SHAPE)  # noqa: TRY004 - a TypeError would escape pydantic
    words: dict[str, Any] = {}
    for word, severity in pairs:
        if isinstance(word, bool):
            raise ValueError(  # noqa: TRY004 - a TypeError would escape pydantic
                'YAML reads on, off, yes and no as true or false: write the state in quotes, "off"'
            )
        if word in words:
            raise ValueError(f"the state {word!r} is given two severities")
        words[word] = severity
    return words


def _pairs(match: Any) -> list[tuple[Any, Any]]:
    if not isinstance(match, Mapping) or set(match) != {"in", "severity"} or not isinstance(match["in"], list):
        raise ValueError(_STATE_SHAPE)
    return [(word, match["severity"]) for word in match["in"]]
