"""One look at a live device, for a person: what it is, what would be asked of it, and what it says now."""

import contextlib
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from collectors.convert import Converter, Sourced
from collectors.costs import cost_words, modbus_words, snmp_words
from collectors.errors import CollectError
from collectors.exchange import ModbusAnswer, ModbusNeeds, PollProblem, SnmpAnswer, SnmpNeeds, Span, Table
from collectors.identify import (
    Identification,
    fact_needs,
    identify,
    identify_registers,
    identity_needs,
    name_plate,
    register_needs,
)
from collectors.library import Library
from collectors.modbus.client import ModbusLink, ModbusLinks
from collectors.modbus.collect import ModbusCollector
from collectors.modbus.target import Framing, ModbusTarget, SerialLine
from collectors.plate import modbus_plate, plate_needs
from collectors.snmp.client import SnmpClient
from collectors.snmp.collect import SnmpCollector
from collectors.snmp.target import SnmpTarget, SnmpVersion
from facility.clock import Clock, now_ms
from facility.config import did_you_mean
from facility.profile import Profile, Protocol

# The device name the readings of a probe carry: it is in no configuration yet.
PROBED = "probed"
# A person waits for it; the slowest cards of the recordings need some seconds for all that identification asks.
DEADLINE_S = 20.0
# What an agent answers to that was never set up. Tried only where the caller gave no credentials.
DEFAULT_COMMUNITY = "public"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found out. `problem` and `detail` say why there is no more.

    profile: the one the readings were made with, recognised or given; candidates: all that fit, best first;
    device: vendor, model, serial, firmware, name as far as known; plan: the requests of one poll; readings: with
    where each was read and what stood there; unanswered: what the profile asks for and the device did not give, by
    reason; holes: what this look taught about what a Modbus unit has not, in words; costs: the requests of the next
    poll with their sizes and what polling costs, in words; requests: how many went out in all; seconds: how long one
    poll took.
    """

    target: str
    profile: Profile | None = None
    fallback: bool = False
    candidates: tuple[str, ...] = ()
    device: dict[str, str] = field(default_factory=dict)
    plan: tuple[str, ...] = ()
    readings: tuple[Sourced, ...] = ()
    unanswered: dict[str, str] = field(default_factory=dict)
    holes: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    requests: int = 0
    seconds: float = 0.0
    problem: PollProblem | None = None
    detail: str = ""


def parse_address(text: str, *, timeout_s: float = 2.0) -> SnmpTarget | ModbusTarget:
    """Where a device is, as text:

    `HOST[:PORT]` or `snmp://[COMMUNITY@]HOST[:PORT]` (v2c), `snmpv1://[COMMUNITY@]HOST[:PORT]`,
    `modbus://HOST[:PORT][/UNIT]`, `rtu://HOST[:PORT][/UNIT]` for a gateway that passes RTU frames on,
    `rtu:///dev/ttyUSB0?unit=1&baudrate=9600&parity=N&stopbits=1` for a line.
    ValueError says what is wrong. SNMPv3 has too many secrets for an address: build its target from a configuration.
    """
    parts = urlsplit(text if "://" in text else f"snmp://{text}")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{text!r}: write {', '.join(_SCHEMES.values())}{did_you_mean(parts.scheme, list(_SCHEMES))}")
    if parts.scheme == "rtu" and not parts.netloc:
        return _line(parts, timeout_s)
    if not parts.hostname:
        raise ValueError(f"{text!r} names no host; write HOST, HOST:PORT or modbus://HOST:PORT/UNIT")
    if parts.port == 0:
        raise ValueError(f"{text!r}: a port is 1 to 65535; leave it out for the protocol's own")
    version = _VERSIONS.get(parts.scheme)
    if parts.query or (version is not None and parts.path.strip("/")):
        raise ValueError(f"{text!r}: write {_SCHEMES[parts.scheme]}")
    if version is not None:
        community = unquote(parts.username) if parts.username else DEFAULT_COMMUNITY
        return SnmpTarget(
            parts.hostname, port=parts.port or 161, version=version, community=community, timeout_s=timeout_s
        )
    framing = Framing.RTU if parts.scheme == "rtu" else Framing.TCP
    unit = _unit(parts.path.strip("/") or "1")
    return ModbusTarget(parts.hostname, port=parts.port or 502, unit=unit, timeout_s=timeout_s, framing=framing)


_SCHEMES = {
    "snmp": "snmp://HOST[:PORT]",
    "snmpv1": "snmpv1://HOST[:PORT]",
    "modbus": "modbus://HOST[:PORT]/UNIT",
    "rtu": "rtu://HOST[:PORT]/UNIT or rtu:///dev/ttyUSB0?unit=1&baudrate=9600&parity=N&stopbits=1",
}
_VERSIONS = {"snmp": SnmpVersion.V2C, "snmpv1": SnmpVersion.V1}


def _unit(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no Modbus unit; it is a number of 0 to 255")
    return int(text)


def _line(parts: SplitResult, timeout_s: float) -> ModbusTarget:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in given:
        if key not in (known := ["unit", "baudrate", "parity", "stopbits"]):
            raise ValueError(f"a serial line has no {key!r}{did_you_mean(key, known)}")
    for key in ("baudrate", "stopbits"):
        if not given.get(key, "0").isdecimal():
            raise ValueError(f"{key} is a number, not {given[key]!r}")
    plain = SerialLine()
    line = SerialLine(
        int(given.get("baudrate", plain.baudrate)),
        given.get("parity", plain.parity).upper(),
        int(given.get("stopbits", plain.stopbits)),
    )
    return ModbusTarget(unquote(parts.path), unit=_unit(given.get("unit", "1")), timeout_s=timeout_s, serial=line)


async def probe(
    address: str | SnmpTarget | ModbusTarget,
    *,
    library: Library,
    clock: Clock,
    profile_id: str | None = None,
    timeout_s: float | None = None,
    deadline_s: float = DEADLINE_S,
) -> ProbeReport:
    """Ask a device who it is and read it once; what it does not answer is in the report, never raised.

    timeout_s: what one answer may take; as the named profile says, else as the target does, where it is left out.

    A Modbus unit is recognised where a register tells what it is. ValueError for an address that is none and for a
    profile that does not fit it; UnknownProfileError for a profile that is not there.
    """
    target = parse_address(address) if isinstance(address, str) else address
    chosen = None if profile_id is None else library.get(profile_id)
    speaks = Protocol.SNMP if isinstance(target, SnmpTarget) else Protocol.MODBUS
    if chosen is not None and chosen.protocol is not speaks:
        raise ValueError(f"{chosen.id} speaks {chosen.protocol}, the address is {speaks}")
    waits = timeout_s or (chosen.timeout if chosen is not None else None)
    if waits is not None:
        target = replace(target, timeout_s=waits)
    deadline = clock.monotonic() + deadline_s
    if isinstance(target, SnmpTarget):
        return await _probe_snmp(target, library, chosen, clock, deadline)
    return await _probe_modbus(target, library, chosen, clock, deadline)


async def _probe_snmp(
    target: SnmpTarget, library: Library, chosen: Profile | None, clock: Clock, deadline: float
) -> ProbeReport:
    client = SnmpClient(target, clock=clock)
    asker = SnmpCollector(target, client, clock=clock)
    found = Identification(None)
    try:
        identity = await asker.collect(identity_needs(library), deadline=deadline)
        found = identify(library, identity)
        profile = chosen or found.best
        if profile is None:
            return ProbeReport(
                str(target),
                device=dict(found.device),
                requests=client.sent,
                problem=PollProblem.PROFILE_MISMATCH,
                detail="it answers, and no profile recognises it; name one to read it all the same",
            )
        facts = await asker.collect(fact_needs(profile), deadline=deadline)
        plate = name_plate(profile, SnmpAnswer({**identity.values, **facts.values}))
        converter = Converter(profile, device=PROBED)
        needs = converter.needs()
        if not isinstance(needs, SnmpNeeds):
            raise TypeError(f"{profile.id} speaks no SNMP")
        # A fresh memory: what identification found missing is asked again, as a first poll would.
        reader = SnmpCollector(target, client, clock=clock)
        plan = tuple(reader.plan(needs))
        began, sent = clock.monotonic(), client.sent
        answer = await reader.collect(needs, deadline=deadline)
        seconds = clock.monotonic() - began
        return ProbeReport(
            str(target),
            profile=profile,
            fallback=chosen is None and found.fallback,
            candidates=found.candidates,
            device=plate,
            plan=plan,
            readings=tuple(converter.convert_sourced(answer, taken_at=now_ms(clock))),
            unanswered={oid: reason.value for oid, reason in sorted(answer.failed.items())},
            costs=(
                *snmp_words(reader.plan(needs)),
                cost_words(client.sent - sent, seconds, profile.interval),
            ),
            requests=client.sent,
            seconds=seconds,
        )
    except CollectError as exc:
        return _lost(target, exc, client.sent, found)
    finally:
        await client.close()


async def _probe_modbus(
    target: ModbusTarget, library: Library, chosen: Profile | None, clock: Clock, deadline: float
) -> ProbeReport:
    links = ModbusLinks(clock=clock)
    link = links.link(target)
    try:
        found = Identification(chosen)
        if chosen is None:
            found = await _recognised(target, link, library, clock, deadline)
        if found.best is None:
            return ProbeReport(
                str(target),
                requests=link.sent,
                problem=PollProblem.PROFILE_MISMATCH,
                detail="it answers, and no register tells what it is; name its profile "
                f"({', '.join(each.id for each in library.all() if each.protocol is Protocol.MODBUS)})",
            )
        return await _read_modbus(target, link, found, clock, deadline)
    except CollectError as exc:
        return _lost(target, exc, link.sent, Identification(chosen))
    finally:
        await links.close()


async def _recognised(
    target: ModbusTarget, link: ModbusLink, library: Library, clock: Clock, deadline: float
) -> Identification:
    """What the unit is by its registers, as a search tries it. CollectError where it does not answer at all."""
    needs = register_needs(library)
    # Something must be asked, or a unit that is not there would be taken for one that nothing recognises.
    needs = needs if needs.spans else replace(needs, spans=(Span(Table.HOLDING, 0),))
    answer = await ModbusCollector(target, link, clock=clock).collect(needs, deadline=deadline)
    return identify_registers(library, answer)


async def _read_modbus(
    target: ModbusTarget, link: ModbusLink, found: Identification, clock: Clock, deadline: float
) -> ProbeReport:
    profile = found.best
    assert profile is not None
    reader = ModbusCollector(target, link, clock=clock)
    converter = Converter(profile, device=PROBED, address_offset=target.address_offset)
    needs = converter.needs()
    if not isinstance(needs, ModbusNeeds):
        raise TypeError(f"{profile.id} speaks no Modbus")
    plan = tuple(reader.plan(needs))
    began = clock.monotonic()
    try:
        answer: ModbusAnswer = await reader.collect(needs, deadline=deadline)
        seconds, polled = clock.monotonic() - began, reader.sent
        plate = await _plate(target, link, profile, needs, clock, deadline)
    except CollectError as exc:
        return _lost(target, exc, link.sent, found, plan)
    return ProbeReport(
        str(target),
        profile=profile,
        fallback=found.fallback,
        candidates=found.candidates,
        device=plate,
        plan=plan,
        readings=tuple(converter.convert_sourced(answer, taken_at=now_ms(clock))),
        unanswered={f"{table}:{at}": reason.value for (table, at), reason in sorted(answer.failed.items())},
        holes=tuple(reader.holes.told()),
        costs=(*modbus_words(needs, reader.holes), cost_words(polled, seconds, profile.interval)),
        requests=link.sent,
        seconds=seconds,
    )


async def _plate(
    target: ModbusTarget, link: ModbusLink, profile: Profile, needs: ModbusNeeds, clock: Clock, deadline: float
) -> dict[str, str]:
    """The name plate, as far as the unit tells it: its absence is no fault of a unit that was read."""
    wanted = plate_needs(profile, needs, offset=target.address_offset)
    answer = ModbusAnswer()
    if wanted.spans:
        with contextlib.suppress(CollectError):
            reader = ModbusCollector(target, link, clock=clock)
            answer = await reader.collect(wanted, deadline=deadline)
    return modbus_plate(profile, answer, offset=target.address_offset)


def _lost(
    target: SnmpTarget | ModbusTarget,
    exc: CollectError,
    requests: int,
    found: Identification,
    plan: tuple[str, ...] = (),
) -> ProbeReport:
    return ProbeReport(
        str(target),
        profile=found.best,
        candidates=found.candidates,
        device=dict(found.device),
        plan=plan,
        requests=requests,
        problem=exc.problem,
        detail=str(exc),
    )
