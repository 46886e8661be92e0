"""The JSON Schema for editors: whatever the loader takes must not be underlined, whatever it refuses should be."""

import re
from pathlib import Path
from typing import Any

import yaml

from collectors.library import file_schema

SCHEMA = file_schema()
SHIPPED = Path(__file__).parents[3] / "collectors" / "profiles"
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def complaints(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """What a JSON Schema validator says, for the few words pydantic writes."""
    if "$ref" in schema:
        return complaints(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        tries = [complaints(value, each, at) for each in schema["anyOf"]]
        return [] if any(not each for each in tries) else [f"{at}: fits none: {min(tries, key=len)}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind is not None and not (
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool) or kind == "object")
    ):
        return [f"{at}: {value!r} is no {kind}"]
    found: list[str] = []
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} does not match")
    if isinstance(value, list) and "items" in schema:
        found += [text for n, each in enumerate(value) for text in complaints(each, schema["items"], f"{at}[{n}]")]
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        for key, each in value.items():
            if str(key) in fields:
                found += complaints(each, fields[str(key)], f"{at}.{key}")
            elif isinstance(rest, dict):
                found += complaints(each, rest, f"{at}.{key}")
            elif rest is False:
                found.append(f"{at}.{key}: unknown")
        found += [f"{at}.{name}: missing" for name in schema.get("required", ()) if name not in value]
    return found


def test_no_shipped_profile_is_underlined_in_an_editor() -> None:
    for path in sorted(SHIPPED.rglob("*.yaml")):
        text = re.sub(r"(?<=[ \[])(\d+)e-(\d+)(?=[,}\s])", r"\1.0e-\2", path.read_text(encoding="utf-8"))  # YAML 1.1
        assert complaints(yaml.safe_load(text), SCHEMA) == [], path


def test_mistakes_are_underlined() -> None:
    good = {
        "title": {"en": "a", "zh": "b"},
        "vendor": "a",
        "model": "b",
        "kind": "ups",
        "protocol": "modbus",
        "maturity": "documented",
        "provenance": "a manual of it",
        "points": [{"metric": "ups.output.load", "from": {"holding": 1, "unit": "%", "sentinels": [65535]}}],
    }
    assert complaints(good, SCHEMA) == []
    for wrong in (
        {"kind": "toaster"},
        {"id": "a/b"},
        {"points": [{"metric": "ups.output.load", "form": {"holding": 1}}]},
        {"points": [{"metric": "ups.output.load", "from": {"holding": "x"}}]},
        {"title": {"en": "a"}},
        {"community": "public"},
    ):
        assert complaints(good | wrong, SCHEMA) != [], wrong
