"""Texts from the wire, made fit for columns. Pure."""


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, without NUL: PostgreSQL keeps none, and one label must not void a catalog."""
    return text.replace("\x00", "")[:limit]
