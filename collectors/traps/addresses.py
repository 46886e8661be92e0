"""IP addresses in one spelling, so that a device and its traps are compared as text."""

import ipaddress


def is_address(text: str) -> bool:
    """It is an IP address and no host name."""
    return _parsed(text) is not None


def plain_address(text: str) -> str:
    """An IP address in its one spelling, IPv4 out of IPv6 and without a zone; other texts as they are."""
    address = _parsed(text)
    if address is None:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
