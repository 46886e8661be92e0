"""The worked register examples, served by pymodbus and polled as the agent polls: the figures are right over the wire.

Only the registers of an example exist, so every gap a merged request bridges is refused and has to be learnt.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collectors.device import DevicePoller, ModbusLinks, ModbusTarget
from collectors.exchange import Table
from collectors.library import Library
from collectors.probe import probe
from facility.profile import ModbusLimits, Profile
from facility.reading import COMMUNICATION, Reading
from tests.collectors.profiles.examples import Example, modbus_answer, register_examples
from tests.collectors.speaking.profiles import poller, system_clock

LIBRARY = Library.load()
UNIT = 7
EXAMPLES = register_examples()


def _profile(profile_id: str) -> Profile:
    """As shipped, but without the pauses: they cost time and change no figure."""
    profile = LIBRARY.get(profile_id)
    limits = (profile.modbus or ModbusLimits()).model_copy(update={"pause_ms": 0})
    return profile.model_copy(update={"modbus": limits})


def _bits(cells: dict[int, int]) -> list[SimData]:
    """Bits lie in registers of 16, so up to the end of the last one they all exist."""
    count = (max(cells, default=0) // 16 + 1) * 16
    return [SimData(0, values=[bool(cells.get(at, 0)) for at in range(count)], datatype=DataType.BITS)]


def _words(cells: dict[int, int]) -> list[SimData]:
    if not cells:
        return [SimData(0, datatype=DataType.INVALID)]
    runs = [
        [at for _, at in run]
        for _, run in groupby(enumerate(sorted(cells)), key=lambda numbered: numbered[1] - numbered[0])
    ]
    return [SimData(run[0], values=[cells[at] for at in run], datatype=DataType.REGISTERS) for run in runs]


@asynccontextmanager
async def _served(example: Example) -> AsyncIterator[int]:
    """A server with the registers of the example and no others; yields its port."""
    tables: dict[Table, dict[int, int]] = {table: {} for table in Table}
    for (table, at), value in modbus_answer(example).values.items():
        tables[table][at] = value
    device = SimDevice(
        UNIT,
        simdata=(
            _bits(tables[Table.COIL]),
            _bits(tables[Table.DISCRETE]),
            _words(tables[Table.HOLDING]),
            _words(tables[Table.INPUT]),
        ),
    )
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def _compare(example: Example, readings: tuple[Reading, ...]) -> None:
    spoken, *read = readings
    assert (spoken.metric, spoken.subject, spoken.value) == (COMMUNICATION, "", "ok")
    good = {(reading.metric, reading.subject): reading.value for reading in read if reading.good}
    bad = {(reading.metric, reading.subject): reading.reason for reading in read if not reading.good}
    wanted = {(metric, subject): value for metric, subject, value in example.expected["readings"]}
    assert good.keys() == wanted.keys()
    for key, value in wanted.items():
        assert good[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), key
    assert bad == {(metric, subject): reason for metric, subject, reason in example.expected["bad"]}


@asynccontextmanager
async def _polled(example: Example) -> AsyncIterator[DevicePoller]:
    async with _served(example) as port:
        links = ModbusLinks(clock=system_clock())
        target = ModbusTarget("127.0.0.1", port=port, unit=UNIT, timeout_s=2.0)
        yield poller(target, _profile(example.profile or ""), links=links, deadline_s=20)
        await links.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_an_example_reads_as_worked_by_hand_over_the_wire(example: Example) -> None:
    async with _polled(example) as device:
        _compare(example, (await device.poll()).readings)


@pytest.mark.parametrize(
    "name",
    [
        "apc-smart-ups-modbus.healthy",
        "liebert-icom-modbus.healthy",
        "santak-scc-modbus.healthy",
        "schneider-iem3000.healthy",
    ],
)
async def test_holes_between_points_are_learnt_until_every_request_is_answered(name: str) -> None:
    example = next(example for example in EXAMPLES if example.name == name)
    async with _polled(example) as device:
        requests = []
        for _ in range(20):  # one poll learns one seam of each block
            outcome = await device.poll()
            _compare(example, outcome.readings)
            requests.append(outcome.requests)
            if outcome.requests == sum(" FC0" in line for line in device.plan()):
                break
        assert requests[-1] < requests[0], requests
        assert (await device.poll()).requests == requests[-1]


async def test_a_probe_reads_the_name_plate_beside_the_values() -> None:
    healthy = next(example for example in EXAMPLES if example.name == "apc-smart-ups-modbus.healthy")
    # "Smart-UPS 3000" and "AS1234567890", two characters in a register, padded with blanks.
    model = [0x536D, 0x6172, 0x742D, 0x5550, 0x5320, 0x3330, 0x3030, *[0x2020] * 9]
    serial = [0x4153, 0x3132, 0x3334, 0x3536, 0x3738, 0x3930, 0x2020, 0x2020]
    plate = {
        f"holding:{at + number}": word for at, text in ((532, model), (564, serial)) for number, word in enumerate(text)
    }
    told = replace(healthy, expected={**healthy.expected, "cells": {**healthy.expected["cells"], **plate}})
    async with _served(told) as port:
        report = await probe(
            f"modbus://127.0.0.1:{port}/{UNIT}",
            library=LIBRARY,
            clock=system_clock(),
            profile_id="apc/smart-ups-modbus",
        )
    assert report.device == {"vendor": "APC", "model": "Smart-UPS 3000", "serial": "AS1234567890"}
    assert len(report.readings) == len(healthy.expected["readings"])
    assert report.problem is None
