"""Tickets of alarms, where nobody works on any: then all there is to a ticket follows from the alarms of its key.

Read from the files of the centre past its code. An alarm is wanted in a ticket once it is worse than `info`.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from tests.simulation.rows import Files

# Mildest first.
SEVERITIES = ("info", "minor", "major", "critical")
# server.tickets.policy.TicketPolicy, said again: a change of it is to be noticed.
HOLD, REOPEN_WITHIN = timedelta(minutes=10), timedelta(hours=24)
# What a ticket's log says of the trouble itself.
TROUBLE = ("opened", "reopened", "alarm_added", "alarm_worsened", "alarm_recovered", "alarm_ended")

_UNATTENDED = """
    SELECT a.id, a.device, a.rule, a.subject, a.active, a.end_reason FROM alarms a
    WHERE a.worst_severity != 'info' AND a.muted_because IS NULL AND {which}
    AND NOT EXISTS (
        SELECT 1 FROM tickets t JOIN ticket_alarms l ON l.ticket_id = t.id
        WHERE t.alarm_key_id = a.key_id AND l.alarm_id = a.id AND t.state NOT IN ('resolved', 'closed')
        AND t.auto_resolve_at IS NULL
    )
"""
_STANDING = _UNATTENDED.format(which="a.active")
_YOUNGEST = "a.id IN (SELECT max(id) FROM alarms GROUP BY key_id)"
_UNRECOVERED = _UNATTENDED.format(which=f"NOT a.active AND a.end_reason != 'recovered' AND {_YOUNGEST}")
_MILDER = """
    SELECT t.number, t.severity, a.id, a.worst_severity FROM tickets t
    JOIN ticket_alarms l ON l.ticket_id = t.id JOIN alarms a ON a.id = l.alarm_id
    WHERE a.active AND a.worst_severity != t.severity
"""
_LOG = """
    SELECT e.rowid, e.ticket_id, t.number, t.alarm_key_id, e.kind, e.at FROM ticket_events e
    JOIN tickets t ON t.id = e.ticket_id WHERE t.alarm_key_id IS NOT NULL AND e.rowid > ? ORDER BY e.rowid
"""
_ACTIVE = "SELECT id, worst_severity FROM alarms WHERE key_id = ? AND active AND received_at < ?"


class TicketWatch:
    """bad: told of each violation."""

    def __init__(self, files: Files, bad: Callable[[str], None]) -> None:
        self._files, self._bad = files, bad
        self._told: set[str] = set()
        self._logged = 0
        self._last: dict[str, tuple[str, datetime]] = {}

    def look(self) -> None:
        """What a transaction leaves behind is right at any moment, not in the end alone."""
        for row in self._files.ask("main", _STANDING):
            self._tell(f"3: no ticket that stays open for the alarm that stands, {row}")
        for row in self._files.ask("main", _UNRECOVERED):
            self._tell(f"3: no ticket that stays open though nobody knows that it recovered, {row}")
        for number, severity, alarm, worst in self._files.ask("main", _MILDER):
            if SEVERITIES.index(severity) < SEVERITIES.index(worst):
                self._tell(f"3: ticket {number} is {severity}, its alarm {alarm} {worst}")
        self._look_at_log()

    def _tell(self, text: str) -> None:
        """Once: it stays so."""
        if text not in self._told:
            self._told.add(text)
            self._bad(text)

    def _look_at_log(self) -> None:
        """A ticket resolves itself when its alarm has been gone, and known to be gone, for the whole of the hold."""
        for row, ticket, number, key, kind, text in self._files.ask("main", _LOG, self._logged):
            self._logged, at = row, datetime.fromisoformat(text)
            if kind in TROUBLE:
                self._last[ticket] = kind, at
            if kind != "auto_resolved":
                continue
            last, since = self._last[ticket]
            if last != "alarm_recovered" or at - since < HOLD:
                self._bad(f"3: ticket {number} resolved itself at {at}, {at - since} after {last}")
            standing = self._files.ask("main", _ACTIVE, key, text)
            if standing:
                self._bad(f"3: ticket {number} resolved itself at {at} though the alarm stands: {standing}")

    def check(self) -> int:
        """Each key has the one ticket, about all it is wanted for and nothing else; how many tickets there are."""
        alarms: dict[str, dict[str, str]] = defaultdict(dict)
        query = "SELECT key_id, id, worst_severity FROM alarms WHERE worst_severity != 'info' AND muted_because IS NULL"
        for key, alarm, worst in self._files.ask("main", query):
            alarms[key][alarm] = worst
        tickets: dict[str, list[tuple[str, str, str, str | None]]] = defaultdict(list)
        query = (
            "SELECT alarm_key_id, id, severity, opened_at, resolved_at FROM tickets WHERE alarm_key_id IS NOT NULL"
            " ORDER BY opened_at"
        )
        for key, *ticket in self._files.ask("main", query):
            tickets[key].append(tuple(ticket))
        named: dict[str, set[str]] = defaultdict(set)
        for ticket, alarm in self._files.ask("main", "SELECT ticket_id, alarm_id FROM ticket_alarms"):
            named[ticket].add(alarm)
        # A line in a ticket that is over makes it no worse.
        query = "SELECT ticket_id FROM ticket_events WHERE kind = 'commented'"
        noted = {row[0] for row in self._files.ask("main", query)}
        for key in alarms.keys() | tickets.keys():
            found = tickets[key]
            if not alone(found):
                self._bad(f"3: {len(found)} tickets of the alarm key {key}: {found}")
            about = {alarm for each in found for alarm in named[each[0]]}
            if about != alarms[key].keys():
                self._bad(f"3: the tickets of key {key} are about {sorted(about)}, should be {sorted(alarms[key])}")
            for ticket, severity, *_ in found:
                worst = _worst(alarms[key].get(alarm, "info") for alarm in named[ticket])
                if severity != worst and ticket not in noted:
                    self._bad(f"3: ticket {ticket} is {severity}, its alarms {worst}")
        return sum(map(len, tickets.values()))


def alone(tickets: Sequence[tuple[str, str, str, str | None]]) -> bool:
    """One ticket, or each the one after one that had been over for too long to be opened again."""
    return bool(tickets) and all(
        over is not None and datetime.fromisoformat(opened) - datetime.fromisoformat(over) > REOPEN_WITHIN
        for (*_, over), (_, _, opened, _) in itertools.pairwise(tickets)
    )


def _worst(severities: Iterable[str]) -> str:
    return max(severities, key=SEVERITIES.index)
