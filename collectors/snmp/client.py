"""One SNMP agent, asked gently: the only place that knows gufo-snmp.

What that library leaves to its caller, each found out against it and kept by a test here:
- it waits for one answer at a time: a second request on a session would steal the first one's answer. Hence one lock.
- it never retries, and a refused port fails at once: pacing and retries are ours.
- it drops error-status (tooBig, genErr) and objects that do not exist from an answer without a word. An *empty* answer
  is therefore ambiguous, and is asked again in halves until each object has spoken for itself.
- some malformed datagrams make its decoder panic, which Python sees as a BaseException: unanswered, it would end the
  program, from outside and without a password.
- values that stand beside an error-status are taken as said; no agent is known that sends such.
- a walk does not notice an agent that repeats itself, and ends without a word at an error-status.
- over v1, where "no such object" is an error-status too, a missing object and any other error look the same.
- after an agent's reboot the first authenticated request raises the same error as a wrong password does, or meets
  silence: a fresh session with a new look at the agent's engine decides which it was.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    NoSuchInstance,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    User,
)
from gufo.snmp import KeyExpansion as GufoExpansion
from gufo.snmp import SnmpVersion as GufoVersion
from gufo.snmp.aio import SnmpSession
from gufo.snmp.policer import BasePolicer

from collectors.errors import BadCredentials, BadReply, DeviceBusy, DeviceUnreachable, HeldBack, PointMissing
from collectors.exchange import PollProblem, SnmpValue
from collectors.snmp.pace import MAX_REPETITIONS
from collectors.snmp.target import AuthProtocol, KeyExpansion, PrivProtocol, SnmpTarget, SnmpVersion
from facility.clock import Clock

# RFC 3414 section 2.2.3: 150 s is the time window; an idle session looks at the engine's time again before that.
RESYNC_S = 120.0

# Every datagram has its own timeout in the library, restarted by a late answer. Finding an engine, its time, and the
# request itself are three; a flood of foreign answers ends here.
PATIENCE = 4

# A name service that is slow must not cost a device its answer, where its last address is known.
LOOK_UP_S = 0.5

# pyo3_runtime.PanicException cannot be imported; it is known by its name.
PANIC = "PanicException"

AUTH_KEYS: dict[AuthProtocol, type[BaseAuthKey]] = {
    AuthProtocol.MD5: Md5Key,
    AuthProtocol.SHA1: Sha1Key,
    AuthProtocol.SHA224: Sha224Key,
    AuthProtocol.SHA256: Sha256Key,
    AuthProtocol.SHA384: Sha384Key,
    AuthProtocol.SHA512: Sha512Key,
}
PRIV_KEYS: dict[PrivProtocol, type[BasePrivKey]] = {
    PrivProtocol.DES: DesKey,
    PrivProtocol.AES128: Aes128Key,
    PrivProtocol.AES192: Aes192Key,
    PrivProtocol.AES256: Aes256Key,
}
VERSIONS = {SnmpVersion.V1: GufoVersion.v1, SnmpVersion.V2C: GufoVersion.v2c, SnmpVersion.V3: GufoVersion.v3}
EXPANSIONS = {
    KeyExpansion.BLUMENTHAL: GufoExpansion.Blumenthal,
    KeyExpansion.REEDER: GufoExpansion.Cisco,
}

T = TypeVar("T")
Row = tuple[str, SnmpValue]
# Takes a turn, to be awaited where it has not come yet.
Turn = Callable[[], Awaitable[None] | None]


class _Meter(BasePolicer):
    """Counts what goes out, and holds it back where a limit is set: the library calls `wait` before every datagram.

    waits: for its turn; where a request ends so, its last datagram was not sent.
    """

    def __init__(self, turn: Turn | None) -> None:
        super().__init__()
        self.sent = 0
        self.waits = False
        self._turn = turn
        self._patience = asyncio.Timeout(None)
        self._ends = 0.0

    def begin(self, patience: asyncio.Timeout, ends: float) -> None:
        """A request is made. patience: what bounds its answer; ends: its deadline. Both by the event loop's time."""
        self.waits, self._patience, self._ends = False, patience, ends

    async def wait(self) -> None:
        if self._patience.expired():
            raise TimeoutError  # what waited for an answer on Python 3.11 may have swallowed it
        if self._turn is not None and (turn := self._turn()) is not None:
            await self._wait_for(turn)
        self.sent += 1

    async def _wait_for(self, turn: Awaitable[None]) -> None:
        """The wait is our own doing and no silence of the agent: meanwhile its time stands still."""
        loop = asyncio.get_running_loop()
        left = (self._patience.when() or self._ends) - loop.time()
        self._patience.reschedule(self._ends)
        self.waits = True
        await turn
        self.waits = False
        self._patience.reschedule(min(self._ends, loop.time() + left))

    def get_timeout(self, ts: int) -> int | None:
        return None


def user_of(target: SnmpTarget) -> User:
    """The library's user for a v3 target; keys are derived from the passwords when the engine is known."""
    auth = AUTH_KEYS[AuthProtocol(target.auth)](target.auth_key.encode()) if target.auth and target.auth_key else None
    priv = PRIV_KEYS[PrivProtocol(target.priv)](target.priv_key.encode()) if target.priv and target.priv_key else None
    expansion = EXPANSIONS[KeyExpansion(target.key_expansion)]
    return User(target.user or "", auth_key=auth, priv_key=priv, key_expansion=expansion)


class SnmpClient:
    """GET and walk one agent, one request in flight. `sent` counts datagrams for as long as the client lives.

    Every method takes `deadline`, in monotonic seconds of the clock, sends nothing after it, and raises nothing but
    CollectError. turn: taken before each datagram, for who must not ask fast; cancelled at the deadline.
    """

    def __init__(self, target: SnmpTarget, *, clock: Clock, turn: Turn | None = None) -> None:
        self._target = target
        self._clock = clock
        self._lock = asyncio.Lock()
        self._session: SnmpSession | None = None
        self._meter = _Meter(turn)
        self._used_at = 0.0
        self._address = ""  # where the session goes; the target's host may be a name
        self._spoke = False  # it answered this client once
        self._met = False  # the agent named its engine in the request under way

    @property
    def sent(self) -> int:
        return self._meter.sent

    async def get(self, oids: Sequence[str], deadline: float) -> dict[str, SnmpValue]:
        """What the agent gave of several objects; those it gave nothing for are left out, for whatever reason."""
        asked = set(oids)

        async def call(session: SnmpSession) -> dict[str, SnmpValue]:
            answer = await session.get_many(oids)
            values = {oid: value for oid, value in answer.items() if oid in asked and value is not None}
            if answer and not values:
                raise BadReply(f"{self._target} answered with other objects than the {len(oids)} asked for")
            return values

        return await self._ask(call, deadline, f"GET of {len(oids)} objects")

    async def get_one(self, oid: str, deadline: float) -> SnmpValue:
        """One object; PointMissing where the agent says so, DeviceBusy where it answers with an error-status.

        Over v1 every error is PointMissing: nearly all of them mean that.
        """

        async def call(session: SnmpSession) -> SnmpValue:
            answer = await session.get_many([oid])
            value = answer.get(oid)
            if value is not None:
                return value
            if self._target.version == SnmpVersion.V1:
                raise PointMissing(f"{self._target} has no {oid}")
            # Asked alone, the library tells a missing object from an error-status.
            if await session.get(oid) is None:
                raise DeviceBusy(f"{self._target} answers {oid} with an error")
            raise BadReply(f"{self._target} answered {oid} and then did not")

        return await self._ask(call, deadline, f"GET {oid}")

    async def walk(self, root: str, deadline: float, *, repetitions: int = MAX_REPETITIONS) -> AsyncIterator[Row]:
        """The rows below `root` in the agent's order, each as it arrives; repetitions: rows in one GETBULK, 0: GETNEXT.

        BadReply at a row that does not follow its forerunner, and where the agent restarts under the walk.
        """
        last: tuple[int, ...] = ()
        rows: AsyncIterator[tuple[str, SnmpValue | None]] | None = None
        of: SnmpSession | None = None

        async def step(session: SnmpSession) -> tuple[str, SnmpValue | None] | None:
            nonlocal rows, of
            if rows is None:
                of = session
                rows = session.getbulk(root, repetitions) if repetitions else session.getnext(root)
            elif session is not of:
                raise BadReply(f"{self._target} restarted during the walk of {root}")
            return await anext(rows, None)

        while (row := await self._ask(step, deadline, f"walk of {root}")) is not None:
            here = tuple(int(arc) for arc in row[0].split("."))
            if here <= last:
                raise BadReply(f"{self._target} walks in circles below {root}: {row[0]} came after its successor")
            last = here
            if row[1] is not None:
                yield row[0], row[1]

    async def close(self) -> None:
        """Forget the session; its socket closes with it."""
        async with self._lock:
            self._session = None

    async def _ask(self, call: Callable[[SnmpSession], Awaitable[T]], deadline: float, what: str) -> T:
        async with self._lock:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                late = HeldBack if self._meter.waits else DeviceUnreachable
                raise late(f"{self._target}: deadline reached before {what}")
            self._met = False
            now = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout_at(now + min(left, self._target.timeout_s * PATIENCE)) as patience:
                    self._meter.begin(patience, now + left)
                    return await self._once_more(call, what)
            except TimeoutError as exc:
                if self._meter.waits:
                    raise HeldBack(f"{self._target}: deadline reached before the turn of {what}") from exc
                raise self._silence(exc, what) from exc
            except NoSuchInstance as exc:
                raise PointMissing(f"{self._target} has no such object: {what}") from exc
            except SnmpError as exc:
                raise BadReply(f"{self._target}: {what}: answer not understood ({exc})") from exc
            except OSError as exc:
                self._session = None
                raise DeviceUnreachable(
                    f"{self._target}: {what}: {exc.strerror or exc}", problem=PollProblem.UNREACHABLE
                ) from exc
            except BaseException as exc:
                if type(exc).__name__ != PANIC:
                    raise
                self._session = None
                raise BadReply(f"{self._target}: {what}: answer not understood at all ({exc})") from exc

    async def _once_more(self, call: Callable[[SnmpSession], Awaitable[T]], what: str) -> T:
        """One request, repeated on a fresh session where the agent turned the first down as not authentic."""
        known = self._session is not None
        try:
            return await self._in_session(call)
        except SnmpAuthError as exc:
            self._session = None
            if not known:
                raise BadCredentials(
                    f"{self._target} turns user {self._target.user} down: {what}; "
                    "check the user, both protocols and both passwords"
                ) from exc
        try:
            return await self._in_session(call)
        except SnmpAuthError as exc:
            self._session = None
            raise BadCredentials(
                f"{self._target} turns user {self._target.user} down since its engine was looked at anew: {what}"
            ) from exc

    async def _in_session(self, call: Callable[[SnmpSession], Awaitable[T]]) -> T:
        v3 = self._target.version == SnmpVersion.V3
        if self._session is None:
            session = await self._open()
            if v3:
                try:
                    await session.refresh()
                finally:
                    self._met = bool(session.get_engine_id())
            self._session = session
        elif v3 and self._clock.monotonic() - self._used_at > RESYNC_S:
            await self._session.refresh()
        answer = await call(self._session)
        self._spoke = True
        self._used_at = self._clock.monotonic()
        return answer

    async def _open(self) -> SnmpSession:
        target = self._target
        self._address = await self._looked_up()
        v3 = target.version == SnmpVersion.V3
        return SnmpSession(
            self._address,
            port=target.port,
            community=target.community or "",
            user=user_of(target) if v3 else None,
            version=VERSIONS[SnmpVersion(target.version)],
            timeout=target.timeout_s,
            policer=self._meter,
        )

    async def _looked_up(self) -> str:
        """The address of the target's name; the last one known where the name service has no answer now."""
        target = self._target
        try:
            async with asyncio.timeout(LOOK_UP_S if self._address else None):
                found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError):
            if not self._address:
                raise
            return self._address
        return str(found[0][4][0])

    def _silence(self, exc: TimeoutError, what: str) -> DeviceUnreachable:
        # The library turns ICMP "port unreachable" into a TimeoutError caused by one that says so.
        if "refused" in f"{exc} {exc.__cause__}":
            return DeviceUnreachable(
                f"{self._target}: port refused; is the agent running there?", problem=PollProblem.REFUSED
            )
        if self._address != self._target.host:
            self._session = None  # a name may stand for another address by now
        hint = ""
        if self._target.version != SnmpVersion.V3 and not self._spoke:
            # Agents are silent to a community they do not know (RFC 3584 section 5.2.1); from here both look alike.
            hint = "; it is not reachable, or the community is wrong: nobody answers to either"
        if self._target.version == SnmpVersion.V3:
            # An agent that restarted, or was replaced, may also answer with silence: the next request meets it anew.
            self._session = None
            if self._met:
                hint = f"; it names its engine but ignores user {self._target.user}: is the privacy password right?"
        return DeviceUnreachable(f"{self._target}: no answer to {what}{hint}")
