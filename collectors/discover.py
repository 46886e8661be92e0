"""Looks for SNMP and Modbus devices in a range of addresses, gently, and says what they are. Only reads.

SNMP is asked as every poll is (GET, GETNEXT, GETBULK); Modbus by one read of function 3 for each unit, and of function
4 where the answer to that is none. Nothing here can write. What was found is kept from the moment it is known, so that
a search that is broken off has lost nothing.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from collectors.decode import text_of
from collectors.errors import BadCredentials, BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointMissing
from collectors.exchange import Cell, ModbusAnswer, ModbusNeeds, PollProblem, SnmpAnswer, Table
from collectors.identify import (
    FIRST_NEEDS,
    SYS_DESCR,
    SYS_OBJECT_ID,
    fact_needs,
    identify,
    identify_registers,
    identity_needs,
    name_plate,
    register_needs,
)
from collectors.library import Library
from collectors.modbus.client import ModbusLink
from collectors.modbus.target import LINE_UNITS, ModbusTarget
from collectors.pacing import Pacer
from collectors.plan import Block, plan
from collectors.plate import modbus_plate, plate_needs
from collectors.snmp.client import SnmpClient
from collectors.snmp.collect import SnmpCollector
from collectors.snmp.target import SnmpTarget
from facility.clock import Clock
from facility.profile import Profile

# A /20 is every address of a large building's management network; more is asked for by mistake.
USUAL_ADDRESSES = 4096
# A /16 at 2 requests a second and address, 50 in all, takes some two hours; there is no more than that to a site.
MOST_ADDRESSES = 65536
# What identification of one device may take: some 20 requests at the default pace, and slow cards.
DEVICE_S = 60.0
PER_ADDRESS = 2.0
TOTAL = 50.0


class RangeError(ValueError):
    """A range that is none, or too large; says how ranges are written."""


def addresses(text: str, *, large: bool = False) -> list[str]:
    """`10.0.0.0/24`, `10.0.0.5`, `10.0.0.5-10.0.0.9`, `10.0.0.5-9`, several with commas; in order, each once.

    large: more than a /20 is meant. RangeError with what would be understood.
    """
    found: dict[str, None] = {}
    for part in text.split(","):
        for address in _part(part.strip(), large):
            found[address] = None
            _bounded(len(found), text, large)
    return list(found)


def _bounded(count: int, text: str, large: bool) -> None:
    if count > MOST_ADDRESSES:
        raise RangeError(f"{text!r} has more than {MOST_ADDRESSES} addresses; search in parts")
    if count > USUAL_ADDRESSES and not large:
        raise RangeError(f"{text!r} has more than {USUAL_ADDRESSES} addresses (a /20); give --yes-large if it is meant")


def _part(text: str, large: bool) -> Iterator[str]:
    try:
        if "-" in text:
            first_text, _, last_text = text.partition("-")
            first = ipaddress.ip_address(first_text.strip())
            last = last_text.strip()
            if last.isdecimal():
                last = first_text.strip().rpartition(".")[0] + "." + last
            end = ipaddress.ip_address(last)
            if first.version != end.version or int(end) < int(first):
                raise RangeError(f"{text!r}: the last address comes before the first")
            _bounded(int(end) - int(first) + 1, text, large)
            for number in range(int(first), int(end) + 1):
                yield str(type(first)(number))
            return
        network = ipaddress.ip_network(text, strict=False)
    except RangeError:
        raise
    except ValueError as error:
        raise RangeError(
            f"{text!r} is no range of addresses; write 10.0.0.0/24, 10.0.0.5-10.0.0.9 or 10.0.0.5"
        ) from error
    _bounded(network.num_addresses, text, large)
    if network.num_addresses <= 2:
        yield from (str(address) for address in network)
    else:
        yield from (str(address) for address in network.hosts())


class Spoken(StrEnum):
    SNMP = "snmp"
    MODBUS = "modbus"


@dataclass(frozen=True, slots=True)
class Found:
    """A device that answered. profile None: nothing recognises it; fallback: only a generic standard does.

    login: the name of the credentials it accepted; unit: of a Modbus device; all_units: it answers also to units
    that nobody asked for, as a device with one unit of its own often does. sys_descr and sys_object_id: what it calls
    itself. problem and detail: it is there, and asking more failed.
    """

    host: str
    port: int
    spoken: Spoken
    login: str = ""
    unit: int = 0
    all_units: bool = False
    profile: Profile | None = None
    fallback: bool = False
    candidates: tuple[str, ...] = ()
    device: Mapping[str, str] = field(default_factory=dict)
    sys_descr: str = ""
    sys_object_id: str = ""
    problem: PollProblem | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched. logins: SNMP targets by the name of their credentials, the host of each is replaced; units:
    Modbus units to ask each address for, none where Modbus is not searched."""

    hosts: Sequence[str]
    logins: Mapping[str, SnmpTarget] = field(default_factory=dict)
    units: Sequence[int] = ()
    modbus_port: int = 502
    timeout_s: float = 1.0
    per_address: float = PER_ADDRESS
    total: float = TOTAL


async def discover(
    search: Search,
    *,
    library: Library,
    clock: Clock,
    found: Callable[[Found], None],
    done: Callable[[str], None] = lambda host: None,
) -> None:
    """Ask every address; `found` is told of each device as it is known, `done` of each address that is finished.

    Cancelling it leaves what `found` was told.
    """
    pacer = Pacer(per_address=min(search.per_address, search.total), total=search.total, clock=clock)
    waiting = iter(search.hosts)
    seeker = _Seeker(search, library, clock, pacer, found)

    async def work() -> None:
        for host in waiting:
            await seeker.look_at(host)
            pacer.forget(host)
            done(host)

    # As many at once as the whole pace can serve: more would only wait inside each other's timeouts.
    at_once = max(1, min(len(search.hosts), round(search.total / search.per_address), 64))
    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(work(), name=f"discover {number}")


class _Seeker:
    def __init__(
        self, search: Search, library: Library, clock: Clock, pacer: Pacer, found: Callable[[Found], None]
    ) -> None:
        self._search = search
        self._library = library
        self._clock = clock
        self._pacer = pacer
        self._found = found

    async def look_at(self, host: str) -> None:
        turned_down: list[Found] = []
        try:
            for login, pattern in self._search.logins.items():
                target = replace(pattern, host=host, timeout_s=self._search.timeout_s)
                if await self._snmp(host, login, target, turned_down):
                    turned_down.clear()
                    break
        finally:
            # Told once, and only where no other login was taken; also where the search is broken off here.
            for found in turned_down[:1]:
                self._found(found)
        if self._search.units:
            await self._modbus(host)

    async def _snmp(self, host: str, login: str, target: SnmpTarget, turned_down: list[Found]) -> bool:
        """True where the address needs no further credentials: it answered, or nothing listens there.

        One that is there and does not take this login is added to `turned_down`.
        """
        client = SnmpClient(target, clock=self._clock, turn=lambda: self._pacer.turn(host))
        asker = SnmpCollector(target, client, clock=self._clock)
        deadline = self._clock.monotonic() + DEVICE_S
        here = Found(host, target.port, Spoken.SNMP, login)
        said: SnmpAnswer | None = None
        try:
            said = await asker.collect(FIRST_NEEDS, deadline=deadline)
            here = replace(
                here,
                sys_descr=_said(said, SYS_DESCR),
                sys_object_id=_said(said, SYS_OBJECT_ID).lstrip("."),
            )
            here = await self._identified(here, said, asker, deadline)
        except BadCredentials as exc:
            turned_down.append(replace(here, problem=exc.problem, detail=str(exc)))
            return False
        except CollectError as exc:
            if said is None:
                return exc.problem is PollProblem.REFUSED
            here = replace(here, problem=exc.problem, detail=str(exc))
        finally:
            await client.close()
        self._found(here)
        return True

    async def _identified(self, here: Found, said: SnmpAnswer, asker: SnmpCollector, deadline: float) -> Found:
        answer = await asker.collect(identity_needs(self._library, said), deadline=deadline)
        known = identify(self._library, answer)
        device = dict(known.device)
        if known.best is not None:
            facts = await asker.collect(fact_needs(known.best), deadline=deadline)
            device = name_plate(known.best, SnmpAnswer({**answer.values, **facts.values}))
        return replace(here, profile=known.best, fallback=known.fallback, candidates=known.candidates, device=device)

    async def _modbus(self, host: str) -> None:
        search = self._search
        targets = [ModbusTarget(host, search.modbus_port, unit, search.timeout_s) for unit in search.units]
        link = ModbusLink(targets[0], clock=self._clock)
        there: list[int] = []
        told = 0
        asked = 0
        try:
            for target in targets:
                why = await self._answers(link, target)
                asked += 1
                if why is None:
                    there.append(target.unit)
                elif asked == 1 and not link.connected and why in (PollProblem.REFUSED, PollProblem.TIMEOUT):
                    return  # nothing listens; a server that closes at a unit it has not says UNREACHABLE
            everywhere = len(there) == len(targets) > 2 and await self._answers_to_a_stranger(link, targets)
            there = there[:1] if everywhere else there
            for unit in there:
                found = await self._by_registers(link, ModbusTarget(host, search.modbus_port, unit, search.timeout_s))
                told += 1
                self._found(replace(found, all_units=everywhere))
        finally:
            # Also where the search is broken off here: what is there is told, though not what it is.
            for unit in there[told:]:
                self._found(Found(host, search.modbus_port, Spoken.MODBUS, unit=unit))
            await link.close()

    async def _answers_to_a_stranger(self, link: ModbusLink, targets: Sequence[ModbusTarget]) -> bool:
        """Whether a unit answers that nobody asked for: then it is one device; a full gateway has its units only."""
        asked = {target.unit for target in targets}
        stranger = next((unit for unit in reversed(LINE_UNITS) if unit not in asked), None)
        if stranger is None:
            return True
        other = replace(targets[0], unit=stranger)
        # Asked twice: one lost answer would make as many devices of one as units were asked.
        return await self._answers(link, other) is None or await self._answers(link, other) is None

    async def _answers(self, link: ModbusLink, target: ModbusTarget) -> PollProblem | None:
        """None where the unit answers. One that refuses a register is there; what its gateway says for it is not."""
        deadline = self._clock.monotonic() + DEVICE_S
        problem = PollProblem.TIMEOUT
        for table in (Table.HOLDING, Table.INPUT):
            if not link.connected:
                await self._pacer.turn(target.host)  # connecting is asking too
            await self._pacer.turn(target.host)
            try:
                await link.read(Block(table, 0, 1), target, deadline=deadline)
            except (PointMissing, DeviceBusy):
                return None
            except BadReply as exc:
                problem = exc.problem  # some units know only the other table, and answer this one oddly
            except CollectError as exc:
                return exc.problem
            else:
                return None
        return problem

    async def _by_registers(self, link: ModbusLink, target: ModbusTarget) -> Found:
        """What the unit is, where a profile knows it by its registers; that it refuses them is no matter."""
        here = Found(target.host, target.port, Spoken.MODBUS, unit=target.unit)
        asked = await self._registers(link, target, register_needs(self._library))
        known = identify_registers(self._library, asked)
        if known.best is None:
            return here
        plate = await self._registers(link, target, plate_needs(known.best, ModbusNeeds()))
        return replace(
            here,
            profile=known.best,
            fallback=known.fallback,
            candidates=known.candidates,
            device=modbus_plate(known.best, plate),
        )

    async def _registers(self, link: ModbusLink, target: ModbusTarget, needs: ModbusNeeds) -> ModbusAnswer:
        """What of these is given; a unit that falls silent is left alone."""
        values: dict[Cell, int] = {}
        deadline = self._clock.monotonic() + DEVICE_S
        for block in plan(needs):
            await self._pacer.turn(target.host)
            try:
                words = await link.read(block, target, deadline=deadline)
            except DeviceUnreachable:
                break
            except CollectError:
                continue
            values.update(zip(block.cells, words, strict=True))
        return ModbusAnswer(values)


def _said(answer: SnmpAnswer, oid: str) -> str:
    value = answer.values.get(oid)
    return "" if value is None else " ".join(text_of(value).split())[:200]
