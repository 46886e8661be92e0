"""A restart of an agent told from a counter of uptime that wrapped, and kept as an event."""

from pathlib import Path

import pytest

from agent.journal import Journal
from agent.journal.block import Sealed
from collectors.snmp.uptime import SYS_UPTIME, TICKS_A_SECOND, WRAP, UptimeWatch
from facility.items import EventItem, EventKind, decode_events
from facility.wire import Kind, decode
from tests.agent.running import running, ups, write_config
from tests.collectors.speaking.profiles import CHARGE
from tests.support.peers import until_async
from tests.support.snmpd import Override, Snmpd


def items_of(block: Sealed) -> list[EventItem]:
    events, refused = decode_events(decode(block.payload()).items)
    assert not refused
    return events


def watched(*looks: tuple[float, float]) -> list[bool]:
    """Whether each look (our seconds, the agent's uptime in seconds) finds a restart."""
    watch = UptimeWatch()
    return [watch.look(round(uptime * TICKS_A_SECOND) % WRAP, now) is not None for now, uptime in looks]


DAYS_497 = WRAP / TICKS_A_SECOND


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([(0, 1000), (10, 1010), (20, 1020)], [False, False, False]),
        ([(0, 1000), (10, 3)], [False, True]),
        ([(0, 30), (10, 2)], [False, True]),
        ([(0, DAYS_497 - 5), (10, DAYS_497 + 5), (20, DAYS_497 + 15)], [False, False, False]),
        ([(0, DAYS_497 - 3600), (7200, DAYS_497 + 3600)], [False, False]),  # wrapped during a silence
        ([(0, DAYS_497 - 3600), (7200, 60)], [False, True]),
        ([(0, 1000), (7200, 3000)], [False, True]),  # restarted during a silence, and was up for longer than before
        ([(0, 1000), (7200, 8190)], [False, False]),
        ([(0, 1000), (10, 999.5)], [False, False]),  # a cache
        ([(0, 0), (10, 0), (86_400, 0)], [False, False, False]),  # an agent that does not count
        ([(0, 1000), (86_400, 1000 + 86_400 * 0.995)], [False, False]),  # a bad oscillator
    ],
)
def test_a_restart_and_what_is_none(looks: list[tuple[float, float]], found: list[bool]) -> None:
    assert watched(*looks) == found


def test_what_is_no_uptime_tells_nothing() -> None:
    watch = UptimeWatch()
    assert watch.look(5000, 0.0) is None
    for value in (None, b"up", "1.3.6", -1, WRAP, 1.5):
        assert watch.look(value, 1.0) is None
    restart = watch.look(100, 10.0)
    assert restart is not None
    assert (restart.uptime_s, restart.before_s) == (1.0, 50.0)


@pytest.mark.peer("snmpd")
async def test_a_device_that_restarted_is_an_event_of_the_journal(snmpd: Snmpd, tmp_path: Path) -> None:
    def up_for(seconds: int) -> list[Override]:
        return [(SYS_UPTIME, "timeticks", seconds * TICKS_A_SECOND), (CHARGE, "integer", 88)]

    async def reboots(journal: Journal) -> list[dict[str, str]]:
        await journal.commit()
        items = [item for each in await journal.unsent(Kind.EVENTS, limit=100) for item in items_of(each.block)]
        return [item.detail for item in items if item.kind is EventKind.DEVICE_REBOOT and item.device == "ups-1"]

    snmpd.serve(up_for(1000))
    config = write_config(tmp_path, devices=[ups(snmpd.port)], rooms=[{"id": "hall"}])
    async with running(config) as agent:
        device = agent._live.devices["ups-1"]
        await until_async(lambda: device.up, timeout=10, what="a first poll")
        snmpd.serve(up_for(12))
        (detail,) = await until_async(lambda: reboots(agent.journal), timeout=10, what="the event")
        assert detail == {"uptime_s": "12.00", "uptime_before_s": "1000.00"}
