"""RTU frames on a serial line and through a socket gateway, against pymodbus's servers and lines that misbehave."""

import asyncio
import os
import time
import tty
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.device import DevicePoller, ModbusLinks, ModbusTarget
from collectors.exchange import PollProblem, Table
from collectors.modbus.frames import OWED_S, Discard, Ear, Owed, TcpEar, crc, data_bytes
from collectors.modbus.target import Framing, SerialLine
from collectors.plan import Block
from tests.collectors.speaking.gateway import (
    Frame,
    Say,
    Unit,
    crc16,
    gateway,
    odd_gateway,
    odd_line,
    serial_units,
)
from tests.collectors.speaking.profiles import poller, probes, profile, system_clock, values


def over_tcp(port: int, unit: int = 1, timeout_s: float = 0.15) -> ModbusTarget:
    return ModbusTarget("127.0.0.1", port=port, unit=unit, timeout_s=timeout_s, framing=Framing.RTU)


def on_line(path: str, unit: int = 1, timeout_s: float = 0.15, baudrate: int = 115200) -> ModbusTarget:
    return ModbusTarget(path, unit=unit, timeout_s=timeout_s, serial=SerialLine(baudrate, "N", 2))


def device(target: ModbusTarget, addresses: list[int], links: ModbusLinks, *, gap: int = 0) -> DevicePoller:
    return poller(
        target,
        probes(addresses, gap=gap),
        name=f"unit-{target.unit}",
        links=links,
        interval_s=0.001,
        deadline_s=2,
    )


def right(addresses: list[int], base: int = 0) -> dict[str, float | str | None]:
    return {
        "device.communication": "ok",
        **{f"room.temperature#probe/{address}": (base + address) / 10 for address in addresses},
    }


LINE = Block(Table.HOLDING, 5, 2)
FRAME = Frame(0, 1, 3, 5, 2, rtu=True)


# --- units that behave --------------------------------------------------------------------------------------------


async def test_units_of_a_serial_line_are_read_and_share_it() -> None:
    units = {1: Unit(base=100), 2: Unit(base=50)}
    async with serial_units(units) as path:
        links = ModbusLinks(clock=system_clock())
        one, two = (device(on_line(path, unit, 0.5), [3, 4, 9], links, gap=8) for unit in (1, 2))
        assert one.bus == two.bus == f"modbus:{path}"
        for _ in range(3):
            assert values(await one.poll()) == right([3, 4, 9], 100)
            assert values(await two.poll()) == right([3, 4, 9], 50)
        assert units[1].asked == [(3, 3, 7)] * 3
        assert links.link(on_line(path)).connects == 1
        dead = await device(on_line(path, 9), [3], links).poll()
        assert dead.problem is PollProblem.TIMEOUT
        assert values(await one.poll()) == right([3, 4, 9], 100)
        await links.close()


async def test_rtu_frames_through_a_socket_gateway() -> None:
    async with gateway({1: Unit(base=100), 2: Unit(base=50)}, rtu=True) as port:
        links = ModbusLinks(clock=system_clock())
        one, two = (device(over_tcp(port, unit), list(range(0, 120, 5)), links, gap=8) for unit in (1, 2))
        for _ in range(3):
            assert values(await one.poll()) == right(list(range(0, 120, 5)), 100)
            assert values(await two.poll()) == right(list(range(0, 120, 5)), 50)
        assert (await device(over_tcp(port, 9), [3], links).poll()).problem is PollProblem.TIMEOUT
        assert values(await two.poll()) == right(list(range(0, 120, 5)), 50)
        assert links.link(over_tcp(port)).connects == 1
        await links.close()


async def test_bits_and_input_registers_over_rtu() -> None:
    contact = profile(
        "modbus",
        [
            {
                "metric": "leak.state",
                "subject": f"zone/{table}-{at}",
                "from": [{table: at, "type": "flag", "states": {"0": "dry", "1": "leak"}}],
            }
            for table in ("coil", "discrete")
            for at in (0, 9)
        ],
        kind="leak",
    )
    async with gateway({1: Unit(base=1)}, rtu=True) as port:
        links = ModbusLinks(clock=system_clock())
        outcome = await poller(over_tcp(port), contact, links=links).poll()
        assert values(outcome)["leak.state#zone/coil-0"] == "leak"
        assert values(outcome)["leak.state#zone/discrete-9"] == "dry"
        inputs = await poller(over_tcp(port), probes([20, 22], table="input"), links=links).poll()
        assert values(inputs) == right([20, 22], 1)
        await links.close()


async def test_a_line_that_is_not_there_is_a_state_and_is_found_when_it_is_plugged_in() -> None:
    links = ModbusLinks(clock=system_clock())
    gone = await device(on_line("/dev/no-such-line"), [1], links).poll()
    assert gone.problem is PollProblem.REFUSED
    assert "cannot be opened" in gone.detail
    await links.close()


async def test_a_line_that_is_pulled_out_is_noticed_at_once() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    links = ModbusLinks(clock=system_clock())
    poll = device(on_line(os.ttyname(slave), timeout_s=5), [1], links)
    os.close(slave)
    asyncio.get_running_loop().call_later(0.05, os.close, master)
    outcome = await poll.poll()
    assert outcome.problem is PollProblem.REFUSED  # found closed, and asked for once more
    assert outcome.seconds < 1
    await links.close()


async def test_frames_of_a_line_keep_their_distance() -> None:
    times: list[tuple[float, float]] = []

    async def reply(frame: Frame, say: Say) -> None:
        came = time.monotonic()
        await say(frame.answer())
        times.append((came, time.monotonic()))

    async with odd_line(reply) as (path, _):
        links = ModbusLinks(clock=system_clock())
        # 300 baud 8N2: a character takes 37 ms, so frames stand 128 ms apart.
        target = on_line(path, timeout_s=0.5, baudrate=300)
        assert values(await device(target, [0, 50, 100], links).poll()) == right([0, 50, 100])
        assert all(later[0] - earlier[1] >= 0.125 for earlier, later in pairwise(times))
        await links.close()


async def test_an_answer_may_take_its_time_on_a_slow_line() -> None:
    async def reply(frame: Frame, say: Say) -> None:
        await asyncio.sleep(0.3)
        await say(frame.answer())

    async with odd_line(reply) as (path, _):
        links = ModbusLinks(clock=system_clock())
        # 15 characters of 37 ms are half a second on the wire, whatever the unit itself is given.
        target = on_line(path, timeout_s=0.1, baudrate=300)
        assert values(await device(target, [7], links).poll()) == right([7])
        await links.close()


async def test_the_first_request_waits_after_connecting() -> None:
    times: list[float] = []

    async def reply(frame: Frame, say: Say) -> None:
        times.append(time.monotonic())
        await say(frame.answer())

    async with odd_gateway(reply, rtu=True) as (port, _):
        links = ModbusLinks(clock=system_clock())
        patient = poller(over_tcp(port), probes([1, 50], gap=0, connect_pause_ms=80), links=links)
        began = time.monotonic()
        assert values(await patient.poll()) == right([1, 50])
        assert times[0] - began >= 0.079
        assert times[1] - times[0] < 0.06
        await links.close()


# --- lines that misbehave -----------------------------------------------------------------------------------------


async def test_noise_before_and_after_an_answer_costs_nothing() -> None:
    async def noisy(frame: Frame, say: Say) -> None:
        await say(b"\x00\xff" + frame.answer() + b"\x00")

    async with odd_line(noisy) as (path, _):
        links = ModbusLinks(clock=system_clock())
        poll = device(on_line(path), [5, 9, 13], links)
        for _ in range(3):
            assert values(await poll.poll()) == right([5, 9, 13])
        counted = links.discarded["noise"]
        assert links.link(on_line(path)).discarded["noise"] == counted >= 9
        await poll.close()
        assert links.discarded["noise"] >= counted, "the line is gone, what was counted is not"
        again = device(on_line(path), [5], links)
        await again.poll()
        assert links.discarded["noise"] > counted
        await links.close()
        assert links.discarded["noise"] > counted


async def test_late_answers_of_one_unit_are_never_taken_for_those_of_another_block() -> None:
    """Blocks of one length, one unit, one function: nothing in the frames tells them apart."""
    queue: list[bytes] = []
    lag = 1

    async def behind(frame: Frame, say: Say) -> None:
        queue.append(frame.answer())
        if len(queue) > lag:
            await say(queue.pop(0))

    async with odd_gateway(behind, rtu=True) as (port, _):
        links = ModbusLinks(clock=system_clock())
        poll = device(over_tcp(port, timeout_s=0.05), [5, 50, 100, 150], links)
        for cycle in range(12):
            lag = (0, 1, 2, 3)[cycle % 4]
            for key, value in values(await poll.poll()).items():
                if key != "device.communication":
                    assert value in (None, int(key.rpartition("/")[2]) / 10)
        await links.close()


async def test_a_lost_answer_costs_one_question_and_no_value() -> None:
    async def lossy(frame: Frame, say: Say) -> None:
        if len(heard) != 2 and frame.function == 3:
            await say(frame.answer())

    async with odd_gateway(lossy, rtu=True) as (port, heard):
        links = ModbusLinks(clock=system_clock())
        poll = device(over_tcp(port), [5, 50, 100, 150], links)
        assert values(await poll.poll()) == right([5, 50, 100, 150])
        assert [(frame.function, frame.address, frame.count) for frame in heard] == [
            (3, 5, 1),
            (3, 50, 1),  # lost
            (3, 50, 1),
            (3, 50, 2),  # ... and may still come: an answer to this proves that it does not
            (3, 100, 1),
            (3, 150, 1),
        ]
        await links.close()


async def test_where_a_longer_question_is_refused_another_function_settles_what_is_owed() -> None:
    async def lossy(frame: Frame, say: Say) -> None:
        if len(heard) != 2:
            good = frame.function == 3 and frame.count == 1
            await say(frame.answer() if good else frame.exception(2 if frame.function == 3 else 1))

    async with odd_gateway(lossy, rtu=True) as (port, heard):
        links = ModbusLinks(clock=system_clock())
        poll = device(over_tcp(port), [5, 50, 100], links)
        assert values(await poll.poll()) == right([5, 50, 100])
        assert [frame.function for frame in heard] == [3, 3, 3, 3, 4, 3]
        assert poll.plan() == [f"unit 1: FC03 holding:{at}" for at in (5, 50, 100)]
        await links.close()


async def test_a_late_refusal_teaches_no_hole() -> None:
    waiting: list[bytes] = []

    async def late(frame: Frame, say: Say) -> None:
        if len(heard) <= 2:
            waiting.append(frame.exception(2))
            return
        while waiting:
            await say(waiting.pop())
        await say(frame.answer() if frame.function == 3 else frame.exception(1))

    async with odd_gateway(late, rtu=True) as (port, heard):
        links = ModbusLinks(clock=system_clock())
        poll = device(over_tcp(port), [5, 50], links)
        assert (await poll.poll()).problem is PollProblem.TIMEOUT
        assert values(await poll.poll()) == right([5, 50])
        assert poll.plan() == ["unit 1: FC03 holding:5", "unit 1: FC03 holding:50"]
        await links.close()


# --- the pure half ------------------------------------------------------------------------------------------------


def test_the_checksum_is_the_protocols() -> None:
    assert crc(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS
    assert crc(bytes.fromhex("010300000001")).to_bytes(2, "little") == bytes.fromhex("840a")


@given(
    cuts=st.lists(st.integers(1, 8), max_size=9),
    before=st.binary(max_size=12),
    after=st.binary(max_size=12),
)
def test_an_answer_is_found_in_any_pieces_and_between_any_noise(cuts: list[int], before: bytes, after: bytes) -> None:
    ear = Ear()
    ear.ask(1, LINE)
    good = FRAME.answer()
    wire, found, at = before + good + after, b"", 0
    for cut in [*cuts, len(wire)]:
        found = ear.hear(wire[at : at + cut]) or found
        at += cut
    assert found == good


@given(data=st.binary(max_size=600), unit=st.integers(1, 247), count=st.integers(1, 125))
def test_only_a_frame_of_that_unit_function_length_and_checksum_passes(data: bytes, unit: int, count: int) -> None:
    ear = Ear()
    block = Block(Table.INPUT, 0, count)
    ear.ask(unit, block)
    found = ear.hear(data)
    if found:
        assert found[0] == unit
        assert found[1] in (4, 0x84)
        assert found[1] == 0x84 or (found[2] == data_bytes(block) == len(found) - 5)
        assert crc16(found[:-2]) == found[-2:]


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (FRAME.answer(unit=2), Discard.FOREIGN_UNIT),
        (FRAME.answer(function=4), Discard.FOREIGN_FUNCTION),
        (FRAME.answer(values=[1]), Discard.WRONG_LENGTH),
        (FRAME.answer(values=[1, 2, 3]), Discard.WRONG_LENGTH),
        (FRAME.answer()[:-1] + b"\x00", Discard.NOISE),
        (FRAME.answer()[:-1], Discard.NOISE),
        (b"\x01\x83\x02\x00\x00", Discard.NOISE),
    ],
)
def test_what_is_no_answer_is_named_and_the_answer_behind_it_is_heard(heard: bytes, why: Discard) -> None:
    ear = Ear()
    ear.ask(1, LINE)
    assert ear.hear(heard) == b""
    assert ear.odd is why
    assert ear.hear(FRAME.answer()) == FRAME.answer()


def test_what_comes_when_nothing_is_asked_is_late_and_pays_a_debt() -> None:
    ear = Ear()
    ear.owed.silent(1, LINE, 0.0)
    other = Block(Table.HOLDING, 50, 2)
    assert ear.owed.doubtful(1, other, 1.0)
    assert not ear.owed.doubtful(1, LINE, 1.0)  # the same block again: either answer is right
    assert not ear.owed.doubtful(2, other, 1.0)
    assert not ear.owed.doubtful(1, Block(Table.INPUT, 50, 2), 1.0)
    assert ear.hear(FRAME.answer()) == b""
    assert not ear.owed.doubtful(1, other, 1.0)
    assert ear.discarded == {Discard.LATE: 1}


def test_a_flood_after_an_odd_frame_is_not_kept() -> None:
    ear = TcpEar()
    ear.ask(1, LINE)
    ear.sent(b"\x00\x07")
    assert ear.hear(b"\x00\x07\x00\x01\x00\x03\x01") == b""  # another protocol id
    for _ in range(100):
        assert ear.hear(b"\x00" * 1000) == b""
    assert ear.odd is Discard.NOISE
    assert len(ear._heard) == 0


def test_debts_end_with_an_answer_to_another_function_or_with_time() -> None:
    owed, other = Owed(), Block(Table.HOLDING, 50, 2)
    owed.silent(1, LINE, 0.0)
    assert owed.settling(1, other) == [Block(Table.HOLDING, 5, 1), Block(Table.INPUT, 50, 1)]
    owed.answered(1, 3)
    assert owed.doubtful(1, other, 1.0)
    owed.answered(1, 4)
    assert not owed.doubtful(1, other, 1.0)
    owed.silent(1, LINE, 0.0)
    assert not owed.doubtful(1, other, OWED_S)
    for table in Table:
        owed.silent(1, Block(table, 0, 1), 0.0)
    assert owed.settling(1, other) == [Block(Table.HOLDING, 0, 3)]
    owed.settled(1)
    assert not owed.doubtful(1, other, 1.0)


def test_targets() -> None:
    for wrong in (0, 248):
        with pytest.raises(ValueError, match=r"outside 1\.\.247"):
            over_tcp(502, wrong)
    with pytest.raises(ValueError, match="parity is N, E or O"):
        SerialLine(9600, "X")
    with pytest.raises(ValueError, match="stopbits is 1 or 2"):
        SerialLine(9600, "N", 3)
    with pytest.raises(ValueError, match="baudrate 12 is outside"):
        SerialLine(12)
    assert SerialLine(9600).frame_gap_s == pytest.approx(3.5 * 10 / 9600)
    assert SerialLine(115200).frame_gap_s == 0.00175
    assert str(on_line("/dev/ttyUSB0", 7)) == "modbus /dev/ttyUSB0 unit 7"
