"""A site ready to be watched: configuration, profiles and rules read together, checked against each other.

`read_site` is what `check`, start and reload have in common, so a configuration that passes the check also starts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.config import Credentials, Device
from agent.loading import Loaded, extra_folders, load_config, named_profiles
from agent.notify.send import understood
from collectors.convert import FORGET_ROWS_MS
from collectors.device import ModbusTarget, PolledDevice, SnmpTarget
from collectors.library import Library
from collectors.modbus.target import Framing, SerialLine
from collectors.traps.access import TrapAccess, TrapUser
from facility.config import ConfigErrors, ConfigProblem, did_you_mean, read_yaml
from facility.profile import Profile, Protocol
from facility.reading import PointKey
from rules.facts import DeviceFacts
from rules.files import CENTRE_FILES, load_rules
from rules.files import library as rule_library
from rules.model import RuleSet
from rules.parts import DEFAULT_THRESHOLDS_SET, Where

# Where neither the site nor the profile says how slow the device is: this share of a poll's deadline, so that one retry
# fits in, and 2 s at most.
_ANSWER_SHARE = 0.4
_ANSWER_MAX_S = 2.0
# A poll may take this share of its interval when the site says nothing, at most 10 s: a slow device must not eat its
# bus (the profiles' slowest devices need 2 s an answer).
_DEADLINE_SHARE = 0.8
_DEADLINE_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """A device of the configuration with everything that follows from its profile."""

    config: Device
    profile: Profile
    polled: PolledDevice

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def kind(self) -> str:
        return self.config.kind or self.profile.kind


@dataclass(frozen=True, slots=True)
class Site:
    """Equal sites are watched equally: a reload compares them and does nothing when nothing changed.

    idle: what is written of rules and will never judge anything here; it keeps no agent from running.
    """

    loaded: Loaded
    devices: tuple[SiteDevice, ...]
    rules: RuleSet
    traps: TrapAccess | None = None
    idle: tuple[ConfigProblem, ...] = field(default=(), compare=False)

    def room_class(self, room: str | None) -> str:
        return next((each.room_class for each in self.loaded.config.rooms if each.id == room), "")

    def facts(
        self, points: Mapping[str, Sequence[PointKey]], *, complete: Collection[str] = frozenset()
    ) -> list[DeviceFacts]:
        """What the rule engine is told; `points` are those known so far, by device; `complete`: whose are all known."""
        profiles = {device.profile.id: device.profile for device in self.devices}
        may_have = {name: _may_have(profile) for name, profile in profiles.items()}
        return [
            DeviceFacts(
                id=device.id,
                kind=device.kind,
                zone=device.config.zone,
                room=device.config.room or "",
                room_class=self.room_class(device.config.room),
                labels=device.config.labels,
                points=tuple(points.get(device.id, ())),
                interval_s=device.polled.interval_s,
                complete=device.id in complete,
                # A row that left while the agent was down gets as long as one that leaves now.
                gone_after_ms=FORGET_ROWS_MS,
                may_have=may_have[device.profile.id],
            )
            for device in self.devices
        ]


def _may_have(profile: Profile) -> frozenset[tuple[str, str]]:
    """Metric and subjects of all that a device of this profile can give; rows have what subject they like."""
    return frozenset((point.metric, "*" if point.is_table else point.subject) for point in profile.points)


def read_site(path: Path, *, environ: Mapping[str, str] | None = None, shown: str | None = None) -> Site:
    """The site a configuration file describes. ConfigErrors with every problem of every file at once."""
    name = shown or str(path)
    problems: list[ConfigProblem] = []
    profiles: Library | None = None
    try:
        profiles = Library.load(extra_folders(path, shown=shown), only=named_profiles(path, shown=shown))
    except ConfigErrors as exc:
        problems += exc.problems
    loaded: Loaded | None = None
    try:
        loaded = load_config(path, profiles=None if profiles is None else profiles.ids, environ=environ, shown=shown)
    except ConfigErrors as exc:
        problems += [problem for problem in exc.problems if problem not in problems]
    if loaded is None or profiles is None:
        raise ConfigErrors(problems)
    rules, idle = _rules(loaded, path, name, problems)
    devices = _devices(loaded, profiles, path, name, problems)
    traps = _trap_access(loaded, path, name, problems)
    _channels(loaded, path, name, problems)
    if problems:
        raise ConfigErrors(sorted(problems, key=lambda problem: (problem.file != name, problem.line)))
    return Site(loaded, tuple(devices), rules, traps, tuple(idle))


def _rules(loaded: Loaded, path: Path, name: str, problems: list[ConfigProblem]) -> tuple[RuleSet, list[ConfigProblem]]:
    """The rules, and what of them is idle."""
    config = loaded.config
    rules = rule_library()
    if config.rules.files:
        try:
            rules = load_rules([loaded.folder / each for each in config.rules.files], over=rules, where=Where.EDGE)
        except ConfigErrors as exc:
            problems += exc.problems
    idle = list(rules.idle)
    document = read_yaml(path, shown=name)
    ids = {rule.id: rule for rule in rules}
    for i, each in enumerate(config.rules.disable):
        if each not in ids:
            problems.append(
                document.problem(("rules", "disable", i), f"there is no rule {each!r}{did_you_mean(each, list(ids))}")
            )
        elif ids[each].where is Where.CENTRE:
            what = f"{each} is judged at the centre: disable it by `enabled: false` in {CENTRE_FILES}"
            idle.append(document.problem(("rules", "disable", i), what))
    classes = sorted(rules.thresholds_sets | {DEFAULT_THRESHOLDS_SET})
    for i, room in enumerate(config.rooms):
        if room.room_class and room.room_class not in classes:
            problems.append(
                document.problem(
                    ("rooms", i, "class"),
                    f"there is no thresholds set {room.room_class!r}{did_you_mean(room.room_class, classes)}",
                )
            )
    off = set(config.rules.disable)
    return RuleSet(
        tuple(rule.model_copy(update={"enabled": False}) if rule.id in off else rule for rule in rules)
    ), idle


def _devices(
    loaded: Loaded, profiles: Library, path: Path, name: str, problems: list[ConfigProblem]
) -> list[SiteDevice]:
    document = read_yaml(path, shown=name)
    devices: list[SiteDevice] = []
    lines: dict[str, tuple[str, str]] = {}
    places: dict[tuple[object, ...], str] = {}
    for i, config in enumerate(loaded.config.devices):
        profile = profiles.get(config.profile)
        interval_s = profile.interval if config.interval is None else config.interval / 1000
        deadline_s = (
            min(interval_s * _DEADLINE_SHARE, _DEADLINE_MAX_S) if config.deadline is None else config.deadline / 1000
        )
        problems += [
            document.problem(("devices", i, key), what) for key, what in _time_problems(config, interval_s, deadline_s)
        ]
        try:
            target = _target(config, profile, loaded, _answer_s(config, profile, deadline_s))
        except ValueError as exc:
            problems.append(document.problem(("devices", i), str(exc)))
            continue
        strayed = _offset_problem(config, profile)
        if strayed is not None:
            problems.append(document.problem(("devices", i, "address_offset"), strayed))
            continue
        if isinstance(target, ModbusTarget):
            first, spoken = lines.setdefault(target.line, (config.id, target.speaks))
            if spoken != target.speaks:
                problems.append(
                    document.problem(
                        ("devices", i, "modbus"),
                        f"{target.line} is {target.speaks} here and {spoken} for {first}: a line is one or the other",
                    )
                )
        place = (str(target), profile.id, config.credentials, config.address_offset)
        first_there = places.setdefault(place, config.id)
        if first_there != config.id:
            problems.append(
                document.problem(
                    ("devices", i), f"{target} is read by {profile.id} already, as {first_there}: one device, one entry"
                )
            )
        polled = PolledDevice(config.id, profile, target, interval_s, deadline_s)
        devices.append(SiteDevice(config, profile, polled))
    return devices


def _trap_access(loaded: Loaded, path: Path, name: str, problems: list[ConfigProblem]) -> TrapAccess | None:
    """Who is believed when a trap comes; None where the site takes no traps."""
    config = loaded.config
    if config.traps is None:
        return None
    document = read_yaml(path, shown=name)
    communities: dict[str, None] = {}
    users: dict[str, tuple[str, TrapUser]] = {}
    for key in config.credentials if config.traps.credentials is None else config.traps.credentials:
        credentials = config.credentials[key]
        try:
            known = snmp_target("traps", 162, key, credentials, loaded, _ANSWER_MAX_S)
        except ValueError as exc:
            problems.append(document.problem(("credentials", key), str(exc)))
            continue
        if known.community is not None:
            communities[known.community] = None
        elif known.user is not None:
            user = TrapUser(known.user, known.auth, known.auth_key, known.priv, known.priv_key, known.key_expansion)
            other, before = users.setdefault(user.name, (key, user))
            if before != user:
                problems.append(
                    document.problem(
                        ("traps",),
                        f"credentials {other} and {key} give the user {user.name!r} different keys: a trap names only "
                        "the user; name one of the two in traps.credentials",
                    )
                )
    if not communities and not users and not problems:
        problems.append(document.problem(("traps",), "there are no credentials by which a trap could be believed"))
    return TrapAccess(tuple(communities), tuple(user for _, user in users.values()))


def _channels(loaded: Loaded, path: Path, name: str, problems: list[ConfigProblem]) -> None:
    """Each channel's URL is one Apprise understands; the URL itself is never said."""
    channels = () if loaded.config.notify is None else loaded.config.notify.channels
    for i, channel in enumerate(channels):
        if not understood(loaded.secret(f"notify.channels.{i}.url") or ""):
            what = f"what {channel.url} holds is no URL that Apprise understands, like json://host/path"
            problems.append(read_yaml(path, shown=name).problem(("notify", "channels", i, "url"), what))


def _target(config: Device, profile: Profile, loaded: Loaded, answer_s: float) -> SnmpTarget | ModbusTarget:
    """ValueError says what the profile's protocol needs and the device does not give."""
    if profile.protocol is Protocol.MODBUS:
        if config.credentials is not None:
            raise ValueError(f"{profile.id} speaks Modbus, which knows no credentials")
        if not config.bulk or config.max_in_get is not None:
            raise ValueError(f"bulk and max_in_get are for SNMP devices; {profile.id} speaks Modbus")
        return _modbus_target(config, answer_s)
    if config.modbus is not None or config.address is None:
        raise ValueError(f"{profile.id} speaks SNMP: say its address; modbus is for Modbus devices")
    if config.credentials is None:
        raise ValueError(f"{profile.id} speaks SNMP: name its credentials")
    name = config.credentials
    target = snmp_target(config.address, config.port or 161, name, loaded.config.credentials[name], loaded, answer_s)
    return replace(target, bulk=config.bulk, max_in_get=config.max_in_get or target.max_in_get)


def _answer_s(config: Device, profile: Profile, deadline_s: float) -> float:
    """What one answer may take: as the site says, else the profile, and never longer than the whole poll."""
    if config.timeout is not None:
        return min(config.timeout / 1000, deadline_s)
    if profile.timeout is not None:
        return min(profile.timeout, deadline_s)
    return min(deadline_s * _ANSWER_SHARE, _ANSWER_MAX_S)


def _time_problems(config: Device, interval_s: float, deadline_s: float) -> Iterator[tuple[str, str]]:
    """What only shows beside the profile's interval; what the device itself says wrong is refused before."""
    if config.interval is None and deadline_s > interval_s:
        yield "deadline", f"{deadline_s:g} s is longer than the profile's interval of {interval_s:g} s; say an interval"
    if config.timeout is not None and config.deadline is None and config.timeout / 1000 > deadline_s:
        yield "timeout", f"{config.timeout / 1000:g} s is longer than the deadline of {deadline_s:g} s; say a deadline"


def _offset_problem(config: Device, profile: Profile) -> str | None:
    """Why the profile's registers cannot be shifted so; at polling it would be a fault of ours at each poll."""
    if not config.address_offset:
        return None
    if profile.protocol is not Protocol.MODBUS:
        return f"{profile.id} speaks SNMP; address_offset is for Modbus devices"
    place = profile.outside(config.address_offset)
    if place is None:
        return None
    table, address = place.cell
    return (
        f"{config.address_offset} puts {table}:{address} of {profile.id} at {address + config.address_offset}; "
        "a register's address is 0 to 65535"
    )


def _modbus_target(config: Device, answer_s: float) -> ModbusTarget:
    """ValueError for a unit that an RTU line cannot have."""
    line = config.modbus
    if line is None:
        return ModbusTarget(config.address or "", config.port or 502, config.unit, answer_s, config.address_offset)
    plain = SerialLine()
    return ModbusTarget(
        line.serial or line.host or "",
        line.port or 502,
        config.unit,
        answer_s,
        config.address_offset,
        framing=Framing.RTU if line.serial or line.framer == "rtu" else Framing.TCP,
        serial=SerialLine(line.baudrate or plain.baudrate, line.parity or plain.parity, line.stopbits or plain.stopbits)
        if line.serial
        else None,
    )


def snmp_target(
    host: str, port: int, name: str, credentials: Credentials, loaded: Loaded, answer_s: float
) -> SnmpTarget:
    """The SNMP target of an address for named credentials; ValueError where their parts do not fit together."""
    return SnmpTarget(
        host=host,
        port=port,
        version=credentials.snmp,
        community=loaded.secret(f"credentials.{name}.community"),
        user=credentials.user,
        auth=credentials.auth,
        auth_key=loaded.secret(f"credentials.{name}.auth_password"),
        priv=credentials.priv,
        priv_key=loaded.secret(f"credentials.{name}.priv_password"),
        key_expansion=credentials.key_expansion,
        timeout_s=answer_s,
    )
