"""What a change of an alarm without a ticket is to people: decided without a session or a clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from facility.alarms import AlarmKey, EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival
from server.alarms.watching import AlarmSnapshot
from server.notify.alarms import News, news

AT = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
HOLD = timedelta(minutes=10)
NEW = AlarmSnapshot(
    id="b", key_id="k", key=AlarmKey("edge1", "th-01", "room-hot"), customer_id="c", site_id="s",
    metric="room.temperature", level="hi", severity=Severity.INFO, worst_severity=Severity.INFO, value=28.0, limit=27.0,
    device_en="d", device_zh="d", rule_en="r", rule_zh="r", room="hall", active=True, state=AlarmState.UNACKED,
    why=None, arrival=Arrival.LIVE, raised_at=AT, ended_at=None, end_reason=None, acked_by=None, acked_name=None,
    ack_note=None, muted_because=None,
)  # fmt: skip
OLDER = replace(
    NEW, id="a", active=False, raised_at=AT - HOLD, ended_at=AT - timedelta(minutes=5), end_reason=EndReason.RECOVERED
)


def minor(snapshot: AlarmSnapshot) -> AlarmSnapshot:
    return replace(snapshot, severity=Severity.MINOR, worst_severity=Severity.MINOR)


@pytest.mark.parametrize(
    ("before", "after", "older", "told"),
    [
        (None, NEW, None, News.CAME),
        (None, NEW, OLDER, News.CAME_BACK),
        (None, NEW, replace(OLDER, ended_at=AT - HOLD), News.CAME),
        (None, NEW, replace(OLDER, muted_because="maintenance_window"), News.CAME),
        (None, minor(NEW), OLDER, News.CAME),
        (None, NEW, minor(OLDER), News.CAME_BACK),
        (None, replace(NEW, began_flapping=True), OLDER, News.FLAPPING),
        (None, replace(NEW, muted_because="maintenance_window"), None, News.MUTED),
        (replace(NEW, muted_because="maintenance_window"), NEW, None, News.CAME),
        (NEW, minor(NEW), None, News.WORSE),
        (NEW, replace(NEW, active=False, ended_at=AT), None, News.UNCHANGED),
    ],
)
def test_what_a_change_is_to_people(
    before: AlarmSnapshot | None, after: AlarmSnapshot, older: AlarmSnapshot | None, told: News
) -> None:
    assert news(before, after, older=older, hold=HOLD) is told
