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
        ("a: 2024-02-30", "a: '2024-02-30' is no timestamp"),
        ("a:\n  2024-02-30: 1", "x.yaml:2: a: '2024-02-30' is no timestamp"),
        ("!!bool maybe: 1", "'maybe' is no bool"),
        ("a: !!int ''", "a: '' is no int"),
        ("a: !!timestamp soon", "a: 'soon' is no timestamp"),
        ("a: !!binary é", "is no binary"),
    ],
)
def test_it_is_said_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_yaml(text, "x.yaml")
    assert said in str(caught.value)
