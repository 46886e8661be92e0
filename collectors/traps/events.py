"""A trap as the flat words of an event: what the journal keeps and the centre shows."""

from collections.abc import Sequence

from collectors.traps.limits import Flood
from collectors.traps.notification import Notification, TrapResult
from collectors.traps.table import Understood

# The centre keeps at most 1,000 characters of each word.
MAX_VALUES_TEXT = 1000


def trap_detail(
    notification: Notification, result: TrapResult, understood: Understood | None, candidates: Sequence[str]
) -> dict[str, str]:
    """The words of one trap; those that say nothing are left out. values: one a line, `oid = value`."""
    told = understood.told if understood is not None else None
    words = {
        "trap": notification.oid,
        "result": result.value,
        "name": understood.trap.name if understood is not None else "",
        "meaning": told.meaning.value if told is not None else "",
        "phase": understood.phase.value if understood is not None else "",
        "severity": understood.severity.value if understood is not None else "",
        "title_en": understood.title_en if understood is not None else "",
        "title_zh": understood.title_zh if understood is not None else "",
        "metric": told.metric if told is not None else "",
        "subject": told.subject if told is not None else "",
        "condition": understood.condition if understood is not None else "",
        "confirm": understood.confirm.value if understood is not None else "",
        "candidates": ", ".join(candidates) if len(candidates) > 1 else "",
        "version": notification.version.value,
        "type": "inform" if notification.inform else "trap",
        "source": notification.source,
        "agent_address": notification.agent_address,
        "enterprise": notification.enterprise,
        "uptime": "" if notification.uptime is None else str(notification.uptime),
        "values": _values(notification),
    }
    return {name: word for name, word in words.items() if word}


def flood_detail(flood: Flood, devices: Sequence[str]) -> dict[str, str]:
    """The words of one summary: how many traps of whom were dropped, within how many seconds."""
    return {
        "source": flood.source or "unknown senders",
        "reason": TrapResult.RATE_LIMITED.value,
        "dropped": str(flood.dropped),
        "seconds": f"{flood.seconds:.0f}",
        **({"candidates": ", ".join(devices)} if len(devices) > 1 else {}),
    }


def _values(notification: Notification) -> str:
    lines = [f"{each.oid} = {each.value}" for each in notification.varbinds]
    text = "\n".join(lines)
    return text if len(text) <= MAX_VALUES_TEXT else text[: MAX_VALUES_TEXT - 1] + "…"
