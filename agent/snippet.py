"""What a search found, as a configuration `agent check` accepts: secrets by reference, doubts as comments. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import yaml

from agent.config import AgentConfig, Credentials
from collectors.discover import Found, Spoken


@dataclass(frozen=True, slots=True)
class Plan:
    """site and agent of the file; credentials by name; known: the configuration there is already, if any."""

    searched: str
    site: str
    agent: str
    credentials: Mapping[str, Credentials]
    known: AgentConfig | None = None


def snippet(plan: Plan, found: Iterable[Found]) -> str:
    """The YAML text. Devices without a profile, and those that turned us down, stand in comments."""
    ordered = sorted(found, key=lambda each: (int(ip_address(each.host)), each.spoken, each.unit))
    ready: list[dict[str, Any]] = []
    notes: list[str] = []
    taken = {device.id for device in plan.known.devices} if plan.known else set()
    for each in ordered:
        before = _configured(plan.known, each)
        if before:
            notes.append(f"{_where(each)}: in the configuration already, as {before}")
        elif each.profile is not None:
            ready.append(_device(each, taken))
        else:
            notes.extend(_unknown(each))
    used = {each.get("credentials") for each in ready}
    named = {
        name: entry.model_dump(mode="json", exclude_defaults=True)
        for name, entry in plan.credentials.items()
        if name in used
    }
    lines = [
        f"# Found in {plan.searched}. Read it through, take what you want, then: coldaisle agent check --config FILE",
        "version: 1",
        f"site: {plan.site}",
        f"agent: {plan.agent}",
    ]
    if named:
        lines += ["credentials:", *(f"  {name}: {_flow(entry)}" for name, entry in named.items())]
    lines.append("devices:" if ready else "devices: []")
    for device in ready:
        doubt = device.pop("doubt")
        if doubt:
            lines.append(f"  # {doubt}")
        first, *rest = (f"{key}: {_flow(value)}" for key, value in device.items())
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    if notes:
        lines += ["", "# Not taken up:", *(f"#  {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _device(found: Found, taken: set[str]) -> dict[str, Any]:
    profile = found.profile
    assert profile is not None
    unit = f"-{found.unit}" if found.spoken is Spoken.MODBUS else ""
    wanted = f"{profile.kind}-{re.sub(r'[^0-9a-f]+', '-', found.host).strip('-')}{unit}"[:60]
    name = wanted
    number = 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name)
    called = printable(found.device.get("name") or found.device.get("model") or f"{profile.vendor} {profile.model}")
    device: dict[str, Any] = {
        "doubt": _doubt(found),
        "id": name,
        "name": {"en": called, "zh": called},
        "profile": profile.id,
        "address": found.host,
    }
    if found.port != (161 if found.spoken is Spoken.SNMP else 502):
        device["port"] = found.port
    return device | ({"credentials": found.login} if found.spoken is Spoken.SNMP else {"unit": found.unit})


def _doubt(found: Found) -> str:
    doubts = []
    if found.all_units:
        doubts.append("it answers also to units that nobody asked for")
    if found.spoken is Spoken.MODBUS:
        doubts.append("recognised by its registers alone")
    if found.fallback:
        doubts.append(f"only a generic profile fits; it calls itself {described(found)}")
    others = [each for each in found.candidates if found.profile is None or each != found.profile.id]
    if others and not found.fallback:
        doubts.append(f"could also be {', '.join(others)}")
    if found.problem is not None:
        doubts.append(f"asking more failed: {found.problem}")
    return printable("; ".join(doubts))


def _unknown(found: Found) -> Sequence[str]:
    if found.spoken is Spoken.MODBUS:
        every = " (it answers also to units that nobody asked for)" if found.all_units else ""
        slug = re.sub(r"[^0-9a-f]+", "-", found.host).strip("-")
        place = f"address: {found.host}, port: {found.port}, unit: {found.unit}"
        return [
            f"{_where(found)}{every}: a Modbus device cannot say what it is; choose of `coldaisle profile list`:",
            f"- {{id: modbus-{slug}-{found.unit}, profile: VENDOR/MODEL, {place}}}",
        ]
    if found.problem is not None:
        return [f"{_where(found)}: {found.problem}: {printable(found.detail)}"]
    return [f"{_where(found)}: no profile recognises it; it calls itself {described(found)}"]


def described(found: Found) -> str:
    """sysDescr and sysObjectID, for people."""
    return printable(f"{found.sys_descr or 'nothing'} (sysObjectID {found.sys_object_id or 'none'})")


def _where(found: Found) -> str:
    unit = f" unit {found.unit}" if found.spoken is Spoken.MODBUS else ""
    return f"{found.spoken} {found.host}:{found.port}{unit}"


def _configured(known: AgentConfig | None, found: Found) -> str:
    for device in known.devices if known else ():
        snmp = device.credentials is not None
        if (
            device.address == found.host
            and snmp == (found.spoken is Spoken.SNMP)
            and (snmp or device.unit == found.unit)
        ):
            return device.id
    return ""


def printable(text: str) -> str:
    """One line without control characters: devices send what they like, and it goes into a file and on a screen."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=1_000_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
