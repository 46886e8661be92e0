"""Nothing of the product can write to a device: by its text, and by what goes over the wire."""

import ast
import time
from pathlib import Path

import pytest

import collectors
from collectors.device import ModbusLinks, ModbusTarget
from collectors.exchange import Table
from collectors.modbus.target import Framing
from collectors.plan import Block
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.collectors.speaking.profiles import poller, probes, profile, system_clock

SOURCES = sorted(Path(collectors.__file__).parent.rglob("*.py"))
# What pymodbus, gufo-snmp and pysnmp call their ways to change a device.
FORBIDDEN = (
    "write_coil",
    "write_register",
    "write_file",
    "mask_write",
    "readwrite_",
    "set_cmd",
    "SetRequest",
    "execute",
    "diag_",
)


def test_no_call_in_the_collectors_can_write() -> None:
    assert len(SOURCES) > 10
    for source in SOURCES:
        speaks = source.parent.name in ("snmp", "modbus", "traps")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert not name.startswith(FORBIDDEN), f"{source.name}:{node.lineno} calls {name}"
                # A name that is put together at run time could be any of them.
                assert not (speaks and name == "getattr"), f"{source.name}:{node.lineno} calls getattr"
            if isinstance(node, ast.ImportFrom | ast.Import) and "pymodbus" in ast.unparse(node):
                assert source.parts[-2:] == ("modbus", "client.py"), f"{source} imports pymodbus"


def test_only_reading_functions_have_a_table() -> None:
    assert {table.function for table in Table} == {1, 2, 3, 4}


async def test_only_functions_one_to_four_go_over_the_wire() -> None:
    flags = [
        {
            "metric": "leak.state",
            "subject": f"zone/{table}",
            "from": [{table: 1, "type": "flag", "states": {"0": "dry", "1": "leak"}}],
        }
        for table in ("coil", "discrete")
    ]

    async def refuse(frame: Frame, say: Say) -> None:
        await say(frame.exception(2 if len(heard) % 2 else 6))

    async with odd_gateway(refuse) as (port, heard):
        links = ModbusLinks(clock=system_clock())
        target = ModbusTarget("127.0.0.1", port=port, timeout_s=0.2)
        for wanted in (
            profile("modbus", flags, kind="leak"),
            probes([1, 2, 3, 40]),
            probes([1, 2, 3, 40], table="input"),
        ):
            device = poller(target, wanted, links=links)
            for _ in range(3):
                await device.poll()
        assert {frame.function for frame in heard} == {1, 2, 3, 4}
        await links.close()


@pytest.mark.parametrize("rtu", [False, True])
async def test_the_last_look_before_the_wire_lets_no_other_function_through(rtu: bool) -> None:
    async def reply(frame: Frame, say: Say) -> None:
        await say(frame.answer())

    async with odd_gateway(reply, rtu=rtu) as (port, heard):
        links = ModbusLinks(clock=system_clock())
        framing = Framing.RTU if rtu else Framing.TCP
        target = ModbusTarget("127.0.0.1", port=port, timeout_s=0.2, framing=framing)
        link = links.link(target)
        assert await link.read(Block(Table.HOLDING, 5, 1), target, deadline=time.monotonic() + 5) == [5]
        client = link._client
        assert client is not None
        for request in (
            client.write_register(5, 1),
            client.write_coil(5, True),
            client.write_registers(5, [1, 2]),
            client.mask_write_register(address=5),
            client.diag_restart_communication(True),
            client.read_exception_status(),
        ):
            with pytest.raises(ValueError, match="is no reading function"):
                await request
        assert await link.read(Block(Table.HOLDING, 6, 1), target, deadline=time.monotonic() + 5) == [6]
        assert [(frame.function, frame.address) for frame in heard] == [(3, 5), (3, 6)]
        await links.close()
