"""Who judged an alarm."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """An agent, or the centre (then `agent_id` is None). code: the origin of its alarm keys."""

    customer_id: str
    site_id: str
    code: str
    agent_id: str | None
