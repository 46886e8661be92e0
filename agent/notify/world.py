"""What local notices know of the agent around them, and their making from its configuration."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from agent.config import Notify
from agent.figures import Figures
from agent.guard import ClockGuard
from agent.journal import Journal, JournalStats, Offload
from agent.notify.local import Channel, LocalNotices
from agent.notify.policy import Limits, Link, Notice
from agent.notify.send import Sender
from agent.notify.store import NoticeStore
from agent.notify.texts import Named
from agent.site import Site
from agent.uplink import Uplink
from facility.clock import Clock, now_ms
from facility.wire import Kind

# Without a centre in the configuration there is nobody else who could tell.
ALWAYS_MS = 1 << 60


class AgentWorld:
    """Implements `agent.notify.local.World`. site and uplink are asked anew each time: a reload changes the site."""

    def __init__(
        self,
        *,
        site: Callable[[], Site],
        uplink: Callable[[], Uplink | None],
        journal: Journal,
        guard: ClockGuard,
        clock: Clock,
        told: Callable[[], None],
    ) -> None:
        self._site = site
        self._uplink = uplink
        self._journal = journal
        self._guard = guard
        self._clock = clock
        self._told = told

    def link(self) -> Link:
        uplink = self._uplink()
        if uplink is None:
            return Link(ALWAYS_MS, has_all=False)
        stats = self._journal.stats()
        # Those that wait for the clock to be set, for the disk, or in memory, are not among the unsent.
        waits = self._guard.undated or stats.alarms_since is not None
        has_all = not (stats.unsent_blocks.get(Kind.ALARMS, 0) or stats.degraded or waits)
        return Link(max(self._cut_ms(uplink), self._kept_ms(stats)), has_all)

    def _cut_ms(self, uplink: Uplink) -> int:
        return round((self._clock.monotonic() - uplink.taken_at) * 1000)

    def _kept_ms(self, stats: JournalStats) -> int:
        """For how long an alarm waits for the clock or for a disk that hangs: the centre gets nothing of it, however
        well it is connected."""
        since = stats.alarms_since
        kept = 0 if since is None else round((self._clock.monotonic() - since) * 1000)
        return max(kept, self._guard.undated_for(now_ms(self._clock)))

    def cut_since(self) -> datetime | None:
        uplink = self._uplink()
        if uplink is None or self._cut_ms(uplink) < self._kept_ms(self._journal.stats()):
            return None
        return self._clock.now() - timedelta(milliseconds=self._cut_ms(uplink))

    def named(self, notice: Notice, *, zh: bool) -> Named:
        site = self._site()
        rule = site.rules.get(notice.rule)
        title = notice.rule if rule is None else rule.title.zh if zh else rule.title.en
        device = next((each.config for each in site.devices if each.id == notice.device), None)
        # What stands for a room or the whole site has no device; a room is then named by its id.
        room_id = notice.device if device is None else device.room
        room = next((each for each in site.loaded.config.rooms if each.id == room_id), None)
        room_name = (room.name.zh or room.name.en if zh else room.name.en or room.name.zh) if room else ""
        if device is None:
            return Named(room_name or notice.device, title)
        name = device.name.zh or device.name.en if zh else device.name.en or device.name.zh
        return Named(name or notice.device, title, room_name or device.room or "")

    def told(self) -> None:
        self._told()


def local_notices(
    config: Notify, site: Site, world: AgentWorld, *, offload: Offload, figures: Figures, clock: Clock
) -> tuple[LocalNotices, Sender]:
    """The notices of a site that has channels, and their sender, to be closed after them."""
    loaded = site.loaded
    sender = Sender()
    channels = [
        Channel(
            channel.name,
            loaded.secret(f"notify.channels.{i}.url") or "",
            frozenset(channel.severities),
            channel.language == "zh_CN",
        )
        for i, channel in enumerate(config.channels)
    ]
    count, per = config.at_most
    journal = loaded.folder / loaded.config.journal.path
    notices = LocalNotices(
        channels,
        limits=Limits(config.after, count, per),
        site=loaded.config.site,
        zone=config.zone,
        store=NoticeStore(store_path(journal)),
        offload=offload,
        send=sender,
        world=world,
        figures=figures,
        clock=clock,
    )
    return notices, sender


def store_path(journal: Path) -> Path:
    """`journal.db` has `journal-notices.db` beside it."""
    return journal.with_name(f"{journal.stem}-notices{journal.suffix}")
