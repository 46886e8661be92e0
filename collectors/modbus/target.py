"""Where a Modbus device is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModbusTarget:
    """One unit behind a Modbus TCP server or gateway.

    timeout_s: seconds one answer of this unit may take; address_offset is added to every address of the profile, for
    installations whose manual and wire differ by one.
    """

    host: str
    port: int = 502
    unit: int = 1
    timeout_s: float = 2.0
    address_offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.unit <= 255:
            raise ValueError(f"unit {self.unit} is outside 0..255")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s is more than 0")

    def __str__(self) -> str:
        return f"modbus {self.host}:{self.port} unit {self.unit}"
