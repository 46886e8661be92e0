"""Texts from the wire, made fit for columns. Pure."""

from typing import Any


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, without NUL: PostgreSQL keeps none, and one label must not void a catalog."""
    return text.replace("\x00", "")[:limit]


def without_nul(value: Any) -> Any:
    """Plain JSON without NUL in any of its texts and names: it is legal there, and PostgreSQL's jsonb keeps none."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {without_nul(name): without_nul(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [without_nul(held) for held in value]
    return value
