"""YAML that is no configuration is refused in words, quickly, whatever it is."""

import pytest

from facility.config import ConfigErrors, parse_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested deeper than 40"),
        ("- " * 2_000, "nested deeper than 40"),
        ("a: [", "expected the node content"),
        ("{a: 1}: 2", "a key is one word"),
        ("a: b: c", "mapping values are not allowed here"),
        ("a: !!int zz", "a: 'zz' is no int"),
        ("a: !own 1", "is no !own"),
    ],
)
def test_it_is_said_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_yaml(text, "x.yaml")
    assert said in str(caught.value)
