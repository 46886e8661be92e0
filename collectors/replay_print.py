"""A replay for people: by which rule the device was recognised, what was read, what was not and why."""

from collections import defaultdict
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from collectors.explain import Silence, Skipped, silent_points, unread, why_recognised
from collectors.replay import Replayed, row

# Reasons that ask for a look come first; a card without a second sensor is the usual thing.
_ORDER = (Skipped.NOTHING, Skipped.CONDITION, Skipped.NO_SENSOR, Skipped.REPLACED, Skipped.NO_ROWS, Skipped.NOT_THERE)


def print_replay(console: Console, result: Replayed) -> None:
    """Everything there is to say of one replay."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    json = result.as_json()
    say(f"profile {json['profile'] or 'none'}; candidates {', '.join(json['candidates']) or 'none'}")
    say(", ".join(f"{key}: {value}" for key, value in json["device"].items()))
    if result.profile is None:
        say("no profile recognises it: sysObjectID, sysDescr and the objects of every `identify` were looked at")
        return
    _say_why(result, say)
    table = Table(box=None, pad_edge=False)
    for title in ("metric", "subject", "value", "unit", "raw", "quality", "source"):
        table.add_column(title, overflow="fold")
    for sourced in result.readings:
        reading = row(sourced)
        quality = reading["quality"] + (f" ({reading['reason']})" if "reason" in reading else "")
        shown = "" if reading["value"] is None else str(reading["value"])
        table.add_row(
            reading["metric"], reading["subject"], shown, reading["unit"], reading["raw"], quality, reading["source"]
        )
    console.print(table, markup=False)
    skipped = silent_points(result.profile, result.values, result.readings)
    say(
        f"{len(result.readings)} readings; {len(skipped)} of {len(result.profile.points)} points made none; "
        f"{unread(result.profile, result.values)} of {len(result.values)} objects of the walk are looked at by no point"
    )
    by_reason: defaultdict[Skipped, list[Silence]] = defaultdict(list)
    for each in skipped:
        by_reason[each.why].append(each)
    for why in _ORDER:
        if by_reason[why]:
            say(f"not read, {why}:")
            for each in by_reason[why]:
                say(f"  {each.metric} {each.subject}".rstrip() + f": {each.detail}")


def _say_why(result: Replayed, say: Callable[[str], None]) -> None:
    profile = result.profile
    assert profile is not None
    lines = why_recognised(profile, result.values)
    failed = any(line.startswith("not:") for line in lines)
    if failed:
        say(f"{profile.id} would not recognise it; nearest rule:")
    elif result.given:
        say(f"{profile.id} was named, and recognises it:")
    else:
        generic = ", a generic profile, because no other does" if result.found.fallback else ""
        say(f"recognised by {profile.id}{generic}:")
    for line in lines:
        say(f"  {line}")
