"""The policy and the fold of a ticket's log, without any database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.alarms import AlarmKey, EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival
from server.alarms.watching import AlarmSnapshot
from server.tickets.policy import OpenTicket, PastTicket, TicketDecision, TicketPolicy, decide, decide_hold
from server.tickets.states import (
    ACTIONS,
    EVENT_OF,
    Action,
    LogEntry,
    Summary,
    TicketEventKind,
    TicketState,
    advance,
    allowed,
    summarise,
)

NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
POLICY = TicketPolicy()
D = TicketDecision
RECOVERED, REMOVED = EndReason.RECOVERED, EndReason.RULE_REMOVED

ACTIVE = AlarmSnapshot(
    id="occurrence",
    key_id="key",
    key=AlarmKey("edge1", "th-01", "room-hot"),
    customer_id="c1",
    site_id="s1",
    metric="room.temperature",
    level="hi",
    severity=Severity.MAJOR,
    worst_severity=Severity.MAJOR,
    value=28.4,
    limit=28.0,
    device_en="TH 1",
    device_zh="TH 1",
    rule_en="Room hot",
    rule_zh="机房高温",
    room="",
    active=True,
    state=AlarmState.UNACKED,
    why=None,
    arrival=Arrival.LIVE,
    raised_at=NOW,
    ended_at=None,
    end_reason=None,
    acked_by=None,
    acked_name=None,
    ack_note=None,
    muted_because=None,
)
WORSE = replace(ACTIVE, worst_severity=Severity.CRITICAL)
OVER = replace(ACTIVE, active=False, end_reason=RECOVERED)
INFO = replace(ACTIVE, worst_severity=Severity.INFO)
MUTED = replace(ACTIVE, muted_because="maintenance_window")
ACKED = replace(ACTIVE, acked_by="u1")

OTHERS = OpenTicket(Severity.MAJOR, taken=False, covers=False)
ITS_OWN = OpenTicket(Severity.MAJOR, taken=False, covers=True)
TAKEN = OpenTicket(Severity.MAJOR, taken=True, covers=True)
RECENT = PastTicket(NOW - timedelta(hours=23, minutes=59), Severity.MAJOR)
MILD = replace(RECENT, severity=Severity.MINOR)
OLD = PastTicket(NOW - timedelta(hours=24, seconds=1), Severity.MAJOR)


@pytest.mark.parametrize(
    ("before", "after", "ticket", "past", "key_end", "decided"),
    [
        (None, ACTIVE, None, None, None, [D.OPENED_NEW]),
        (None, ACTIVE, OTHERS, None, None, [D.APPENDED_TO_OPEN]),
        (None, ACTIVE, None, RECENT, None, [D.REOPENED]),
        (None, ACTIVE, None, OLD, None, [D.OPENED_LINKED]),
        (None, INFO, None, None, None, [D.BELOW_THRESHOLD]),
        (None, MUTED, None, None, None, [D.MUTED]),
        (MUTED, ACTIVE, None, None, None, [D.OPENED_NEW]),
        (None, OVER, None, None, RECOVERED, [D.OPENED_NEW, D.HELD]),
        (None, OVER, OTHERS, None, RECOVERED, [D.APPENDED_TO_OPEN, D.HELD]),
        (None, OVER, OTHERS, None, None, [D.APPENDED_TO_OPEN, D.UNCHANGED]),
        (None, OVER, None, RECENT, RECOVERED, [D.NOTED_ON_PAST, D.NO_TICKET]),
        # Over before it was heard of, but the trouble did not go by itself, or was worse than what the ticket knew.
        (None, replace(OVER, end_reason=REMOVED), None, RECENT, REMOVED, [D.REOPENED, D.NOT_RECOVERED]),
        (None, OVER, None, MILD, RECOVERED, [D.REOPENED, D.HELD]),
        (None, OVER, None, RECENT, None, [D.REOPENED, D.UNCHANGED]),
        (OVER, replace(OVER, worst_severity=Severity.CRITICAL), None, RECENT, RECOVERED, [D.REOPENED, D.HELD]),
        (None, OVER, None, OLD, RECOVERED, [D.OPENED_LINKED, D.HELD]),
        (ACTIVE, WORSE, ITS_OWN, None, None, [D.SEVERITY_RAISED]),
        (INFO, ACTIVE, None, None, None, [D.OPENED_NEW]),
        (ACTIVE, WORSE, None, RECENT, None, [D.REOPENED]),
        (ACTIVE, ACTIVE, ITS_OWN, None, None, []),
        (ACTIVE, ACKED, ITS_OWN, None, None, [D.ACK_NOTED]),
        (ACTIVE, OVER, ITS_OWN, None, RECOVERED, [D.HELD]),
        (ACTIVE, OVER, TAKEN, None, RECOVERED, [D.TAKEN_BY_PERSON]),
        (ACTIVE, replace(OVER, end_reason=REMOVED), ITS_OWN, None, REMOVED, [D.NOT_RECOVERED]),
        (ACTIVE, OVER, None, RECENT, RECOVERED, [D.NO_TICKET]),
        (replace(OVER, end_reason=EndReason.SUPERSEDED), OVER, ITS_OWN, None, RECOVERED, [D.HELD]),
        # An older occurrence's end, while the younger one lasts or has recovered.
        (ACTIVE, replace(OVER, end_reason=EndReason.SUPERSEDED), ITS_OWN, None, None, [D.UNCHANGED]),
        (None, replace(OVER, end_reason=REMOVED), OTHERS, None, RECOVERED, [D.APPENDED_TO_OPEN, D.HELD]),
        # The bad news of an alarm that is over comes last: worse, and still over.
        (OVER, replace(OVER, worst_severity=Severity.CRITICAL), ITS_OWN, None, RECOVERED, [D.SEVERITY_RAISED, D.HELD]),
    ],
)
def test_decisions(
    before: AlarmSnapshot | None,
    after: AlarmSnapshot,
    ticket: OpenTicket | None,
    past: PastTicket | None,
    key_end: EndReason | None,
    decided: list[TicketDecision],
) -> None:
    found = decide(before, after, ticket=ticket, past=past, key_end=key_end, policy=POLICY, now=NOW)
    assert list(found) == decided


def test_the_hold() -> None:
    def after(seconds: int, **facts: bool) -> TicketDecision:
        given = {"taken": False, "key_active": False, **facts}
        return decide_hold(auto_resolve_at=NOW, now=NOW + timedelta(seconds=seconds), **given)

    assert (after(-1), after(0)) == (D.HELD, D.AUTO_RESOLVED)
    assert after(60, taken=True) is D.TAKEN_BY_PERSON
    assert after(60, key_active=True) is D.UNCHANGED


def test_what_may_be_done_in_each_state() -> None:
    assert {state.value: [action.value for action in allowed(state)] for state in TicketState} == {
        "new": ["acknowledge", "start", "resolve", "assign", "comment"],
        "acknowledged": ["start", "resolve", "assign", "comment"],
        "in_progress": ["resolve", "assign", "comment"],
        "resolved": ["close", "reopen", "comment"],
        "closed": ["reopen", "comment"],
    }


def event(kind: TicketEventKind, **payload: object) -> LogEntry:
    return LogEntry(kind, NOW, {"note": "", "severity": "major", "owner": "u1", "resolves_at": None, **payload})


@given(st.lists(st.sampled_from(list(Action)), max_size=12))
def test_the_log_leads_where_the_table_says(wanted: list[Action]) -> None:
    log = [event(TicketEventKind.OPENED, owner=None)]
    state = TicketState.NEW
    for action in wanted:
        if (state, action) in ACTIONS:
            state = ACTIONS[state, action]
            log.append(event(EVENT_OF[action]))
        assert summarise(log).state is state


def test_whoever_takes_a_ticket_stops_it_from_resolving_itself() -> None:
    held = summarise(
        [
            event(TicketEventKind.OPENED, owner=None),
            event(TicketEventKind.ALARM_RECOVERED, resolves_at=(NOW + POLICY.hold).isoformat()),
        ]
    )
    assert (held.auto_resolve_at, held.taken) == (NOW + POLICY.hold, False)
    for kind in (TicketEventKind.ACKNOWLEDGED, TicketEventKind.STARTED, TicketEventKind.ASSIGNED):
        taken = advance(held, event(kind))
        assert (taken.auto_resolve_at, taken.taken, taken.owner_id) == (None, True, "u1")


def test_a_log_begins_with_opened_and_only_there() -> None:
    with pytest.raises(ValueError, match="begins with opened"):
        advance(None, event(TicketEventKind.CLOSED))
    with pytest.raises(ValueError, match="opened once"):
        advance(Summary(state=TicketState.NEW, severity=Severity.INFO), event(TicketEventKind.OPENED))
    with pytest.raises(ValueError, match="without a log"):
        summarise([])
