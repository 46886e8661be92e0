"""Small immutable names of a site and an agent, safe to keep beside a session and to hand to other domains."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SiteRef:
    """A site: `id` is the row's, `code` the topic's; `zone` an IANA name."""

    id: str
    code: str
    customer_id: str
    zone: str


@dataclass(frozen=True, slots=True)
class AgentRef:
    """An agent of a site: `id` is the row's, `code` the topic's and the origin of its alarms."""

    id: str
    code: str
    site: SiteRef
