"""The agent's configuration, `version: 1`: one YAML file, validated whole, secrets by reference.

`agent.loading.load_config` reads it and answers with every problem at once. The models say what may be written;
cross-references (a device's credentials, room and profile) are checked there too.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent.values import Interval, SecretRef, duration, parse_duration, size
from collectors.pacing import POLL_RATE
from facility.ids import is_slug
from facility.severity import Severity

T = TypeVar("T")


def _slug(text: str) -> str:
    if not is_slug(text):
        raise ValueError(f"{text!r} is no id: 1 to 63 of a-z 0-9 _ -, with a letter or digit at both ends")
    return text


def _text(value: object) -> object:
    """YAML reads a bare off, no, on, yes as a truth value and 7 as a number: said, or nobody finds the cause."""
    if isinstance(value, bool):
        words = "on, yes or true" if value else "off, no or false"
        # pydantic takes a ValueError for a finding and a TypeError for a fault of the program.
        raise ValueError(f"YAML reads a bare {words} as a truth value; write it in quotes")  # noqa: TRY004
    if isinstance(value, int | float):
        raise ValueError(f'YAML reads this as a number; write it in quotes, like "{value}"')  # noqa: TRY004
    return value


Slug = Annotated[str, BeforeValidator(_text), AfterValidator(_slug)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Model(BaseModel):
    # Not hidden in errors by pydantic itself: `facility.config` shows a scalar input, and secrets are never scalars.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Name(_Model):
    """A name for people, in one or both languages."""

    en: str = ""
    zh: str = ""


class Credentials(_Model):
    """Who the agent is to SNMP devices: a community (v1, v2c), or a v3 user with its keys."""

    snmp: Literal["v1", "v2c", "v3"]
    community: SecretRef | None = None
    user: str | None = None
    auth: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] | None = None
    auth_password: SecretRef | None = None
    priv: Literal["des", "aes128", "aes192", "aes256"] | None = None
    priv_password: SecretRef | None = None
    key_expansion: Literal["blumenthal", "reeder"] = "blumenthal"

    @model_validator(mode="after")
    def _fits(self) -> "Credentials":
        if self.snmp != "v3":
            if self.community is None:
                raise ValueError(f"SNMP {self.snmp} needs a community, like community: {{env: RACK_COMMUNITY}}")
            if self.user or self.auth or self.auth_password or self.priv or self.priv_password:
                raise ValueError("user, auth and priv belong to snmp: v3")
            return self
        if self.community is not None:
            raise ValueError("a community belongs to snmp: v1 and v2c")
        if not self.user:
            raise ValueError("SNMP v3 needs a user")
        if (self.auth is None) != (self.auth_password is None):
            raise ValueError("auth and auth_password go together")
        if (self.priv is None) != (self.priv_password is None):
            raise ValueError("priv and priv_password go together")
        if self.priv is not None and self.auth is None:
            raise ValueError("priv without auth does not exist in SNMP v3")
        return self


class Room(_Model):
    """A room; `class` names the set of environment thresholds it is judged by."""

    id: Slug
    name: Name = Name()
    room_class: str = Field(default="", alias="class")


class ModbusLine(_Model):
    """How a Modbus device is reached where plain Modbus TCP to `address` is not it.

    Either host (and port) of a server or gateway, framer: rtu where the gateway passes serial frames on as they are;
    or serial, the path of a serial line, with how its units talk. The units of one line say the same here.
    """

    host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    port: Port | None = None
    framer: Literal["tcp", "rtu"] | None = None
    serial: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    baudrate: Annotated[int, Field(ge=300, le=1_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: Literal[1, 2] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "ModbusLine":
        if (self.host is None) == (self.serial is None):
            raise ValueError(
                "say either host, like {host: 10.0.0.9, framer: rtu}, or serial, like {serial: /dev/ttyUSB0}"
            )
        if self.serial is not None:
            if self.framer == "tcp":
                raise ValueError("a serial line speaks RTU; leave framer out")
            if self.port is not None:
                raise ValueError("port belongs to host; the line itself is named by serial")
        elif self.baudrate or self.parity or self.stopbits:
            raise ValueError("baudrate, parity and stopbits belong to serial; a gateway has them in its own settings")
        return self


class Device(_Model):
    """One device. id: given once, never reused, survives everything else here; labels are free words rules may ask for.

    address: where the device is, unless `modbus` says it. port: the protocol's own when left out; unit: Modbus unit;
    address_offset: added to every register address, where manual and wire differ by one; bulk: false for an SNMP agent
    that answers GETBULK wrongly; max_in_get: SNMP objects in one request at most (it shrinks by itself where a device
    cannot); interval: the profile's when left out; deadline: what one poll may take in all; timeout: what one answer
    may take, the profile's when left out. kind: the profile's when left out.
    """

    id: Slug
    name: Name = Name()
    profile: str
    address: str | None = Field(default=None, min_length=1, max_length=253)
    port: Port | None = None
    modbus: ModbusLine | None = None
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    address_offset: Annotated[int, Field(ge=-1, le=1)] = 0
    credentials: str | None = None
    bulk: bool = True
    max_in_get: Annotated[int, Field(ge=1, le=100)] | None = None
    interval: Interval | None = None
    deadline: Annotated[int, duration("100ms", "5m")] | None = None
    timeout: Annotated[int, duration("50ms", "1m")] | None = None
    kind: str | None = None
    room: str | None = None
    zone: str = ""
    rack: str = ""
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> "Device":
        if self.modbus is None and self.address is None:
            raise ValueError("say where the device is: address, or modbus for a gateway or a serial line")
        if self.modbus is not None and (self.address is not None or self.port is not None):
            raise ValueError("modbus says where the device is: leave address and port out")
        return self

    @model_validator(mode="after")
    def _deadline_in_interval(self) -> "Device":
        if self.deadline is not None and self.interval is not None and self.deadline > self.interval:
            raise ValueError("deadline is longer than the interval: every second poll would be missed")
        if self.timeout is not None and self.deadline is not None and self.timeout > self.deadline:
            raise ValueError("timeout is longer than the deadline: one answer cannot take longer than the whole poll")
        return self


class Profiles(_Model):
    folders: tuple[Path, ...] = ()


class Rules(_Model):
    """files: rule files and folders laid over the library (one of the same id replaces); disable: ids switched off."""

    files: tuple[Path, ...] = ()
    disable: tuple[str, ...] = ()


class Journal(_Model):
    """path: the SQLite file; max_bytes and max_age bound it; group_commit bounds what a power cut may cost.

    1 GiB is 7 days at some 340 values a second, a site's rated load (`agent.capacity`): `agent check` says how many.
    """

    path: Path = Path("journal.db")
    max_bytes: Annotated[int, size("4MiB", "1024GiB")] = 1 << 30
    max_age: Annotated[int, duration("1h", "3650d")] = 7 * 86_400_000
    group_commit: Annotated[int, duration("50ms", "1s")] = 1000


def _broker(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    host, _, port = rest.rpartition(":") if ":" in rest else (rest, "", "")
    if scheme not in ("mqtt", "mqtts") or not mark or not host or (port and not port.isdigit()) or "@" in rest:
        raise ValueError(f"{text!r} is no broker address; write mqtt://host:1883 or mqtts://host:8883")
    return text


# What `keepalive` may be at most: 10m.
LONGEST_KEEPALIVE_MS = 600_000


class Uplink(_Model):
    """The way to the centre. backlog_rate: blocks a second that an old backlog may add to live traffic; a block of more
    than 4 KiB, as an outage is kept in, counts for several.

    budget_mb_month: for a metered link, what the agent may send and receive in a month. Readings are then packed and
    sent once a minute, and thinned (here and at the centre) when even that is too much; alarms are never held back.
    """

    broker: Annotated[str, AfterValidator(_broker)]
    username: str | None = None
    password: SecretRef | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive: Annotated[int, duration("5s", "10m")] = 30_000
    # At 30 some 1 Mbit/s, or 25,000 values a second at 5 bytes each. A slower link gives the pace by itself.
    backlog_rate: Annotated[float, Field(gt=0, le=1000)] = 30.0
    budget_mb_month: Annotated[float, Field(ge=10, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Uplink":
        if self.password is not None and self.username is None:
            raise ValueError("password without username")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self

    @property
    def tls(self) -> bool:
        return self.broker.startswith("mqtts://")

    @property
    def host(self) -> str:
        rest = self.broker.partition("://")[2]
        return (rest.rpartition(":")[0] if ":" in rest else rest).strip("[]")

    @property
    def port(self) -> int:
        port = self.broker.partition("://")[2].rpartition(":")[2]
        return int(port) if port.isdigit() else 8883 if self.tls else 1883


class Http(_Model):
    """Where /metrics, /healthz and /readyz answer; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9470


def _endpoint(value: object) -> object:
    """A bare port means every IPv4 address of the machine."""
    return f"0.0.0.0:{value}" if isinstance(value, int) and not isinstance(value, bool) else value


def _listen(text: str) -> str:
    host, mark, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        address = None
    bracketed = bare != host
    if not mark or address is None or bracketed is not (address.version == 6) or not port.isdigit():
        raise ValueError(f"{text!r} is no address to listen on; write 0.0.0.0:162, [::]:162 or a port")
    if int(port) > 65535:
        raise ValueError(f"{text!r}: a port is at most 65535")
    return text


class Traps(_Model):
    """Where SNMP traps and informs arrive; port 0 takes a free one.

    credentials: whose communities and v3 users are believed, by name; those of every device when left out.
    """

    listen: Annotated[str, BeforeValidator(_endpoint), AfterValidator(_listen)] = "0.0.0.0:162"
    credentials: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError(f"{text!r} is no time zone; write it like Asia/Shanghai")
    return text


def _some(entries: tuple[T, ...]) -> tuple[T, ...]:
    # A `min_length` would also complain where entries were given and are wrong.
    if not 1 <= len(entries) <= 20:
        raise ValueError("name from 1 to 20")
    return entries


class NotifyChannel(_Model):
    """A way to tell people that needs no centre. url: an Apprise URL (https://github.com/caronc/apprise/wiki)."""

    name: Slug
    url: SecretRef
    severities: Annotated[tuple[Severity, ...], AfterValidator(_some)] = (Severity.CRITICAL, Severity.MAJOR)
    language: Literal["en", "zh_CN"] = "en"


_AT_MOST = re.compile(r"(\d{1,4}) per (\S+)")


def _at_most(text: object) -> object:
    """`10 per 10m`: so many messages of a channel in so long."""
    found = _AT_MOST.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is no rate; write how many in how long, like "10 per 10m"')
    count, per = int(found[1]), parse_duration(found[2])
    if not 1 <= count <= 1000 or not 10_000 <= per <= 86_400_000:
        raise ValueError("from 1 to 1000 messages, in 10s to 1d")
    return count, per


class Notify(_Model):
    """Telling people from the site while the centre cannot be reached.

    after: how long the centre must have taken nothing; at_most: the last of them says how many more there are,
    and critical alarms that come after it have one message more; zone: of the times in messages.
    """

    channels: Annotated[tuple[NotifyChannel, ...], AfterValidator(_some)]
    after: Annotated[int, duration("1s", "1d")] = 60_000
    at_most: Annotated[tuple[int, int], BeforeValidator(_at_most)] = (10, 600_000)
    zone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"


class Polling(_Model):
    """max_rate: requests a second to one address at most; as many may go at once after a quiet second."""

    max_rate: Annotated[float, Field(ge=1, le=1000)] = POLL_RATE


class AgentConfig(_Model):
    version: Literal[1]
    site: Slug
    agent: Slug
    credentials: dict[str, Credentials] = Field(default_factory=dict)
    rooms: tuple[Room, ...] = ()
    devices: tuple[Device, ...] = ()
    profiles: Profiles = Profiles()
    rules: Rules = Rules()
    polling: Polling = Polling()
    journal: Journal = Journal()
    uplink: Uplink | None = None
    http: Http = Http()
    traps: Traps | None = None
    notify: Notify | None = None
