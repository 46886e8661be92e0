"""The agent's own state, as the centre hears it each minute and whoever watches the process may ask."""

from http import HTTPStatus

from msgspec import UNSET

from agent import VERSION
from agent.budget import Budget
from agent.figures import Figures
from agent.http import Page
from agent.journal import JournalStats
from agent.site import Site
from facility.items import HealthItem

HEALTH_S = 60.0


def health_of(
    site: Site,
    stats: JournalStats,
    figures: Figures,
    *,
    at: int,
    uptime_s: float,
    lost: int,
    budget: Budget | None,
) -> HealthItem:
    """The health item of `at` (ms UTC). lost: devices that do not answer; budget: of a metered link."""
    oldest = stats.oldest_unsent_ms
    return HealthItem(
        at=at,
        version=VERSION,
        config_digest=site.loaded.digest,
        uptime_s=uptime_s,
        unsent_blocks=sum(stats.unsent_blocks.values()),
        unsent_bytes=stats.unsent_bytes,
        oldest_unsent_s=0.0 if oldest is None else max(0.0, (at - oldest) / 1000),
        journal_bytes=stats.used_bytes,
        devices=len(site.devices),
        devices_lost=lost,
        readings=stats.readings,
        missed_slots=figures.missed_slots,
        drops=dict(stats.drops),
        rejected=dict(figures.rejected),
        readings_every_s=UNSET if budget is None else budget.every_s,
        spacing_s=UNSET if budget is None else budget.spacing_ms / 1000,
        thinned=UNSET if budget is None else figures.thinned,
        # Under "" stand streams long gone, whose losses were told while they were known by name.
        drops_before={stream: dict(counts) for stream, counts in stats.dropped.items() if stream} or UNSET,
    )


def readiness(stats: JournalStats, *, connected: bool | None) -> Page:
    """Ready when the journal is durable; without the centre an agent still works. connected: None: no uplink."""
    if stats.degraded:
        return Page(f"journal: {stats.degraded}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
    if connected is None:
        return Page(b"ok, no uplink configured\n")
    return Page(b"ok\n" if connected else b"ok, not connected to the centre\n")
