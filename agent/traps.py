"""Traps and informs in the agent: each becomes one event of the journal, and news of a device asks that device.

A trap raises nothing by itself. It makes the device be polled at once, through the row every poll walks, so the rules
see what the device itself says holds; a trap without truth behind it ends there.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from agent.figures import Figures
from agent.journal import Journal
from agent.site import Site
from collectors.device import SnmpTarget
from collectors.traps.addresses import is_address, plain_address
from collectors.traps.confirming import Confirmations
from collectors.traps.events import flood_detail, trap_detail
from collectors.traps.limits import Gate, Repeats
from collectors.traps.notification import Answer, Notification, TrapResult
from collectors.traps.senders import Sender, Senders
from collectors.traps.table import TrapTable
from facility.clock import Clock, now_ms
from facility.ids import NewId
from facility.items import EARLIEST_MS, EventItem, EventKind
from facility.traps import Confirm
from facility.wire import Kind

if TYPE_CHECKING:
    from collectors.traps.receiver import TrapReceiver

log = logging.getLogger(__name__)

# Events that wait for the journal or are being written; beyond it traps are dropped and counted.
MAX_WAITING = 1000
# A port that cannot be had is asked for again this often: another program may let go of it.
LISTEN_AGAIN_S = 30.0
# Host names of devices are looked up anew this often.
RESOLVE_S = 300.0
FLOOD_LOOK_S = 1.0
# Refusals are logged once for each sender, of so many senders.
MAX_REFUSED = 200

Ask = Callable[[str], Coroutine[Any, Any, None]]


class Traps:
    """Takes traps while `run` runs. ask: polls a device out of turn; its outcome goes the ordinary way."""

    def __init__(self, site: Site, *, journal: Journal, ask: Ask, figures: Figures, clock: Clock, ids: NewId) -> None:
        self._site = site
        self._journal = journal
        self._ask = ask
        self._figures = figures
        self._clock = clock
        self._ids = ids
        self._gate = Gate()
        self._repeats = Repeats()
        self._confirmations = Confirmations()
        self._senders = Senders(())
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._waiting: list[EventItem] = []
        self._writing = 0
        self._answers: list[Answer] = []
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._refused: set[str] = set()
        self._receiver: TrapReceiver | None = None
        self.configure(site)

    @property
    def port(self) -> int:
        """The UDP port that listens, 0 while none does."""
        return 0 if self._receiver is None else self._receiver.port

    def configure(self, site: Site) -> None:
        """Take up a site's devices; where we listen and whom we believe changes with a restart only."""
        self._site = site
        senders = [
            Sender(
                device.id,
                self._resolved.get(device.polled.target.host, (plain_address(device.polled.target.host),)),
                device.polled.target.port,
                TrapTable(device.profile.traps),
            )
            for device in site.devices
            if isinstance(device.polled.target, SnmpTarget)
        ]
        self._senders = Senders(senders)
        self._gate.knows(self._senders.addresses)
        self._confirmations.knows(frozenset(sender.device for sender in senders))
        self._changed.set()

    async def run(self) -> None:
        """Listen, keep, answer and have devices asked, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="traps listen")
                group.create_task(self._resolve(), name="traps names")
                group.create_task(self._keep(), name="traps keep")
                group.create_task(self._confirm(group), name="traps confirm")
                group.create_task(self._watch_floods(), name="traps floods")
        finally:
            if self._receiver is not None:
                await self._receiver.close()
                self._receiver = None
                self._figures.traps_listening = False
            # The journal's last commit, on its closing, takes these along.
            self._hand_over()

    # --- receiving -------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        config, access = self._site.loaded.config, self._site.traps
        assert config.traps is not None
        assert access is not None
        # Brings pysnmp along, 11 MB that an agent without traps need not hold.
        from collectors.traps.receiver import TrapReceiver  # noqa: PLC0415

        receiver = TrapReceiver(
            access,
            engine_id=engine_id(config.site, config.agent),
            # Seconds since 2020: more at each start, without a file to keep.
            boots=max(1, (now_ms(self._clock) - EARLIEST_MS) // 1000),
            admit=self._admit,
            take=self._take,
            lost=self._lost,
        )
        said = ""
        while True:
            try:
                await receiver.open(config.traps.host, config.traps.port)
            except OSError as exc:
                cause = f"{config.traps.listen}: {exc.strerror or exc}"
                if cause != said:
                    log.error(
                        "traps cannot be received; ports below 1024 need CAP_NET_BIND_SERVICE, and one that is taken "
                        "another number",
                        extra={"cause": cause},
                    )
                said = cause
                await self._clock.sleep(LISTEN_AGAIN_S)
                continue
            self._receiver = receiver
            self._figures.traps_listening = True
            log.info("traps are received", extra={"listen": f"{config.traps.host}:{receiver.port}"})
            return

    def _admit(self, source: str) -> bool:
        if self._gate.admit(source, self._clock.monotonic()):
            return True
        self._count(TrapResult.RATE_LIMITED)
        return False

    def _lost(self, result: TrapResult, source: str, why: str) -> None:
        self._count(result)
        if result is TrapResult.REFUSED and source not in self._refused and len(self._refused) < MAX_REFUSED:
            self._refused.add(source)
            log.warning(
                "a trap was refused; more of this sender are only counted", extra={"source": source, "why": why}
            )

    def _take(self, notification: Notification, answer: Answer | None) -> None:
        """One authenticated notification; called on the event loop, waits for nothing."""
        if self._repeats.again(notification, self._clock.monotonic()):
            self._count(TrapResult.REPEATED)
            self._owe(answer)
            return
        if len(self._waiting) + self._writing >= MAX_WAITING:
            # Not answered: who wants an answer sends again.
            self._repeats.forget(notification)
            self._count(TrapResult.QUEUE_FULL)
            return
        found = self._senders.match(notification)
        understood = found[0].table.find(notification) if found else None
        result = _result(found, understood is not None)
        self._count(result)
        at = now_ms(self._clock)
        device = found[0].device if len(found) == 1 else ""
        detail = trap_detail(notification, result, understood, [each.device for each in found])
        self._waiting.append(EventItem(self._ids(at), at, EventKind.TRAP, device, detail))
        self._owe(answer)
        if understood is None or understood.confirm is Confirm.POLL:
            for each in found:
                self._confirmations.want(each.device)
            self._wanted.set()

    def _owe(self, answer: Answer | None) -> None:
        if answer is not None:
            self._answers.append(answer)
        self._arrived.set()

    def _count(self, result: TrapResult) -> None:
        self._figures.traps[result] += 1

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            answers, self._answers = self._answers, []
            self._writing = self._hand_over()
            # A repeated inform has no event of its own here; its first one may still be on its way to the disk.
            await self._journal.commit(readings=False)
            self._writing = 0
            if self._journal.stats().degraded:
                continue  # held in memory only: whoever wants an answer asks again
            for answer in answers:
                answer()
            self._figures.informs_answered += len(answers)

    def _hand_over(self) -> int:
        """What waits goes to the journal; how much it was."""
        events, self._waiting = self._waiting, []
        if events:
            self._journal.append(Kind.EVENTS, events, at=events[-1].at)
        return len(events)

    async def _watch_floods(self) -> None:
        while True:
            await self._clock.sleep(FLOOD_LOOK_S)
            for flood in self._gate.floods(self._clock.monotonic()):
                at = now_ms(self._clock)
                devices = self._senders.at(flood.source)
                log.warning("traps were dropped", extra={"source": flood.source, "count": flood.dropped})
                event = EventItem(
                    self._ids(at),
                    at,
                    EventKind.TRAP_FLOOD,
                    devices[0] if len(devices) == 1 else "",
                    flood_detail(flood, devices),
                )
                self._journal.append(Kind.EVENTS, [event], at=at)

    # --- asking ----------------------------------------------------------------------------------------------------

    async def _confirm(self, group: asyncio.TaskGroup) -> None:
        while True:
            wait = self._confirmations.wait(self._clock.monotonic())
            if wait is None:
                self._wanted.clear()
                await self._wanted.wait()
                continue
            if wait > 0:
                # What comes meanwhile may be of another device, which need not wait.
                self._wanted.clear()
                await _first_of(self._wanted, wait, self._clock)
            for device in self._confirmations.due(self._clock.monotonic()):
                self._figures.trap_polls += 1
                group.create_task(self._ask(device), name=f"confirm {device}")

    async def _resolve(self) -> None:
        """Look up the devices that are configured by name; the last good answer holds."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            names = {
                device.polled.target.host
                for device in self._site.devices
                if isinstance(device.polled.target, SnmpTarget) and not is_address(device.polled.target.host)
            }
            found = {name: self._resolved[name] for name in names if name in self._resolved}
            for name in sorted(names):
                try:
                    async with asyncio.timeout(5.0):
                        answers = await loop.getaddrinfo(name, None)
                except (OSError, TimeoutError) as exc:
                    log.debug("a device's name was not found", extra={"host": name, "cause": str(exc)})
                    continue
                found[name] = tuple(sorted({plain_address(str(each[4][0])) for each in answers}))
            if found != self._resolved:
                self._resolved = found
                self.configure(self._site)
                self._changed.clear()
            await _first_of(self._changed, RESOLVE_S, self._clock)


def engine_id(site: str, agent: str) -> bytes:
    """Our SNMP engine: the same after a restart, another for each agent (RFC 3411 section 5, octets of our own making).

    20408 is the enterprise number under which the receiving library names its engines.
    """
    own = hashlib.blake2b(f"{site}/{agent}".encode(), digest_size=8).digest()
    return (0x80000000 | 20408).to_bytes(4, "big") + b"\x05" + own


def _result(found: Sequence[Sender], understood: bool) -> TrapResult:
    if not found:
        return TrapResult.UNKNOWN_SENDER
    if len(found) > 1:
        return TrapResult.AMBIGUOUS_SENDER
    return TrapResult.UNDERSTOOD if understood else TrapResult.UNKNOWN_TRAP


async def _first_of(event: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Wait for the event, at most so long by the clock."""
    waiting = asyncio.ensure_future(event.wait())
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        sleeping.cancel()
