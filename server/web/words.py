"""The words of codes on the screen. Messages are marked by `N_` and translated where they are shown."""

from collections.abc import Mapping


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    return message


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
    "too_many": N_("Wait a little and try again."),
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "agent": {
        "never": N_("Never seen"),
        "online": N_("Online"),
        "offline": N_("Offline"),
        "silent": N_("Silent"),
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
    "end": {
        "recovered": N_("Recovered"),
        "rule_removed": N_("Rule removed"),
        "rule_changed": N_("Rule changed"),
        "device_retired": N_("Device retired"),
        "superseded": N_("Superseded"),
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
