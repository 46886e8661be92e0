"""The words of codes on the screen. Messages are marked by `N_` and translated where they are shown."""

from collections.abc import Mapping


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    return message


def nN_(one: str, many: str) -> tuple[str, str]:  # noqa: N802 - the same for a number of things
    return one, many


STATUSES: Mapping[int, str] = {
    400: N_("That makes no sense together"),
    401: N_("Sign in first"),
    403: N_("Your role does not allow this"),
    404: N_("Not found"),
    409: N_("The present state does not allow this"),
    412: N_("Somebody else changed it meanwhile"),
    413: N_("Too large"),
    422: N_("A field is filled in wrongly"),
    428: N_("The form is incomplete"),
    429: N_("Too many attempts"),
    500: N_("The server failed"),
    503: N_("Not available at the moment"),
}

# What to do about a refusal, by its code.
PROBLEMS: Mapping[str, str] = {
    "not_found": N_("It does not exist, or it belongs to a site you do not look after."),
    "csrf": N_("The form was open for too long. Go back, reload the page and send it again."),
    "cross_site": N_("The form was sent by another site and was not accepted."),
    "role": N_("Ask an administrator for a role that includes it."),
    "stale": N_("Go back, reload the page, look at what changed and repeat your change."),
    "malformed": N_("Go back and correct the fields that are marked."),
    "note_required": N_("Say in a few words what was found, done or is wanted."),
    "not_allowed_in_state": N_("Somebody changed the ticket meanwhile. Reload the page to see what can be done now."),
    "another_open": N_("Another ticket is open for the same trouble: work on that one."),
    "owner_unknown": N_("Choose somebody who works on tickets."),
    "owner_out_of_scope": N_("Choose somebody who looks after this site."),
    "not_ackable": N_("Somebody has acknowledged it already, or it is over."),
    "not_open": N_("Somebody has finished it or left it out already."),
    "asset_inactive": N_("The asset is no longer in service: plan for what took its place."),
    "agent_online": N_("Stop the agent first: what is online is in use."),
    "too_many": N_("Wait a little and try again."),
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "agent": {
        "never": N_("Never seen"),
        "online": N_("Online"),
        "offline": N_("Offline"),
        "stopped": N_("Stopped"),
        "silent": N_("Silent"),
        "retired": N_("Retired"),
    },
    "quality": {
        "good": N_("Good"),
        "uncertain": N_("Uncertain"),
        "bad": N_("Bad"),
        "stale": N_("Stale"),
    },
    "reason": {
        "timeout": N_("No answer in time"),
        "unreachable": N_("Cannot be reached"),
        "no_such_object": N_("The device has no such point"),
        "exception": N_("The device answered with an error"),
        "sentinel": N_("The device says: not available"),
        "out_of_range": N_("Physically impossible"),
        "slew": N_("Changed faster than possible"),
        "unknown_state": N_("State not known"),
        "bad_type": N_("Value of another type"),
        "clock": N_("Clock not believable"),
    },
    "alarm": {
        "normal": N_("Over"),
        "unacked": N_("Unacknowledged"),
        "acked": N_("Acknowledged"),
        "returned_unacked": N_("Over, unacknowledged"),
    },
    "alarm_event": {
        "raised": N_("Raised"),
        "updated": N_("Severity changed"),
        "ended": N_("Ended"),
        "acknowledged": N_("Acknowledged"),
        "superseded": N_("Superseded"),
        "retired": N_("Device retired"),
        "still_held": N_("Active after all"),
        "muted": N_("Muted"),
        "unmuted": N_("No longer muted"),
    },
    "ticket": {
        "new": N_("New"),
        "acknowledged": N_("Acknowledged"),
        "in_progress": N_("In progress"),
        "resolved": N_("Resolved"),
        "closed": N_("Closed"),
    },
    "ticket_kind": {
        "corrective": N_("Repair"),
        "preventive": N_("Preventive maintenance"),
        "inspection": N_("Inspection"),
        "request": N_("Request"),
        "complaint": N_("Complaint"),
    },
    "action": {
        "acknowledge": N_("Acknowledge"),
        "start": N_("Start work"),
        "resolve": N_("Resolve"),
        "close": N_("Close"),
        "reopen": N_("Reopen"),
        "assign": N_("Assign"),
        "comment": N_("Comment"),
    },
    "ticket_event": {
        "opened": N_("Opened"),
        "alarm_added": N_("Another alarm"),
        "alarm_worsened": N_("Alarm worsened"),
        "alarm_acknowledged": N_("Alarm acknowledged"),
        "alarm_recovered": N_("Alarm recovered"),
        "alarm_ended": N_("Alarm ended"),
        "acknowledged": N_("Acknowledged"),
        "started": N_("Work started"),
        "assigned": N_("Assigned"),
        "commented": N_("Comment"),
        "attached": N_("Attachment"),
        "resolved": N_("Resolved"),
        "auto_resolved": N_("Resolved by itself"),
        "closed": N_("Closed"),
        "reopened": N_("Reopened"),
    },
    "category": {
        "ups": N_("UPS"),
        "battery": N_("Battery"),
        "crac": N_("Precision air conditioner"),
        "sensor": N_("Environmental sensor"),
        "pdu": N_("PDU"),
        "generator": N_("Generator set"),
        "fire": N_("Fire protection"),
        "other": N_("Other"),
    },
    "warranty": {
        "in_warranty": N_("In warranty"),
        "expired": N_("Out of warranty"),
        "not_accepted": N_("Not accepted yet"),
    },
    "wanted": {
        "critical": N_("Critical only"),
        "major": N_("Major and worse"),
        "minor": N_("Minor and worse"),
        "info": N_("Everything"),
        "never": N_("Nothing"),
    },
    "order": {
        "planned": N_("Planned"),
        "open": N_("To do"),
        "overdue": N_("Overdue"),
        "done": N_("Done"),
        "skipped": N_("Left out"),
    },
    "skip": {
        "missed": N_("Day missed"),
        "superseded": N_("A later day has the order"),
        "no_assets": N_("Nothing to maintain"),
        "no_access": N_("No access"),
        "customer_request": N_("The customer wished so"),
        "out_of_service": N_("Out of service"),
        "done_elsewhere": N_("Done with other work"),
        "other": N_("Other"),
    },
    "catch_up": {
        "all": N_("An order for each"),
        "latest": N_("One order for the newest"),
        "none": N_("No order"),
    },
    "outcome": {
        "passed": N_("Pass"),
        "failed": N_("Fail"),
        "not_done": N_("Not done"),
    },
    "item": {
        "check": N_("Check"),
        "measure": N_("Measure"),
        "test": N_("Test"),
        "clean": N_("Clean"),
        "lubricate": N_("Lubricate"),
        "tighten": N_("Tighten"),
        "adjust": N_("Adjust"),
        "replace": N_("Replace"),
    },
    "source": {
        "api": N_("Programme"),
        "web": N_("Page"),
        "alarm": N_("Alarm"),
        "job": N_("Server"),
        "plan": N_("Maintenance plan"),
    },
    "end": {
        "recovered": N_("Recovered"),
        "rule_removed": N_("Rule removed"),
        "rule_changed": N_("Rule changed"),
        "device_retired": N_("Device retired"),
        "superseded": N_("Superseded"),
    },
    "event": {
        "trap": N_("Trap of unknown meaning"),
        "trap_flood": N_("Too many traps; the rest was dropped"),
        "device_reboot": N_("Device restarted"),
    },
    "kind": {
        "ups": N_("UPS"),
        "crac": N_("Precision air conditioner"),
        "environment": N_("Environmental sensor"),
        "leak": N_("Leak detector"),
        "pdu": N_("PDU"),
        "door": N_("Door contact"),
        "smoke": N_("Smoke detector"),
    },
    "zone": {
        "cold-aisle": N_("Cold aisle"),
        "hot-aisle": N_("Hot aisle"),
        "ups-room": N_("UPS room"),
        "battery-room": N_("Battery room"),
    },
    # Beside a number on a small tile, where its device alone does not say what it is.
    "short": {
        "crac.return_air.temperature": N_("return"),
        "crac.supply_air.temperature": N_("supply"),
        "ups.output.load": N_("load"),
        "ups.battery.charge": N_("battery"),
    },
    "role": {
        "admin": N_("Administrator"),
        "manager": N_("Service manager"),
        "dispatcher": N_("Dispatcher"),
        "noc": N_("Monitoring centre"),
        "engineer": N_("Engineer"),
        "customer": N_("Customer"),
        "auditor": N_("Auditor"),
    },
}

ICONS: Mapping[str, str] = {
    "ups": "battery-charging",
    "crac": "air-conditioning",
    "environment": "temperature",
    "leak": "droplet",
    "pdu": "plug-connected",
    "door": "door",
    "smoke": "flame",
}
