"""Recorded walks in the `.snmprec` format: `OID|TAG|VALUE` a line, tag with `x` for a value in hex.

The format is that of snmpsim (BER tag numbers in decimal). A walk stands in for a device: `answer_from` gives of it
exactly what a poll for certain needs would bring.
"""

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

from collectors.exchange import SnmpAnswer, SnmpNeeds, SnmpValue
from facility.reading import QualityReason

# A walk of a large switch is some 20 MB; more is no recording of one device.
MAX_BYTES = 64 * 1024 * 1024
# INTEGER, Counter32, Gauge32, TimeTicks, Counter64 (RFC 2578); OCTET STRING and Opaque; OBJECT IDENTIFIER; IpAddress.
_INTEGERS = {b"2", b"65", b"66", b"67", b"70"}
_OCTETS = {b"4", b"68"}
_NULLS = {b"5", b"128", b"129", b"130"}  # NULL and the three exceptions of SNMPv2: there is no value


class WalkError(ValueError):
    """A file that is no walk; says file and line."""


def read_walk(path: Path) -> dict[str, SnmpValue]:
    """Values by OID in numeric order of OIDs; WalkError with the line that is not understood."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise WalkError(f"{path}: {size} bytes; at most {MAX_BYTES} are read")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise WalkError(f"{path}: cannot be read: {error.strerror}") from error
    found: dict[str, SnmpValue] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(b"#"):
            continue
        parts = line.split(b"|", 2)
        if len(parts) != 3:
            raise WalkError(f"{path}:{number}: expected OID|TAG|VALUE")
        try:
            value = _value(parts[1], parts[2])
            oid = parts[0].strip().lstrip(b".").decode("ascii")
            _sortable(oid)
        except ValueError as error:
            raise WalkError(f"{path}:{number}: {error}") from error
        if value is not None:
            found[oid] = value
    return {oid: found[oid] for oid in sorted(found, key=_sortable)}


def _sortable(oid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in oid.split("."))


def _value(tag: bytes, text: bytes) -> SnmpValue | None:
    hexed = tag.endswith(b"x")
    tag = tag.rstrip(b"x")
    if hexed:
        text = bytes.fromhex(text.decode("ascii"))
    if tag in _NULLS:
        return None
    if tag in _INTEGERS:
        return int(text)
    if tag in _OCTETS:
        return text
    if tag == b"6":
        return text.decode("ascii").strip().lstrip(".")
    if tag == b"64":
        return ".".join(str(byte) for byte in text) if hexed else text.decode("ascii")
    raise ValueError(f"tag {tag.decode('ascii', 'replace')!r} is none of the SNMP types")


def answer_from(values: Mapping[str, SnmpValue], needs: SnmpNeeds) -> SnmpAnswer:
    """What the walk's device answers to a poll for these needs; `values` in numeric order of OIDs."""
    taken: dict[str, SnmpValue] = {}
    failed: dict[str, QualityReason] = {}
    for oid in needs.gets:
        if oid in values:
            taken[oid] = values[oid]
        else:
            failed[oid] = QualityReason.NO_SUCH_OBJECT
    oids = list(values)
    keys = [_sortable(oid) for oid in oids]
    for root in needs.walks:
        at = bisect_left(keys, _sortable(root))
        before = len(taken)
        while at < len(oids) and (oids[at] == root or oids[at].startswith(root + ".")):
            taken[oids[at]] = values[oids[at]]
            at += 1
        if len(taken) == before:
            failed[root] = QualityReason.NO_SUCH_OBJECT
    return SnmpAnswer(values=taken, failed=failed)
