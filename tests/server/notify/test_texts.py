"""Who is told what, in which words: without any database."""

from datetime import UTC, datetime, timedelta

import pytest

from facility.severity import Severity
from facility.wording import shown
from server.kit.principal import Principal, PrincipalKind, Role
from server.notify.notices import Notice, NoticeKind
from server.notify.recipients import Wanted, is_told, roll_up_at, wanted_of
from server.notify.texts import body_of, roll_up, title_of

AT = datetime(2026, 3, 10, 2, 0, 30, tzinfo=UTC)
NOTICE = Notice(
    event="ticket/1/1",
    kind=NoticeKind.TICKET_OPENED,
    customer_id="c1",
    site_id="s1",
    severity=Severity.MAJOR,
    title_en="CRAC 1: return air hot",
    title_zh="1号空调:回风温度过高",
    path="/tickets/1",
    room="Room A",
    device="crac-1",
    metric="crac.return_air.temperature",
    value=33.04,
    limit=32.0,
    since=AT,
    number="T-2026-000001",
)


def test_the_message_in_english() -> None:
    assert title_of(NOTICE, "en") == "[Major] new ticket: CRAC 1: return air hot"
    body = body_of(NOTICE, language="en", zone="Asia/Shanghai", public_url="https://noc.example/")
    assert body.splitlines() == [
        "Device: crac-1",
        "Room: Room A",
        "Value: 33.0 ℃",
        "Limit: 32.0 ℃",
        "Since: 2026-03-10 10:00:30 Asia/Shanghai",
        "Ticket: T-2026-000001",
        "https://noc.example/tickets/1",
    ]


def test_the_message_in_chinese() -> None:
    assert title_of(NOTICE, "zh_CN") == "【二级 重要】新工单:1号空调:回风温度过高"
    body = body_of(NOTICE, language="zh_CN", zone="UTC", public_url=None)
    assert body.splitlines() == [
        "设备:crac-1",
        "机房:Room A",
        "当前值:33.0 ℃",
        "阈值:32.0 ℃",
        "开始时间:2026-03-10 02:00:30 UTC",
        "工单:T-2026-000001",
    ]


@pytest.mark.parametrize(
    ("metric", "value", "language", "text"),
    [
        ("room.humidity", 58.44, "en", "58.4 %RH"),
        ("door.state", "open", "zh_CN", "打开"),
        ("door.state", "no such word", "en", "no such word"),
        ("", "2026-03-10", "en", "2026-03-10"),
        ("room.temperature", None, "en", "–"),
    ],
)
def test_values_as_people_read_them(metric: str, value: float | str | None, language: str, text: str) -> None:
    assert shown(metric, value, zh=language == "zh_CN") == text


def test_the_roll_up_counts_by_severity() -> None:
    title, body = roll_up({Severity.MINOR: 3, Severity.MAJOR: 2}, language="en", public_url=None)
    assert (title, body) == ("5 more messages", "Major: 2\nMinor: 3")
    assert roll_up({Severity.MINOR: 3}, language="zh_CN", public_url=None)[0] == "另有 3 条通知"


def someone(*roles: Role, customers: set[str] | None = None) -> Principal:
    limits = None if customers is None else frozenset(customers)
    return Principal(id="u1", name="Ann", kind=PrincipalKind.USER, roles=frozenset(roles), customers=limits)


@pytest.mark.parametrize(
    ("who", "setting", "severity", "told"),
    [
        (someone(Role.NOC), None, Severity.MAJOR, True),
        (someone(Role.NOC), None, Severity.MINOR, False),
        (someone(Role.NOC), Wanted.MINOR, Severity.MINOR, True),
        (someone(Role.NOC), Wanted.NEVER, Severity.CRITICAL, False),
        (someone(Role.CUSTOMER), None, Severity.CRITICAL, False),
        (someone(Role.CUSTOMER), Wanted.CRITICAL, Severity.CRITICAL, True),
        (someone(Role.NOC, customers={"c1"}), None, Severity.MAJOR, True),
        (someone(Role.NOC, customers={"c2"}), Wanted.INFO, Severity.CRITICAL, False),
    ],
)
def test_who_is_told(who: Principal, setting: Wanted | None, severity: Severity, told: bool) -> None:
    assert is_told(who, setting, customer_id="c1", site_id="s1", severity=severity, to=None) is told


def test_what_is_for_one_person_reaches_that_person_only_and_only_in_scope() -> None:
    def reaches(who: Principal, to: str) -> bool:
        return is_told(who, Wanted.NEVER, customer_id="c1", site_id="s1", severity=Severity.INFO, to=to)

    assert reaches(someone(Role.ENGINEER), "u1")
    assert not reaches(someone(Role.ENGINEER), "u2")
    assert not reaches(someone(Role.ENGINEER, customers={"c2"}), "u1")


def test_the_most_talkative_role_decides_where_nothing_is_set() -> None:
    assert wanted_of([Role.AUDITOR, Role.ENGINEER], None) is Wanted.MAJOR


def test_a_roll_up_is_told_at_the_end_of_its_minute() -> None:
    assert roll_up_at(AT) == AT + timedelta(seconds=30)
