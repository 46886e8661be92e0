"""The traps every SNMP agent may send (RFC 3418 section 2, RFC 2863 section 6), whatever its profile."""

from facility.severity import Severity
from facility.traps import Confirm, Trap, TrapMeaning, TrapTitle

_SNMP_TRAPS = "1.3.6.1.6.3.1.1.5"

STANDARD: tuple[Trap, ...] = (
    Trap(
        oid=f"{_SNMP_TRAPS}.1",
        name="coldStart",
        meaning=TrapMeaning.RESTARTED,
        title=TrapTitle(en="Device restarted", zh="设备重新启动"),
        severity=Severity.INFO,
        metric="device.communication",
    ),
    Trap(
        oid=f"{_SNMP_TRAPS}.2",
        name="warmStart",
        meaning=TrapMeaning.RESTARTED,
        title=TrapTitle(en="Device agent restarted", zh="设备管理卡重新启动"),
        severity=Severity.INFO,
        metric="device.communication",
    ),
    Trap(
        oid=f"{_SNMP_TRAPS}.3",
        name="linkDown",
        cleared_by=f"{_SNMP_TRAPS}.4",
        meaning=TrapMeaning.LINK_DOWN,
        title=TrapTitle(en="Network port down", zh="网络端口断开"),
        severity=Severity.MINOR,
        # A port that this family's profile does not read: there is nothing a poll could say of it.
        confirm=Confirm.NONE,
    ),
    Trap(
        oid=f"{_SNMP_TRAPS}.5",
        name="authenticationFailure",
        meaning=TrapMeaning.ACCESS_REFUSED,
        title=TrapTitle(en="Somebody asked with wrong SNMP credentials", zh="SNMP 认证失败"),
        severity=Severity.MINOR,
        confirm=Confirm.NONE,
    ),
)
